"""Files are public without what is not seen in them (R9.1): nothing hidden in a picture or a PDF comes through."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final
from zipfile import ZipFile

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String
from PIL import Image, PngImagePlugin
from pypdf import PdfReader

from services.publication.cleaning import MOST_PIXELS, clean, clean_apart
from services.publication.pdf import Unfit
from shared.contracts.errors import BadInput

MARK: Final = "ZHANGSANFENG"
ORIENTATION: Final = 0x0112
DESCRIPTION: Final = 0x010E
GPS: Final = 0x8825


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[DESCRIPTION], tags[ORIENTATION] = MARK, 6
    tags.get_ifd(GPS)[0x001D] = MARK
    return tags


def drawn(size: tuple[int, int] = (40, 24)) -> Image.Image:
    """Left half red, right half blue."""
    picture = Image.new("RGB", size, (220, 20, 20))
    picture.paste((20, 20, 220), (size[0] // 2, 0, *size))
    return picture


def saved(kind: str, picture: Image.Image | None = None, **more: Any) -> bytes:
    out = BytesIO()
    (picture or drawn()).save(out, kind, **more)
    return out.getvalue()


def photo() -> bytes:
    """A picture as a camera makes it, with a place, a comment, a profile, and something after its end."""
    profile = b"\0" * 128 + MARK.encode()
    return saved("JPEG", exif=exif(), comment=MARK.encode(), icc_profile=profile) + MARK.encode()


def png() -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", MARK)
    notes.add_itxt("XML:com.adobe.xmp", f"<x>{MARK}</x>")
    return saved("PNG", pnginfo=notes, exif=exif()) + MARK.encode()


def with_a_second_picture() -> bytes:
    """As phones make them (MPO): the second picture is for the phone's own use."""
    return saved("MPO", exif=exif(), save_all=True, append_images=[Image.new("RGB", (40, 24), "green")])


PICTURES: Final = {
    "a phone's": (with_a_second_picture, "image/jpeg"),
    "jpeg": (photo, "image/jpeg"),
    "png": (png, "image/png"),
    "webp": (lambda: saved("WEBP", exif=exif(), xmp=MARK.encode()), "image/jpeg"),
    "gif": (lambda: saved("GIF", comment=MARK.encode()), "image/png"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_r9_1_a_picture_keeps_its_pixels_and_nothing_else(name: str):
    make, media_type = PICTURES[name]
    dirty = make()
    assert MARK.encode() in dirty, "the test plants nothing"
    done = clean(dirty)
    assert done.media_type == media_type
    assert MARK.encode() not in done.content
    with Image.open(BytesIO(done.content)) as picture:
        assert picture.format == {"image/jpeg": "JPEG", "image/png": "PNG"}[media_type]
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert len(picture.getexif()) == 0
        seen: Any = picture.convert("RGB")
    if name == "gif":
        return
    # The camera was held upright (orientation 6): what was left is above.
    assert seen.size == (24, 40)
    assert seen.getpixel((12, 5))[0] > 180
    assert seen.getpixel((12, 35))[2] > 180


def test_r9_1_a_picture_s_transparency_stays():
    picture = drawn().convert("RGBA")
    picture.putpixel((0, 0), (0, 0, 0, 0))
    with Image.open(BytesIO(clean(saved("PNG", picture)).content)) as done:
        assert done.getpixel((0, 0))[3] == 0


def film() -> bytes:
    return saved("GIF", save_all=True, append_images=[Image.new("RGB", (40, 24), "green")])


def bomb() -> bytes:
    """A tiny file that would unpack to more pixels than are taken."""
    return saved("PNG", Image.new("1", (MOST_PIXELS // 1000, 1001)))


def office(name: str) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(f"{name}/document.xml", MARK)
    return out.getvalue()


REFUSED: Final = {
    "a film": (film, "still one"),
    "too many pixels": (bomb, "at most"),
    "half a picture": (lambda: photo()[:200], "too complex or damaged"),
    "a document of Word": (lambda: office("word"), "print it as a PDF"),
    "a table of Excel": (lambda: office("xl"), "print it as a PDF"),
    "sound": (lambda: b"ID3\x03\0\0\0\0\0\0" + b"\0" * 100, "Sound and films"),
    "a video": (lambda: b"\0\0\0\x18ftypmp42" + b"\0" * 100, "Sound and films"),
    "text": (MARK.encode, "Only PDFs and pictures"),
    "nothing like it": (lambda: b"\0" * 40, "Only PDFs and pictures"),
    "a PDF in name only": (lambda: b"%PDF-1.7\n" + MARK.encode(), "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_r9_1_what_cannot_be_cleaned_is_refused_with_what_to_do_in_both_languages(name: str):
    make, said = REFUSED[name]
    with pytest.raises(Unfit, match=said) as refused:
        clean(make())
    chinese, _, english = str(refused.value).partition(" / ")
    assert any("\u4e00" <= character <= "\u9fff" for character in chinese)
    assert english
    assert MARK not in str(refused.value)


# ── PDFs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pdf_of(content: bytes = b"", **page: Any) -> pikepdf.Pdf:
    """One page that says «Hello public»."""
    made = pikepdf.new()
    made.add_blank_page(page_size=(300, 200))
    drawing = b"BT /F1 12 Tf 20 150 Td (Hello public) Tj ET\n" + content
    made.pages[0].Contents = made.make_stream(drawing)
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    made.pages[0].Resources = Dictionary(Font=Dictionary(F1=font))
    for key, value in page.items():
        made.pages[0].obj[f"/{key}"] = value
    return made


def bytes_of(made: pikepdf.Pdf, **options: Any) -> bytes:
    out = BytesIO()
    made.save(out, **options)
    return out.getvalue()


def full_of_secrets() -> bytes:
    made = pdf_of(
        f"% {MARK}\n/Span <</ActualText ({MARK})>> BDC q 40 0 0 24 20 20 cm /Im0 Do Q EMC\n"
        f"/OC /MC0 BDC BT /F1 9 Tf 20 90 Td (layer) Tj ET EMC /Fm0 Do\n".encode()
    )
    page = made.pages[0]
    metadata = made.make_stream(f"<x>{MARK}</x>".encode(), Type=Name.Metadata, Subtype=Name.XML)
    colours = Array([Name.ICCBased, made.make_stream(MARK.encode(), N=3)])
    picture = made.make_stream(photo(), Type=Name.XObject, Subtype=Name.Image, Width=40, Height=24, BitsPerComponent=8)
    picture.ColorSpace, picture.Filter, picture.Metadata = colours, Name.DCTDecode, metadata
    form = made.make_stream(f"% {MARK}\n0 0 5 5 re f".encode(), Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    form.PieceInfo, form.LastModified = Dictionary(App=String(MARK)), String(MARK)
    unused = made.make_stream(f"({MARK}) Tj".encode(), Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    page.Resources.XObject = Dictionary(Im0=picture, Fm0=form, Unused=unused)
    layer = made.make_indirect(Dictionary(Type=Name.OCG, Name=String(MARK)))
    page.Resources.Properties = Dictionary(MC0=layer)
    made.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(OFF=Array([layer])))
    page.PieceInfo, page.Metadata = Dictionary(App=String(MARK)), metadata
    page.Thumb = made.make_stream(MARK.encode())
    note = Dictionary(Type=Name.Annot, Subtype=Name.Text, Rect=[0, 0, 9, 9], T=String(MARK), Contents=String(MARK))
    link = Dictionary(Subtype=Name.Link, Rect=[0, 0, 9, 9], A=Dictionary(S=Name.URI, URI=String(f"mailto:{MARK}")))
    filled = Dictionary(Subtype=Name.Widget, Rect=[0, 0, 9, 9], FT=Name.Tx, T=String(MARK), V=String(MARK))
    page.Annots = Array([made.make_indirect(one) for one in (note, link, filled)])
    made.Root.AcroForm = Dictionary(Fields=Array([page.Annots[2]]))
    made.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String(f"app.alert('{MARK}')"))
    made.Root.StructTreeRoot = Dictionary(K=Dictionary(S=Name.Figure, Alt=String(f"C:\\{MARK}.jpg")))
    made.Root.Outlines = made.make_indirect(Dictionary(Title=String(MARK)))
    made.attachments[f"{MARK}.txt"] = MARK.encode()
    made.docinfo["/Author"] = MARK
    with made.open_metadata() as xmp:
        xmp["dc:title"] = MARK
    return bytes_of(made) + f"\n% {MARK}".encode()


def all_of(content: bytes) -> Iterator[bytes]:
    """Everything that is in a PDF: as it stands, and each object and stream unpacked."""
    yield content
    with pikepdf.open(BytesIO(content)) as opened:
        for one in opened.objects:
            yield one.unparse() if not isinstance(one, pikepdf.Stream) else repr(one).encode()
            if isinstance(one, pikepdf.Stream):
                yield one.read_raw_bytes()
                if "/DCTDecode" not in str(one.get("/Filter")):
                    yield one.read_bytes()


def test_r9_1_a_pdf_keeps_what_its_pages_draw_and_nothing_else():
    dirty = full_of_secrets()
    planted = sum(MARK.encode() in part for part in all_of(dirty))
    assert planted > 15, "the test plants too little"
    done = clean(dirty)
    assert done.media_type == "application/pdf"
    assert [part for part in all_of(done.content) if MARK.encode() in part] == []
    with pikepdf.open(BytesIO(done.content)) as opened:
        assert set(opened.Root.keys()) == {"/Type", "/Pages"}
        assert set(opened.pages[0].obj.keys()) == {"/Type", "/Parent", "/MediaBox", "/Resources", "/Contents"}
        assert "/Info" not in opened.trailer
        drawing = opened.pages[0].Contents.read_bytes()
        with Image.open(BytesIO(opened.pages[0].Resources.XObject.Im0.read_raw_bytes())) as picture:
            assert picture.getpixel((5, 12))[0] > 180
    assert b"/Im0 Do" in drawing
    assert b"/Fm0 Do" in drawing
    assert "Hello public" in PdfReader(BytesIO(done.content)).pages[0].extract_text()


def test_r9_1_the_text_of_a_pdf_is_read_also_where_a_box_in_the_drawing_covers_it():
    done = clean(bytes_of(pdf_of(b"BT /F1 12 Tf 20 50 Td (13912345678) Tj ET 0 g 0 40 200 30 re f")))
    assert "13912345678" in done.text
    assert clean(photo()).text == ""


@pytest.mark.parametrize("kind", ["Square", "Redact", "Highlight", "FreeText", "Stamp", "Ink"])
def test_r9_1_a_box_drawn_over_a_pdf_page_is_refused_since_the_text_under_it_would_stay(kind: str):
    box = Dictionary(Type=Name.Annot, Subtype=Name(f"/{kind}"), Rect=[0, 0, 90, 90])
    with pytest.raises(Unfit, match="drawn over a page"):
        clean(bytes_of(pdf_of(Annots=Array([box]))))


def test_r9_1_a_locked_pdf_is_refused_with_and_without_a_password_to_open_it():
    for user in ("", "open me"):
        locked = bytes_of(pdf_of(), encryption=pikepdf.Encryption(owner="own", user=user))
        with pytest.raises(Unfit, match="encrypted"):
            clean(locked)


def test_r9_1_a_page_that_would_unpack_to_too_much_is_refused_before_it_is():
    made = pdf_of()
    made.pages[0].Contents = made.make_stream(b" " * 40_000_000)
    packed = bytes_of(made, compress_streams=True)
    assert len(packed) < 100_000
    with pytest.raises(Unfit, match="too large"):
        clean(packed)


def test_r9_1_a_picture_that_cannot_be_cleaned_inside_a_pdf_is_refused():
    made = pdf_of(b"/Im0 Do")
    made.pages[0].Resources.XObject = Dictionary(
        Im0=made.make_stream(b"\0\0\0\x0cjP  " + MARK.encode(), Subtype=Name.Image, Filter=Name.JPXDecode)
    )
    with pytest.raises(Unfit, match="JPEG 2000"):
        clean(bytes_of(made))


async def test_r9_1_files_are_cleaned_in_a_process_of_their_own_that_may_take_only_so_much():
    done = await clean_apart(photo(), "/file")
    assert done == clean(photo())
    text = await clean_apart(bytes_of(pdf_of()), "/file")
    assert "Hello public" in text.text
    for wrong in (film(), b"%PDF-1.7\nxx"):
        with pytest.raises(BadInput) as refused:
            await clean_apart(wrong, "/file")
        assert (refused.value.rule, refused.value.field) == ("R9.1", "/file")


async def test_r9_1_a_file_whose_cleaning_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.publication.cleaning.WALL_SECONDS", 0)
    with pytest.raises(BadInput, match="too complex or damaged"):
        await clean_apart(photo(), "/file")
