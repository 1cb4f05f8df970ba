"""Charts that the pages' policy lets through, that paper prints, and that say what they are (R11.2, R10.4)."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reporting.charts import _LOOKS, Chart, Shape, svg

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {
    "svg": {"viewBox", "class", "role", "aria-labelledby", "font-family", "color"},
    "title": {"id"},
    "desc": {"id"},
    "g": {"transform"},
    "rect": {"x", "y", "width", "height", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray"},
    "path": {"d", "fill", "stroke", "stroke-opacity", "stroke-width"},
    "text": {"x", "y", "text-anchor", "fill", "font-size"},
}
"""Element → attributes: no style, no script, no link, no handler."""


def chart(shape: Shape = Shape.BARS, labels: tuple[str, ...] = ("求助", "投诉")) -> Chart:
    series = (("本周", tuple(range(3, 3 + len(labels)))), ("上周", tuple(range(len(labels)))))
    return Chart("natures", "来信按性质分类", shape, labels, series)


def parts(drawing: str) -> list[ET.Element]:
    return list(ET.fromstring(drawing).iter())


@pytest.mark.parametrize("shape", list(Shape))
def test_r11_2_a_chart_has_nothing_that_the_page_policy_forbids(shape: Shape) -> None:
    drawing = svg(chart(shape, ("<script>alert(1)</script>", 'a" onload="x', "&amp;")))
    for element in parts(drawing):
        tag = element.tag.removeprefix(SVG)
        assert set(element.attrib) <= ALLOWED[tag], tag
    assert "<script" not in drawing


def test_r11_2_a_chart_is_an_image_with_a_title_and_a_description() -> None:
    root = parts(svg(chart()))[0]
    assert root.get("role") == "img"
    named = {element.get("id"): element.text for element in root}
    title, about = (named[one] for one in root.get("aria-labelledby", "").split())
    assert title == "来信按性质分类"
    assert about == "本周 ≤ 4 件（投诉）；上周 ≤ 1 件（投诉）"


def test_r11_2_a_chart_shows_the_numbers_and_labels_that_it_was_given() -> None:
    drawn = Chart("a", "题", Shape.BARS, ("求助", "投诉"), (("本周", (17, 5)),))
    texts = [element.text for element in parts(svg(drawn)) if element.tag == f"{SVG}text"]
    assert {"求助", "投诉", "17", "5"} <= set(texts)
    wide = [float(e.get("width", 0)) for e in parts(svg(drawn)) if e.tag == f"{SVG}rect"]
    assert max(wide) / min(wide) == pytest.approx(17 / 5, rel=0.01)


@given(
    st.sampled_from(Shape),
    st.lists(st.tuples(st.text(max_size=40), st.one_of(st.none(), st.integers(0, 10**6))), max_size=12),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_r11_2_whatever_the_numbers_and_names_a_chart_is_well_formed_and_the_same_again(
    shape: Shape, lines: list[tuple[str, int | None]], series: int
) -> None:
    # Names reach charts as they can be printed (shared.printing.text), so control characters are not drawn.
    labels = tuple("".join(c for c in name if c.isprintable()) for name, _ in lines)
    values = tuple(value for _, value in lines)
    drawn = Chart("a", "题", shape, labels, tuple((str(n), values) for n in range(series)))
    drawing = svg(drawn)
    assert ET.fromstring(drawing).tag == f"{SVG}svg"
    assert drawing == svg(drawn)


def test_the_colours_of_charts_are_seen_on_paper_and_on_the_dark_page() -> None:
    for look in _LOOKS:
        for background in ("#ffffff", "#1c2026"):
            assert contrast(look.colour, background) >= 3, (look, background)
    assert len({(look.opacity, look.dashes) for look in _LOOKS}) == len(_LOOKS), "fillings differ, not colours alone"
    assert contrast("#ffffff", _LOOKS[0].colour) >= 4.5, "numbers inside the first series are white"


def contrast(one: str, other: str) -> float:
    """Contrast of two colours (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
