"""Charts as SVG, drawn by pygal and then cleaned: nothing in them but shapes, words and presentation attributes.

What pygal draws carries a style sheet and a script, which the pages' policy forbids and paper cannot run. So every element is copied into a
new tree with attributes of our own. Words take the colour of the page around them (`currentColor`), so one drawing does on a light screen,
on a dark one and on paper. Series differ in colour and in filling, so they can be told apart without seeing colours. The same numbers stand
in a table beside each chart, which is what a screen reader reads; the drawing itself is one image with a title and a description (WCAG
1.1.1, 1.4.1).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from xml.etree import ElementTree as ET

WIDTH: Final = 640
"""On paper; words are then as large as those of tables."""
_SIZE: Final = 13
_LABELS: Final = 0.3
"""So much of the width may be taken by names; whole ones stand in the table beside the drawing."""
_MOST_NUMBERS: Final = 14
"""So many numbers have room over standing bars."""
_SVG: Final = "http://www.w3.org/2000/svg"
_DECIMALS: Final = re.compile(r"-?(?<!\d)\d+\.\d+")


class Shape(StrEnum):
    """What kind of drawing."""

    BARS = "bars"
    """Lying bars, one group for each label from top to bottom: for names."""
    STACKED = "stacked"
    """Lying bars whose series follow each other: for parts of a whole."""
    COLUMNS = "columns"
    """Standing bars from left to right: for moments in time."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: a number for each label in each series; None is a gap, for what is not known."""

    name: str
    """Unique on its page; letters, digits and hyphens."""
    title: str
    shape: Shape
    labels: tuple[str, ...]
    series: tuple[tuple[str, tuple[float | None, ...]], ...]
    unit: str = "件"

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for _, values in self.series for value in values)

    @property
    def description(self) -> str:
        """What is drawn, in words: where each series is largest."""
        told = []
        for name, values in self.series:
            most = max((value for value in values if value), default=0)
            told.append(f"{name} ≤ {most:g} {self.unit}" + (f"（{self.labels[values.index(most)]}）" if most else ""))
        return "；".join(told)


@dataclass(frozen=True, slots=True)
class _Look:
    colour: str
    opacity: str
    dashes: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        dashes = {"stroke-dasharray": self.dashes} if self.dashes else {}
        return {"fill": self.colour, "fill-opacity": self.opacity, "stroke": self.colour, "stroke-width": "1", **dashes}


_LOOKS: Final = (_Look("#2b78b8", "1"), _Look("#cf5b0d", "0.3"), _Look("#7a7f87", "0", "3 2"))
"""Each has a contrast of at least 3:1 with the paper and with the dark page (WCAG 1.4.11); full, pale and empty differ in grey too."""
_WORDS: Final = {"fill": "currentColor", "font-size": str(_SIZE)}
_GUIDE: Final = {"stroke": "currentColor", "stroke-opacity": "0.2", "stroke-width": "1", "fill": "none"}
_AXIS: Final = {**_GUIDE, "stroke-opacity": "0.7"}


def svg(chart: Chart, *, width: int = WIDTH, font: str = "", show: Callable[[str], str] = str) -> str:
    """Return a chart as one SVG element; the same chart gives the same text.

    `width` is what words are measured against: in a narrow drawing they are larger where it is shown as wide. `font` names a typeface where
    no page around says one; `show` makes every word such that it can be printed.
    """
    shown = replace(
        chart,
        title=show(chart.title),
        labels=tuple(show(label) for label in chart.labels),
        series=tuple((show(name), values) for name, values in chart.series),
    )
    drawn = _draw(shown, width)
    root = ET.Element("svg", {"xmlns": _SVG, "viewBox": drawn.get("viewBox", ""), "class": "chart", "role": "img"})
    root.set("aria-labelledby", f"chart-{chart.name}-title chart-{chart.name}-about")
    if font:
        root.attrib |= {"font-family": font, "color": "#111111"}
    ET.SubElement(root, "title", {"id": f"chart-{chart.name}-title"}).text = shown.title
    ET.SubElement(root, "desc", {"id": f"chart-{chart.name}-about"}).text = shown.description
    _Copy(chart.shape is not Shape.COLUMNS, chart.shape is Shape.STACKED).children(drawn, root, (), 0)
    return ET.tostring(root, encoding="unicode")


def _draw(chart: Chart, width: int) -> Any:
    """Return pygal's drawing as a tree; lying bars are drawn from the bottom, so their labels go in upside down."""
    import pygal  # type: ignore[import-untyped]  # noqa: PLC0415 - up to 13 MB that only whoever draws pays for
    from pygal.style import Style  # type: ignore[import-untyped]  # noqa: PLC0415

    lying, many = chart.shape is not Shape.COLUMNS, len(chart.series) > 1
    kind = {
        Shape.BARS: pygal.HorizontalBar,
        Shape.STACKED: pygal.HorizontalStackedBar,
        Shape.COLUMNS: pygal.Bar,
    }[chart.shape]
    labels = [_shortened(label, width * _LABELS / _SIZE) for label in chart.labels]
    ticks = _ticks(_tallest(chart))
    thick = 26 if not many or chart.shape is Shape.STACKED else 18 * len(chart.series)
    widest = max((_wide(label) for label in labels), default=0)
    drawing = kind(
        style=Style(label_font_size=_SIZE, major_label_font_size=_SIZE, legend_font_size=_SIZE, value_font_size=1),
        width=width,
        height=70 + 24 * many + thick * max(len(labels), 1) if lying else 280,
        explicit_size=True,
        js=[],
        no_prefix=True,
        show_legend=many,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(chart.series),
        legend_box_size=_SIZE,
        truncate_legend=-1,
        truncate_label=-1,
        margin=8,
        # pygal takes a Chinese character for as wide as a digit, so what it makes room for is made up here.
        margin_left=int(widest * _SIZE) - int(0.6 * _SIZE * max((len(label) for label in labels), default=0)) + 8
        if lying
        else 8,
        margin_right=34 if lying else 8,
        print_values=lying or len(labels) * len(chart.series) <= _MOST_NUMBERS,
        print_values_position="center" if chart.shape is Shape.STACKED else "top",
        print_zeroes=not many,
        range=(0, ticks[-1]),
        y_labels=ticks,
        formatter=lambda value: f"{value:g}",
        disable_xml_declaration=True,
        no_data_text="",
    )
    order = slice(None, None, -1 if lying else 1)
    drawing.x_labels = labels[order]
    for name, values in chart.series:
        drawing.add(name, list(values)[order])
    return drawing.render_tree()


def _tallest(chart: Chart) -> float:
    if chart.shape is Shape.STACKED:
        return max(
            (sum(value or 0 for value in column) for column in zip(*(v for _, v in chart.series), strict=True)),
            default=0,
        )
    return max((value or 0 for _, values in chart.series for value in values), default=0)


def _ticks(most: float) -> list[float]:
    """Return round numbers from 0 to at least `most`, at most seven, whole ones only."""
    step = 1
    while step * 5 < most:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return [step * number for number in range(max(2, int(-(-most // step)) + 1))]


def _wide(text: str) -> float:
    """Return how wide a text is, in widths of a Chinese character."""
    return sum(1.0 if unicodedata.east_asian_width(one) in "WFA" else 0.6 for one in text)


def _shortened(label: str, most: float) -> str:
    """Return a label that leaves room for the drawing, at most so many Chinese characters wide."""
    kept = ""
    for character in label:
        if _wide(label) > most and _wide(kept + character) > most - 1:
            return kept + "…"
        kept += character
    return label


class _Copy:
    """Copies what is to be seen of pygal's tree, with attributes of our own in place of its classes."""

    def __init__(self, lying: bool, stacked: bool) -> None:
        self._lying = lying
        self._stacked = stacked

    def children(self, source: Any, target: ET.Element, inside: tuple[str, ...], series: int) -> None:
        """Copy all that is in an element; `inside` are the classes around it."""
        for node in source:
            if not isinstance(node.tag, str):
                continue
            tag = node.tag.rpartition("}")[2]
            classes = tuple(node.get("class", "").split())
            around = (*inside, *classes)
            number = next((int(c[6:]) for c in classes if c.startswith("color-")), series)
            if tag == "g" and not {"tooltip-overlay", "titles"} & set(classes):
                group = ET.Element("g", _moved(node))
                if "legend" in classes:
                    number = int(node.get("id", "0").rpartition("-")[2])
                self.children(node, group, around, number)
                if len(group):
                    target.append(group)
            elif tag == "rect" and "background" not in classes:
                target.append(
                    ET.Element("rect", {**_numbers(node, "x", "y", "width", "height"), **_LOOKS[number % 3].attributes})
                )
            elif tag == "path" and "line" in classes:
                self._line(node, target, around)
            elif tag == "text" and node.text:
                self._text(node, target, around, number)

    def _line(self, node: Any, target: ET.Element, around: Iterable[str]) -> None:
        if ("y" if self._lying else "x") in around:  # no lines beside names
            return
        look = _AXIS if "axis" in node.get("class", "").split() else _GUIDE
        target.append(ET.Element("path", {"d": _rounded(node.get("d", "")), **look}))

    def _text(self, node: Any, target: ET.Element, around: tuple[str, ...], series: int) -> None:
        if "text-overlay" in around:
            right, down = (3, 4) if self._lying and not self._stacked else (0, 4) if self._lying else (0, -2)
            place = {"x": f"{float(node.get('x')) + right:.1f}", "y": f"{float(node.get('y')) + down:.1f}"}
            anchor = "start" if self._lying and not self._stacked else "middle"
            words = {**_WORDS, "font-size": str(_SIZE - 1)}
            if self._stacked and series == 0:
                words["fill"] = "#ffffff"
        elif "legends" in around:
            place, anchor, words = _numbers(node, "x", "y"), "start", _WORDS
        else:
            place, words = _numbers(node, "x", "y"), _WORDS
            anchor = "end" if "y" in around else "middle"
        element = ET.Element("text", {**place, "text-anchor": anchor, **words})
        element.text = node.text
        target.append(element)


def _moved(node: Any) -> dict[str, str]:
    return {"transform": _rounded(node.get("transform"))} if node.get("transform") else {}


def _numbers(node: Any, *names: str) -> dict[str, str]:
    return {name: _rounded(node.get(name, "0")) for name in names}


def _rounded(text: str) -> str:
    return _DECIMALS.sub(lambda number: f"{float(number[0]):.1f}", text)
