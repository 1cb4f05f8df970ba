"""Panels of one query, as most are."""

from typing import Any

from deploy.dashboards.model import Panel, Query

BAD = ((1, "red"),)
"""Red from 1 on: there should be none."""


def one(title: str, expr: str, legend: str = "", **more: Any) -> Panel:
    """A panel of one query."""
    return Panel(title, [Query(expr, legend)], **more)


def number(title: str, expr: str, **more: Any) -> Panel:
    """A small panel with one number."""
    return one(title, expr, kind="stat", **({"width": 4, "height": 4} | more))
