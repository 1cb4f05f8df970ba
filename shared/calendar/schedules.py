"""Yearly schedules of holidays and make-up working days, for years that the calendar library does not know yet.

One YAML file a year, as the State Council announces it::

    year: 2027
    holidays: [2027-01-01, 2027-02-05, …]     # days off; weekends need not be listed
    working: [2027-02-07, …]                  # make-up working days (调休)

A schedule may reach into the last week of the December before it, as New Year's sometimes does.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from shared.yaml_files import load_yaml

REACH_BACK = timedelta(days=7)


class ScheduleError(ValueError):
    """Schedule files are refused (R6.1); the message lists everything that is wrong with them."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__("R6.1: working-day schedules are refused:" + "".join(f"\n  - {text}" for text in problems))


@dataclass(frozen=True, slots=True)
class YearSchedule:
    """The announced schedule of one year.

    Attributes:
        year: the calendar year it is for.
        holidays: days off that would otherwise be working days (weekends may be among them).
        working: Saturdays and Sundays that are worked instead.
    """

    year: int
    holidays: frozenset[date]
    working: frozenset[date]


def load_schedules(folder: Path) -> tuple[YearSchedule, ...]:
    """Load every ``*.yaml`` in a folder, in the order of the years.

    Raises:
        ScheduleError: a file is malformed, or two speak about the same year or day; all problems are listed.
    """
    problems: list[str] = []
    schedules: list[YearSchedule] = []
    if not folder.is_dir():
        raise ScheduleError([f"the folder {folder} does not exist; create it or unset the setting"])
    for file in sorted(folder.glob("*.yaml")):
        try:
            content = load_yaml(file)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            problems.append(f"{file.name}: cannot be read ({error}); write it as YAML in UTF-8")
            continue
        wrong = list(_problems(content))
        problems.extend(f"{file.name}: {text}" for text in wrong)
        if not wrong:
            holidays, working = (frozenset(content.get(field) or ()) for field in ("holidays", "working"))
            schedules.append(YearSchedule(content["year"], holidays, working))
    schedules.sort(key=lambda schedule: schedule.year)
    problems.extend(_conflicts(schedules))
    if problems:
        raise ScheduleError(problems)
    return tuple(schedules)


def _problems(content: Any) -> Iterator[str]:
    if not isinstance(content, dict) or not isinstance(content.get("year"), int):
        yield "year is missing; write e.g. year: 2027"
        return
    year = content["year"]
    if not 2000 <= year <= 2200:
        yield f"year {year} is not between 2000 and 2200; correct it"
        return
    for unknown in content.keys() - {"year", "holidays", "working"}:
        yield f"{unknown} is not a field; use year, holidays, working"
    days: dict[str, set[date]] = {}
    for field in ("holidays", "working"):
        values = content.get(field) or []
        if not isinstance(values, list):
            yield f"{field} must be a list of dates such as {year}-01-01"
            continue
        days[field] = set()
        for value in values:
            if type(value) is not date:
                yield f"{field}: {value!r} is not a date; write it as {year}-01-01"
            elif not date(year, 1, 1) - REACH_BACK <= value <= date(year, 12, 31):
                yield f"{field}: {value} lies outside {year}; move it to that year's file"
            elif field == "working" and value.weekday() < 5:
                yield f"working: {value} is no Saturday or Sunday; only make-up working days are listed"
            else:
                days[field].add(value)
    for day in sorted(days.get("holidays", set()) & days.get("working", set())):
        yield f"{day} is listed both as a holiday and as working; keep one"


def _conflicts(schedules: Iterable[YearSchedule]) -> Iterator[str]:
    years: set[int] = set()
    listed: dict[date, int] = {}
    for schedule in schedules:
        if schedule.year in years:
            yield f"year {schedule.year} has two files; merge them"
        years.add(schedule.year)
        for day in sorted(schedule.holidays | schedule.working):
            if listed.setdefault(day, schedule.year) != schedule.year:
                yield f"{day} is listed for both {listed[day]} and {schedule.year}; keep one"
