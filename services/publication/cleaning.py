"""Making a file fit to be public (R9.1): what is seen stays, what goes along unseen is taken out.

    python -m services.publication.cleaning < dirty > clean

A picture is drawn anew from its pixels. A PDF is built anew from what its pages draw (`pdf.py`). Nothing else is kept, so that a kind of
metadata that nobody thought of is not kept either. What a file is, is decided by its content; its name is never looked at.

Files may be hostile, made to take all memory or time. `clean_apart` therefore works in a process of its own, which the system ends when
it takes too much.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import filetype
from PIL import Image, ImageCms, ImageOps

from services.publication.pdf import Unfit, clean_pdf, text_of
from shared.contracts.errors import BadInput

MOST_PIXELS: Final = 40_000_000
MEMORY_BYTES: Final = 1_500_000_000
CPU_SECONDS: Final = 30
WALL_SECONDS: Final = 90
_NEEDED: Final = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH")
ENDINGS: Final[Mapping[str, str]] = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}
"""The media types that are published, and how their names end."""

_OFFICE: Final = (
    "Word、Excel 等文档含有修订记录、作者等隐藏信息，不能直接公开；请另存或打印为 PDF 后上传 / Documents of Word, Excel and the like "
    "carry changes, authors and other hidden things: save or print it as a PDF and upload that"
)
_SOUND: Final = "录音、录像不能公开；需要时请将内容写入公开稿 / Sound and films are not published; say in the public text what they show"
_OTHER: Final = (
    "只能公开 PDF 和图片（JPEG、PNG、WebP、GIF） / Only PDFs and pictures (JPEG, PNG, WebP, GIF) are published"
)
_TOO_MUCH: Final = (
    "文件过于复杂或已损坏，无法清除其中的隐藏信息；请打印为新的 PDF，或另存为普通图片后再上传 / The file is too complex or damaged to be "
    "cleaned; print it to a new PDF, or save it as an ordinary picture, and upload that"
)


@dataclass(frozen=True, slots=True)
class Clean:
    """A file that may be public."""

    media_type: str
    content: bytes
    text: str = ""
    """The text that a reader could take out of it, seen on the page or not; a picture's is not read."""


def clean(content: bytes) -> Clean:
    """Return the file with nothing in it but what is seen.

    Raises:
        Unfit: it is of a kind that is not published, broken, locked, or hides something that cannot be taken out.
    """
    kind = filetype.guess(content)
    media_type = "" if kind is None else kind.mime
    maker = _MAKERS.get(media_type)
    if maker is not None:
        return maker(content)
    if media_type.startswith(("audio/", "video/")):
        raise Unfit(_SOUND)
    raise Unfit(_OFFICE if "document" in media_type or media_type in _OFFICE_KINDS else _OTHER)


async def clean_apart(content: bytes, field: str) -> Clean:
    """As `clean`, in a process with limits of its own.

    Raises:
        BadInput: the file cannot be published; the message says why and what to do instead.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        # A file that gets the better of a library finds none of the service's secrets.
        env={name: os.environ[name] for name in _NEEDED if name in os.environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # what a library says of a file may quote it
    )
    try:
        async with asyncio.timeout(WALL_SECONDS):
            answer, _ = await process.communicate(content)
    except TimeoutError:
        raise BadInput("R9.1", _TOO_MUCH, field) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    head, _, rest = answer.partition(b"\n")
    if process.returncode or not head:
        raise BadInput("R9.1", _TOO_MUCH, field)
    said = json.loads(head)
    if "unfit" in said:
        raise BadInput("R9.1", said["unfit"], field)
    return Clean(said["media_type"], rest, said["text"])


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _picture(content: bytes) -> Clean:
    try:
        with Image.open(BytesIO(content), formats=("JPEG", "PNG", "WEBP", "GIF")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Unfit(
                    f"图片不能超过 {MOST_PIXELS // 10_000} 万像素，请缩小后上传 / A picture may have at most {MOST_PIXELS:,} pixels; "
                    "make it smaller"
                )
            # A camera's file may hold a second picture (MPO) for its own use; of a film one could not see all before approving it.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise Unfit("动图不能公开，请上传静态图片 / Moving pictures are not published; upload a still one")
            lossy = image.format in {"JPEG", "MPO", "WEBP"}
            drawn = _pixels(image)
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise Unfit(_TOO_MUCH) from error
    out = BytesIO()
    if lossy and drawn.mode in {"L", "RGB"}:
        drawn.save(out, "JPEG", quality=90, optimize=True)
        return Clean("image/jpeg", out.getvalue())
    drawn.save(out, "PNG")
    return Clean("image/png", out.getvalue())


def _pixels(image: Image.Image) -> Image.Image:
    """Return a new picture of the same pixels, upright, in the colours that its profile means, with nothing beside them."""
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    see_through = "transparency" in upright.info or upright.mode in {"RGBA", "LA", "PA"}
    if profile and upright.mode in {"RGB", "CMYK"} and not see_through:
        upright = _in_common_colours(upright, profile)
    mode = "RGBA" if see_through else ("L" if upright.mode in {"1", "L"} else "RGB")
    plain = upright if upright.mode == mode else upright.convert(mode)
    return Image.frombytes(mode, plain.size, plain.tobytes())


def _in_common_colours(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def _document(content: bytes) -> Clean:
    done = clean_pdf(content)
    return Clean("application/pdf", done, text_of(done))


_MAKERS: Final[Mapping[str, Callable[[bytes], Clean]]] = {
    "application/pdf": _document,
    "image/jpeg": _picture,
    "image/png": _picture,
    "image/webp": _picture,
    "image/gif": _picture,
}
_OFFICE_KINDS: Final = frozenset(
    {
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/rtf",
        "application/zip",
    }
)


def main() -> None:
    """Clean what comes in; the answer is a line of JSON and, if all is well, the file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        done = clean(sys.stdin.buffer.read())
    except Unfit as error:
        out.write(json.dumps({"unfit": str(error)}).encode() + b"\n")
    else:
        out.write(json.dumps({"media_type": done.media_type, "text": done.text}).encode() + b"\n" + done.content)
    out.flush()


if __name__ == "__main__":
    main()
