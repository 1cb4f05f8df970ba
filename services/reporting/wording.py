"""Numbers in Chinese sentences, as bulletins of an office have them: 共收到来信128件，较上周增加12件（10.3%），与去年同期持平."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from services.reporting.issue_view import Comparison, Series


@dataclass(frozen=True, slots=True)
class Words:
    """How a series speaks of its periods."""

    now: str
    before: str
    year_before: str


WORDS: Final = {
    Series.WEEKLY: Words("本周", "上周", "去年同期"),
    Series.MONTHLY: Words("本月", "上月", "去年同月"),
    Series.QUARTERLY: Words("本季度", "上季度", "去年同季度"),
    Series.YEARLY: Words("本年", "上年", "上年"),
}
_NUMERALS: Final = "〇一二三四五六七八九十"


def number(value: float) -> str:
    """Return `12`, or `3.5`: whole numbers without a point, others with one digit after it."""
    return f"{value:.1f}".removesuffix(".0")


def percent(share: float) -> str:
    """Return `93.8%` of a share from 0 to 1."""
    return f"{number(share * 100)}%"


def amount(value: float, unit: str) -> str:
    """Return a number with its unit: `128件`, `93.8%`."""
    return f"{number(value)}{unit}"


def numeral(place: int) -> str:
    """Return `一`, `二` … `十九`: how sections are numbered."""
    return _NUMERALS[place] if place <= 10 else f"十{_NUMERALS[place - 10]}"


def days(first: date, last: date) -> str:
    """Return `2026年2月9日至2月15日`; the year comes again where it is another one."""
    end = f"{last.month}月{last.day}日"
    again = f"{last.year}年" if last.year != first.year else ""
    return f"{first.year}年{first.month}月{first.day}日至{again}{end}"


def moved(now: float, before: float | None, than: str, unit: str) -> str:
    """Return how a number moved: `较上周增加12件（10.3%）`, `与上周持平`; empty where there is nothing to compare with.

    There is no percentage of nothing; shares move by percentage points (个百分点).
    """
    if before is None:
        return ""
    difference = round(now - before, 1)
    if difference == 0:
        return f"与{than}持平"
    if unit == "%":
        return f"较{than}{'提高' if difference > 0 else '下降'}{number(abs(difference))}个百分点"
    more = "增加" if difference > 0 else "减少"
    share = f"（{percent(abs(difference) / before)}）" if before else ""
    return f"较{than}{more}{number(abs(difference))}{unit}{share}"


def compared(figure: Comparison, words: Words) -> str:
    """Return a figure with how it moved: `128件，较上周增加12件（10.3%），较去年同期减少5件（3.8%）`; `暂无` where it is not known."""
    if figure.now is None:
        return "暂无"
    parts = [amount(figure.now, figure.unit), moved(figure.now, figure.before, words.before, figure.unit)]
    if words.year_before != words.before:
        parts.append(moved(figure.now, figure.year_before, words.year_before, figure.unit))
    return "，".join(part for part in parts if part)


def listed(parts: Iterable[tuple[str, int]], whole: int = 0, most: int = 6) -> str:
    """Return `求助45件（35.2%）、投诉33件（25.8%）`: what there is any of, the largest first, shares of `whole` where that is given."""
    found = sorted(((name, count) for name, count in parts if count), key=lambda part: -part[1])
    told = [f"{name}{count}件" + (f"（{percent(count / whole)}）" if whole else "") for name, count in found[:most]]
    return "、".join(told) + ("等" if len(found) > most else "")


def names(found: Sequence[str], most: int = 5) -> str:
    """Return `市教委、渝中区等8个单位`: some names, and how many there are where not all are named."""
    return "、".join(found[:most]) + (f"等{len(found)}个单位" if len(found) > most else "")
