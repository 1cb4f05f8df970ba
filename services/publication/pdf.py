"""A PDF built anew from what its pages draw, and nothing else of it (R9.1).

Left behind: title, author and other properties, XMP, earlier versions, embedded files, scripts and actions, links and notes, form data,
hidden layers and cropped edges (they would be seen: what was hidden is drawn), bookmarks, descriptions of pictures (Word writes file names
there), thumbnails, colour profiles, comments in what pages draw, and what cameras wrote into the pictures on the pages.

Refused: what lies over the page and is not part of it, such as a drawn box. Taking it away would show what it covers; keeping it would
leave the text under it in the file. Only really taking the text out, or printing the page as a picture, helps.
"""

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

import pikepdf
from pikepdf import Array, ContentStreamInlineImage, Dictionary, Name, Object, Page, Pdf, Stream
from pypdf import PdfReader
from pypdf.errors import PyPdfError

MOST_PAGES: Final = 300
MOST_DRAWN_BYTES: Final = 30_000_000
"""What one page or drawing may take once unpacked."""
MOST_TEXT: Final = 500_000
"""Characters of a PDF that are looked through for personal data."""
DRAWN: Final = frozenset({"/Type", "/MediaBox", "/Rotate", "/UserUnit", "/Resources", "/Contents", "/Group"})
"""What is kept of a page; its crop box would hide what lies outside."""
DROPPED: Final = (
    *("/Metadata", "/PieceInfo", "/LastModified", "/AF", "/Thumb", "/OPI", "/Alternates", "/OC"),
    *("/StructParent", "/StructParents", "/Properties", "/Measure", "/PtData"),
)
"""What is left behind of everything that a page draws with."""
FOREIGN: Final = ("/F", "/FFilter", "/FDecodeParms", "/Ref")
"""What makes a stream draw something that is not in the file."""
HARMLESS_NOTES: Final = frozenset(
    {"/Link", "/Text", "/Popup", "/Widget", "/FileAttachment", "/Sound", "/Movie", "/Screen"}
)
"""What lies over a page without covering it: left behind."""
_MARKED: Final = frozenset({"BMC", "BDC", "EMC", "MP", "DP"})
"""Operators that only name parts of what is drawn, and may carry text that is not."""
_COLOURS: Final = {1: Name.DeviceGray, 3: Name.DeviceRGB, 4: Name.DeviceCMYK}


class Unfit(Exception):
    """A file cannot be published as it is; the message says why and what to do, in Chinese and English."""


def clean_pdf(content: bytes) -> bytes:
    """Return a PDF that draws the same pages.

    Raises:
        Unfit: it is broken, locked, too large, or something lies over its pages.
    """
    try:
        with pikepdf.open(BytesIO(content), attempt_recovery=False, suppress_warnings=True) as source:
            return _built_anew(source)
    except pikepdf.PasswordError:
        raise Unfit(_LOCKED) from None
    except (pikepdf.PdfError, pikepdf.DataDecodingError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise Unfit(
            "PDF 已损坏，无法清除其中的隐藏信息；请重新打印为 PDF 后上传 / The PDF is damaged and cannot be cleaned; print it to a "
            "new PDF and upload that"
        ) from error


_LOCKED: Final = (
    "PDF 设有密码或权限限制，无法清除其中的隐藏信息；请上传未加密的 PDF / "
    "The PDF is encrypted; upload one without a password or restrictions"
)


def text_of(content: bytes) -> str:
    """Return the text of a PDF's pages, also what is covered or drawn in no colour; nothing where it cannot be read as text."""
    try:
        pages = PdfReader(BytesIO(content)).pages
        return "\n".join(page.extract_text() for page in pages)[:MOST_TEXT]
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return ""


def _built_anew(source: Pdf) -> bytes:
    if source.is_encrypted:
        raise Unfit(_LOCKED)
    if len(source.pages) > MOST_PAGES:
        raise Unfit(f"PDF 不能超过 {MOST_PAGES} 页 / A PDF may have at most {MOST_PAGES} pages")
    if not source.pages:
        raise Unfit("PDF 没有页面 / The PDF has no pages")
    with pikepdf.new() as target:
        for page in source.pages:
            _check_notes(page)
            target.pages.append(page)
        for page in target.pages:
            for key in set(page.obj.keys()) - DRAWN:
                if key != "/Parent":
                    del page.obj[key]
            _limit(page.obj.get("/Contents"))
            page.Contents = target.make_stream(_redrawn(page))
        for stream in _cleaned(target):
            if stream.get("/Subtype") == Name.Form or stream.get("/PatternType") == 1:
                _limit(stream)
                stream.write(_redrawn(stream))
        target.remove_unreferenced_resources()
        out = BytesIO()
        target.save(
            out,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            compress_streams=True,
            deterministic_id=True,
            fix_metadata_version=False,
        )
        return out.getvalue()


def _check_notes(page: Page) -> None:
    for note in page.obj.get("/Annots", ()):
        if isinstance(note, Dictionary) and str(note.get("/Subtype", "")) not in HARMLESS_NOTES:
            raise Unfit(
                "PDF 页面上有批注或后画的图形（如遮盖框、高亮、印章）：遮盖框下的文字仍在文件里。请先真正删去要隐去的内容，"
                "再打印为新的 PDF 或图片后上传 / Something was drawn over a page of the PDF (a box, a mark, a stamp): the text under it "
                "is still in the file. Take out what shall be hidden, then print it to a new PDF or a picture"
            )


def _redrawn(drawing: Page | Object) -> bytes:
    """Return what a page or form draws, without comments and named parts."""
    kept = [one for one in pikepdf.parse_content_stream(drawing) if str(one.operator) not in _MARKED]
    if any("/DCTDecode" in one.iimage.filters for one in kept if isinstance(one, ContentStreamInlineImage)):
        raise Unfit("PDF 中的图片编码异常 / A picture in the PDF is packed in a rare way; print it to a new PDF")
    return pikepdf.unparse_content_stream(kept)


def _limit(drawing: Any) -> None:
    """Refuse what grows too large when it is unpacked, before it is."""
    for stream in drawing if isinstance(drawing, Array) else [drawing]:
        if not isinstance(stream, Stream):
            continue
        filters = stream.get("/Filter")
        names = [str(name) for name in filters] if isinstance(filters, Array) else [str(filters)] if filters else []
        raw = stream.read_raw_bytes()
        if names == ["/FlateDecode"]:
            try:
                size = len(zlib.decompressobj().decompress(raw, MOST_DRAWN_BYTES + 1))
            except zlib.error:
                raise Unfit("PDF 已损坏 / The PDF is damaged; print it to a new PDF and upload that") from None
        else:
            size = len(raw)
        if size > MOST_DRAWN_BYTES:
            raise Unfit(
                "PDF 某页内容过大，请打印为新的 PDF 后上传 / A page of the PDF is too large; print it to a new PDF and upload that"
            )


def _cleaned(target: Pdf) -> Iterator[Object]:
    """Take out of every object what is not drawn; return the streams."""
    for one in list(target.objects):
        for part in _parts(one):
            if not isinstance(part, Array):
                for key in (*DROPPED, *(FOREIGN if isinstance(part, Stream) else ())):
                    if key in part:
                        del part[key]
            for place, inside in _items(part):
                if isinstance(inside, Array) and len(inside) > 1 and inside[0] == Name.ICCBased:
                    part[place] = _COLOURS.get(int(inside[1].get("/N", 3)), Name.DeviceRGB)
        if isinstance(one, Stream):
            _clean_picture(one)
            yield one


def _parts(one: Object, depth: int = 0) -> Iterator[Object]:
    """Return an object and what stands inside it; what it refers to is an object of its own."""
    if depth > 50:
        raise Unfit("PDF 结构异常 / The PDF is built in an unusual way; print it to a new PDF and upload that")
    if isinstance(one, Array | Dictionary | Stream):
        yield one
        for _, part in _items(one):
            if isinstance(part, Array | Dictionary) and not part.is_indirect:
                yield from _parts(part, depth + 1)


def _items(one: Object) -> list[tuple[Any, Any]]:
    return list(enumerate(one)) if isinstance(one, Array) else [(key, one[key]) for key in list(one.keys())]


def _clean_picture(stream: Object) -> None:
    """Take out of a JPEG what the camera wrote beside the picture."""
    filters = stream.get("/Filter")
    names = [str(name) for name in filters] if isinstance(filters, Array) else [str(filters)]
    if "/JPXDecode" in names:
        raise Unfit(
            "PDF 中的图片为 JPEG 2000 格式，无法清除其中的隐藏信息；请重新扫描或打印为普通 PDF 后上传 / "
            "A picture in the PDF is JPEG 2000, which cannot be cleaned; scan or print it again as an ordinary PDF"
        )
    if names == ["/DCTDecode"]:
        parameters: Any = stream.get("/DecodeParms")
        stream.write(bare_jpeg(stream.read_raw_bytes()), filter=Name.DCTDecode, decode_parms=parameters)
    elif "/DCTDecode" in names:
        raise Unfit(
            "PDF 中的图片编码异常 / A picture in the PDF is packed twice; print it to a new PDF and upload that"
        )


def bare_jpeg(content: bytes) -> bytes:
    """Return a JPEG with only what its picture needs: no EXIF, XMP, thumbnail, comment, colour profile, nor anything after its end.

    Raises:
        Unfit: it is no JPEG.
    """
    kept, place = [content[:2]], 2
    while content[:2] == b"\xff\xd8" and content[place : place + 1] == b"\xff":
        kind = content[place + 1] if place + 1 < len(content) else 0
        if kind == _SCAN:
            return b"".join(kept) + _scans(content[place:])
        length = 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        # Adobe's own segment says how the colours are to be read.
        if not (_FIRST_OWN <= kind <= _LAST_OWN or kind == _COMMENT) or kind == _ADOBE:
            kept.append(content[place : place + length])
        place += length
    raise Unfit("PDF 中的图片已损坏 / A picture in the PDF is damaged; print it to a new PDF and upload that")


def _scans(content: bytes) -> bytes:
    """Return a JPEG's scans up to its first end; between scans only tables and scans may stand."""
    kept, place = [], 0
    while place < len(content):
        mark = content.find(b"\xff", place)
        if mark < 0 or mark + 1 >= len(content):
            kept.append(content[place:])
            break
        kind = content[mark + 1]
        if kind == _END:
            kept.append(content[place : mark + 2])
            break
        if kind in _IN_SCAN:
            kept.append(content[place : mark + 2])
            place = mark + 2
            continue
        length = 2 + int.from_bytes(content[mark + 2 : mark + 4], "big")
        drop = _FIRST_OWN <= kind <= _LAST_OWN or kind == _COMMENT
        kept.append(content[place:mark] if drop else content[place : mark + length])
        place = mark + length
    return b"".join(kept)


_SCAN: Final = 0xDA
_END: Final = 0xD9
_COMMENT: Final = 0xFE
_FIRST_OWN: Final = 0xE0
_LAST_OWN: Final = 0xEF
_ADOBE: Final = 0xEE
_IN_SCAN: Final = frozenset({0x00, 0xFF, *range(0xD0, 0xD8)})
"""After 0xFF inside a scan: a byte of the picture, filling, or a restart."""
