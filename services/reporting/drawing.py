"""What pages draw and show of documents: charts as part of the page, values of tables as they are read."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from markupsafe import Markup

from services.reporting.bulletin import Value, shown
from services.reporting.charts import Chart, Shape, svg
from services.reporting.statistics import StatisticsView
from services.reporting.wording import percent
from shared.web.languages import shanghai_date

WIDTH: Final = 440
"""Of drawings on pages: words can be read on a phone too."""


def draw(chart: Chart) -> Markup:
    """Return a chart as a part of a page; all its words are escaped in it."""
    return Markup(svg(chart, width=WIDTH))  # noqa: S704 - made of escaped words and our own attributes alone


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


def is_day(value: Value) -> bool:
    """Whether a value is a day or a moment, which is not to be broken into lines."""
    return isinstance(value, date)


def short_months(statistics: StatisticsView) -> list[str]:
    """Return the names of months as they have room under a drawing: `4`, with the year where one begins: `26/1`."""
    names = [f"{int(line.month[5:])}" for line in statistics.months]
    return [
        f"{line.month[2:4]}/{name}" if statistics.year is None and (place == 0 or name == "1") else name
        for place, (line, name) in enumerate(zip(statistics.months, names, strict=True))
    ]


HELPERS: Final[dict[str, Any]] = {
    "draw": draw,
    "plot": plot,
    "shown": shown,
    "is_day": is_day,
    "chinese_day": shanghai_date,
    "percent": percent,
    "short_months": short_months,
}
"""Given to every page that shows documents."""
