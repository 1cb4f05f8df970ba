"""What pages draw and show of documents: charts as part of the page, values of tables as they are read."""

from collections.abc import Sequence
from typing import Any, Final

from markupsafe import Markup

from services.reporting.bulletin import is_number, shown
from services.reporting.charts import Chart, Shape, svg
from services.reporting.wording import percent


def draw(chart: Chart) -> Markup:
    """Return a chart as a part of a page; all its words are escaped in it."""
    return Markup(svg(chart))  # noqa: S704 - made of escaped words and our own attributes alone


def plot(
    name: str,
    title: str,
    shape: str,
    labels: Sequence[str],
    *series: tuple[str, Sequence[float | None]],
    unit: str = "件",
) -> Markup | str:
    """Return a drawing of numbers that stand in a table of the page, whose words are in the page's language; nothing where all are 0."""
    chart = Chart(
        name, title, Shape(shape), tuple(labels), tuple((head, tuple(values)) for head, values in series), unit
    )
    return "" if chart.is_empty else draw(chart)


HELPERS: Final[dict[str, Any]] = {
    "draw": draw,
    "plot": plot,
    "shown": shown,
    "is_number": is_number,
    "percent": percent,
}
"""Given to every page that shows documents."""
