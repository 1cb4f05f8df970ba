"""What a dashboard is, in short, and how it becomes the JSON that Grafana (10 or newer) reads.

A description says titles (Chinese, then English), queries and units; places and ids follow from the order of panels, so that a panel more
is one line more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = 24
"""Grafana's grid is so wide."""
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION = 39

Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """One query of a panel."""

    expr: str
    """PromQL; may name `$__rate_interval` and the dashboard's variables."""
    legend: str = ""
    """How its series are called, e.g. `{{mailbox}}`."""


@dataclass(frozen=True)
class Panel:
    """One panel."""

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    """Grafana's id of a unit: short, s, reqps, ops, bytes, percentunit, d …"""
    kind: str = "timeseries"
    """`timeseries`, `stat`, `bargauge` or `table`."""
    width: int = 8
    height: int = 7
    about: str = ""
    """What it means and when to worry, for whoever points at it."""
    limits: Sequence[tuple[float, str]] = ()
    """From which value which colour; below the first: green."""


@dataclass(frozen=True)
class Row:
    """A line across, with a title."""

    title: str


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values of a label."""

    name: str
    label: str
    metric: str


@dataclass(frozen=True)
class Dashboard:
    """One dashboard."""

    uid: str
    title: str
    about: str
    content: Sequence[Panel | Row]
    variables: Sequence[Variable] = ()
    refresh: str = "30s"

    def queries(self) -> Iterator[tuple[str, str]]:
        """Every query, with the title of its panel."""
        for panel in self.content:
            if isinstance(panel, Panel):
                for query in panel.queries:
                    yield panel.title, query.expr

    def json(self) -> Json:
        """What Grafana reads."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["xinxiang"],
            "timezone": "Asia/Shanghai",
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": self.refresh,
            "time": {"from": "now-6h", "to": "now"},
            "links": [
                {
                    "type": "dashboards",
                    "title": "信箱 Xinxiang",
                    "tags": ["xinxiang"],
                    "asDropdown": True,
                    "keepTime": True,
                }
            ],
            "annotations": {"list": []},
            "templating": {"list": [_datasource(), *map(_variable, self.variables)]},
            "panels": list(_placed(self.content)),
        }


def _datasource() -> Json:
    return {
        "name": "datasource",
        "label": "数据源 Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.name})"
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed(content: Sequence[Panel | Row]) -> Iterator[Json]:
    """Put panels from left to right, and into a new line where the next has no room."""
    x = y = height = 0
    for number, part in enumerate(content, start=1):
        width, tall = (COLUMNS, 1) if isinstance(part, Row) else (part.width, part.height)
        if x + width > COLUMNS:
            x, y, height = 0, y + height, 0
        place = {"x": x, "y": y, "w": width, "h": tall}
        x, height = x + width, max(height, tall)
        head = {"id": number, "title": part.title, "gridPos": place}
        yield head | ({"type": "row", "collapsed": False, "panels": []} if isinstance(part, Row) else _panel(part))


def _panel(panel: Panel) -> Json:
    at_once = panel.kind != "timeseries"
    steps = [{"color": "green", "value": None}, *({"color": color, "value": at} for at, color in panel.limits)]
    return {
        "type": panel.kind,
        "description": panel.about,
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": at_once,
                "range": not at_once,
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for number, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": _OPTIONS[panel.kind],
    }


_REDUCED = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
_OPTIONS: dict[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": _REDUCED | {"colorMode": "background", "graphMode": "area"},
    "bargauge": _REDUCED | {"orientation": "horizontal", "displayMode": "gradient"},
    "table": {"showHeader": True},
}
