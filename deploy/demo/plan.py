"""Who does what with which letter: the demonstration's screenplay. Every way that a letter can go at present is in it.

fate            what happens to an assigned letter
system          the unit's own system collects and answers over its topics, at once
early           answered over HTTP on the third day; some after a first slip or a first draft was refused
assigner        the unit replies to the mayor's mailbox, which answers the citizen by phone (R8.3)
inside          a unit assigns to a department of its own, which answers
in-time         answered on the eighth working day
late            overdue, urged, on the notice board, then answered
explained       overdue but not urged, since its progress was explained (R7.1); then answered
silent          collected and never answered: urged again and again
uncollected     not even collected
"""

from typing import Any, Final

from shared.directory import Directory

SYSTEM_UNIT: Final = "urban-management"
"""The unit that works with a system of its own."""

# The calendar of the demonstration. Ten working days from Monday 9 February cross the Spring Festival (15 to 23 February) and two make-up
# Saturdays: 10–14, 24–28 February.
POSTED: Final = "2026-02-09"
COLLECTED: Final = "2026-02-10"
ANSWERED_EARLY: Final = "2026-02-12"
PUBLISHED_FIRST: Final = "2026-02-13"
ANSWERED_IN_TIME: Final = "2026-02-26"
REMINDED: Final = "2026-02-27"
LAST_DAY: Final = "2026-02-28"
OVERDUE: Final = "2026-03-01"
BOARD_SEEN: Final = "2026-03-02"
ANSWERED_LATE: Final = "2026-03-03"
URGED_AGAIN: Final = "2026-03-05"
PUBLISHED_SECOND: Final = "2026-03-06"
COUNTED: Final = "2026-03-09"
WEEKS: Final = {
    "2026-W07": ("2026-02-09", "2026-02-16"),
    "2026-W08": ("2026-02-16", "2026-02-23"),
    "2026-W09": ("2026-02-23", "2026-03-02"),
    "2026-W10": ("2026-03-02", "2026-03-09"),
}
"""Week → its first day and the first day after it."""

DISCARDED: Final = {
    "法院判了两年还没有执行到钱": "outside_government",
    "请帮忙转告我们支部改选的时间太仓促": "outside_government",
    "啊啊啊啊啊": "repeated_or_empty",
    "第三次写信：还是上次那段断头路，不另外重复了": "repeated_or_empty",
    "特大喜讯！免费领取纳米富硒床垫": "advertising",
}
"""Subject → why it is not accepted (R3.0)."""

CORRECTIONS: Final[dict[str, dict[str, Any]]] = {
    "职高学生能不能参加统招本科": {"domain": "education-exams"},
    "公司拿“自愿放弃加班费”承诺书逼我们签": {"nature": "complaint"},
    "把公共图书馆的还书箱放进轨道站": {"domain": "welfare-culture"},
    "预付卡换了老板就不认账": {"region": "500000"},
}
"""Subject → what staff correct in the citizen's classification (R3.2)."""

READ_NEXT_DAY: Final = "果皮箱请换成有盖子的"
"""Nobody reads it on the day it arrives (R3.1)."""

INSIDE: Final = {"化粪池满溢到一楼厨房": "water-group-pipes", "水龙头放出来的水一股漂白粉味": "water-group-service"}
"""Subject of a letter to a unit → the department inside it that gets it."""

UNITS: Final = {
    "utilities": "water-group",
    "utilities-power": "power",
    "utilities-gas": "gas-group",
    "utilities-telecom": "telecom-authority",
    "transport": "transport",
    "transport-bus": "bus",
    "transport-metro": "metro",
    "education": "education",
    "housing": "housing",
    "environment": "ecology",
    "city": SYSTEM_UNIT,
    "health": "health",
    "health-insurance": "medical-insurance",
    "work": "human-resources",
    "safety": "public-security",
    "safety-fire": "fire-rescue",
    "safety-disasters": "emergency",
    "market": "market-regulation",
    "countryside": "agriculture",
    "welfare": "civil-affairs",
    "welfare-culture": "culture-tourism",
    "welfare-tourism": "culture-tourism",
}
"""Domain of either level → the unit that the mayor's mailbox assigns such letters to. Others stay on the pending list (拟办)."""

FATES: Final = {
    SYSTEM_UNIT: ("system",),
    "education": ("early",),
    "ecology": ("early",),
    "health": ("assigner",),
    "medical-insurance": ("assigner",),
    "market-regulation": ("late", "late", "late", "in-time"),
    "human-resources": ("explained", "in-time"),
    "housing": ("silent", "silent", "in-time"),
    "civil-affairs": ("uncollected", "in-time"),
}
"""Unit → the fates of its letters in their order, the last one for all that follow; `in-time` where a unit is not named."""

GENERAL_REPLY: Final = (
    "您好！来信收悉。经核实，您反映的情况属实，我们已安排专人负责，并将整改结果在社区公告栏公布。感谢您的监督。"
)


def screening(sample: dict[str, Any]) -> str:
    """Return what a clerk does with a letter: `register`, `note`, `tomorrow`, or the reason not to accept it."""
    subject = sample["subject"]
    if subject == READ_NEXT_DAY:
        return "tomorrow"
    return DISCARDED.get(subject) or ("note" if sample["nature"] == "other" else "register")


def unit_for(domain: str, directory: Directory) -> str:
    """Return the unit that handles a domain; empty: nobody yet."""
    return UNITS.get(domain) or UNITS.get(directory.domain(domain).path[0], "")


def fate_of(unit: str, position: int) -> str:
    """Return what happens to the letter that a unit gets as its `position`-th from the mayor's mailbox, from 0."""
    fates = FATES.get(unit, ("in-time",))
    return fates[min(position, len(fates) - 1)]
