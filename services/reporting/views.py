"""Figures as the API and the bulletin show them: with names from the directory, every nature and reason listed, zeros included."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.reporting.figures import BY_CODE, Figure
from services.reporting.periods import Period
from services.reporting.summing import SINGLE, Figures, Handling, mean, median
from shared.contracts.types import InvalidReason, Labelled, Moment, Nature, Way
from shared.directory import Directory, UnknownEntry

TITLE = "市长信箱工作周报"


class View(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class Part(View):
    """One line of a breakdown."""

    code: str
    label: Annotated[str, Field(description="Chinese name")]
    count: int


class HandlingView(View):
    """How assignments went; see the field of the same name in the definitions (R6.1, R7.1)."""

    assigned: Annotated[int, Field(description=Figure.ASSIGNED.meaning)]
    collected: Annotated[int, Field(description=Figure.COLLECTED.meaning)]
    answered_in_time: Annotated[int, Field(description=Figure.ANSWERED_IN_TIME.meaning)]
    answered_late: Annotated[int, Field(description=Figure.ANSWERED_LATE.meaning)]
    became_overdue: Annotated[int, Field(description=Figure.BECAME_OVERDUE.meaning)]
    extended: Annotated[int, Field(description=Figure.EXTENDED.meaning)]
    urged: Annotated[int, Field(description=Figure.URGED.meaning)]
    sent_back: Annotated[int, Field(description=Figure.SENT_BACK.meaning)]
    returned: Annotated[int, Field(description=Figure.RETURNED.meaning)]
    withdrawn: Annotated[int, Field(description=Figure.WITHDRAWN.meaning)]
    open: Annotated[int, Field(description=Figure.OPEN.meaning)]
    overdue: Annotated[int, Field(description=Figure.OVERDUE.meaning)]
    timeliness: Annotated[float | None, Field(description=Figure.TIMELINESS.meaning + "；0 至 1")]


class UnitView(HandlingView):
    """How the assignments between this mailbox and another went."""

    mailbox: str
    name: str


class TakenView(View):
    """How long something took, in working days; null where nothing was done."""

    mean: Annotated[float | None, Field(description="To a tenth.")]
    median: float | None


class Assignments(View):
    """Assignments per mailbox at the other end, in the directory's order, and all together."""

    units: list[UnitView]
    total: HandlingView
    reply_days: Annotated[TakenView, Field(description=Figure.REPLY_DAYS.meaning)]


class FiguresView(View):
    """The figures of a mailbox, or of the whole city, in a period (R10.4)."""

    mailbox: Annotated[str | None, Field(description="Null: the whole city.")]
    name: str
    first_day: Annotated[date, Field(description="First day counted, Asia/Shanghai.")]
    last_day: Annotated[date, Field(description="Last day counted, Asia/Shanghai.")]
    starts_at: Moment
    ends_at: Annotated[Moment, Field(description="The first moment no longer counted.")]
    up_to_date: Annotated[
        bool, Field(description="False: facts have come in that are being counted at this moment; ask again shortly.")
    ]
    received: Annotated[int, Field(description=Figure.RECEIVED.meaning)]
    natures: Annotated[list[Part], Field(description=Figure.NATURE.meaning)]
    domains: Annotated[list[Part], Field(description=Figure.DOMAIN.meaning)]
    regions: Annotated[list[Part], Field(description=Figure.REGION.meaning)]
    read_late: Annotated[int, Field(description=Figure.READ_LATE.meaning)]
    registered: Annotated[int, Field(description=Figure.REGISTERED.meaning)]
    discarded: Annotated[int, Field(description=Figure.DISCARDED.meaning)]
    discard_reasons: list[Part]
    noted: Annotated[int, Field(description=Figure.NOTED.meaning)]
    dispositions: Annotated[list[Part], Field(description=f"{Figure.DISPOSED.meaning}；“掌握”：{Figure.NOTED.meaning}")]
    answered: Annotated[int, Field(description=Figure.ANSWERED.meaning)]
    finished: Annotated[int, Field(description=Figure.FINISHED.meaning)]
    open_letters: Annotated[int, Field(description=Figure.OPEN_LETTERS.meaning)]
    answer_days: Annotated[TakenView, Field(description=Figure.ANSWER_DAYS.meaning)]
    published: Annotated[int, Field(description=Figure.PUBLISHED.meaning)]
    withheld: Annotated[int, Field(description=Figure.WITHHELD.meaning)]
    assigned: Annotated[Assignments, Field(description="What this mailbox assigned, per assignee.")]
    undertaken: Annotated[Assignments, Field(description="What this mailbox was assigned, per assigner.")]


HANDLING = tuple(BY_CODE[name] for name in Handling.model_fields)
"""The figures of assignments."""


class Bulletin(View):
    """《市长信箱工作周报》 as data (R11.2): the mayor's mailbox and the units' handling of what it assigned."""

    week: Annotated[str, Field(description="ISO 8601 week.", examples=["2026-W07"])]
    title: str
    ended: Annotated[bool, Field(description="False: the week is not over; its figures still grow.")]
    issue: Annotated[
        str | None,
        Field(description="Id of the number that was issued of this week; null: a preview, which is not issued yet."),
    ] = None
    figures: FiguresView
    before: Annotated[FiguresView, Field(description="The week before.")]
    before_week: Annotated[str, Field(examples=["2026-W06"])]
    change: Annotated[dict[str, int], Field(description="Figure → this week's number less that of the week before.")]


class WeekView(View):
    """A week of which there are figures."""

    week: Annotated[str, Field(examples=["2026-W07"])]
    first_day: date
    last_day: date
    ended: bool
    received: Annotated[int, Field(description=Figure.RECEIVED.meaning)]
    assigned: Annotated[int, Field(description=Figure.ASSIGNED.meaning)]


class Weeks(View):
    """Recent weeks of which the mayor's mailbox has figures, newest first."""

    items: list[WeekView]


def figures_view(
    figures: Figures, mailbox: str | None, period: Period, directory: Directory, *, up_to_date: bool
) -> FiguresView:
    """Show figures with the names that the directory has today; a code it no longer has stands for itself."""
    return FiguresView(
        mailbox=mailbox,
        name="全市" if mailbox is None else directory.get(mailbox).name,
        first_day=period.first_day,
        last_day=period.last_day,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        up_to_date=up_to_date,
        **{figure.value: getattr(figures, figure.value) for figure in SINGLE},
        natures=_listed(Nature, figures.natures),
        domains=_named(figures.domains, lambda code: directory.domain(code).label),
        regions=_named(figures.regions, lambda code: directory.region(code).name),
        discard_reasons=_listed(InvalidReason, figures.discard_reasons),
        dispositions=[
            *_listed(Way, figures.ways),
            Part(code=Figure.NOTED.value, label=Figure.NOTED.label, count=figures.noted),
        ],
        answer_days=_taken(figures.answer_days),
        assigned=_assignments(figures.assigned, figures.all_assigned, figures.reply_days, directory),
        undertaken=_assignments(figures.undertaken, figures.all_undertaken, figures.undertaken_days, directory),
    )


def _taken(days: Mapping[int, int]) -> TakenView:
    return TakenView(mean=mean(days), median=median(days))


def changes(now: Figures, before: Figures) -> dict[str, int]:
    """Return by how much each single figure moved; those of assignments are of all assignees together."""
    moved = {figure.value: getattr(now, figure.value) - getattr(before, figure.value) for figure in SINGLE}
    for figure in HANDLING:
        moved[figure.value] = getattr(now.all_assigned, figure.value) - getattr(before.all_assigned, figure.value)
    return moved


def first_level(domains: Iterable[Part], directory: Directory) -> list[Part]:
    """Return a breakdown by domain added up to the first level of the list of domains (R3.4), largest first."""
    counts: dict[str, int] = {}
    for part in domains:
        try:
            top = directory.domain(part.code).path[0]
        except UnknownEntry:
            top = part.code
        counts[top] = counts.get(top, 0) + part.count
    return _named(counts, lambda code: directory.domain(code).name)


def _listed(
    kinds: type[Labelled], counts: Mapping[Nature, int] | Mapping[InvalidReason, int] | Mapping[Way, int]
) -> list[Part]:
    known: dict[str, int] = {str(kind): number for kind, number in counts.items()}
    return [Part(code=kind.value, label=kind.label, count=known.get(kind.value, 0)) for kind in kinds]


def _named(counts: Mapping[str, int], name: Callable[[str], str]) -> list[Part]:
    parts = [Part(code=code, label=_known(name, code), count=number) for code, number in counts.items()]
    return sorted(parts, key=lambda part: (-part.count, part.code))


def _known(name: Callable[[str], str], code: str) -> str:
    try:
        return name(code)
    except UnknownEntry:
        return code


def _assignments(
    handled: Mapping[str, Handling], all_of_them: Handling, days: Mapping[int, int], directory: Directory
) -> Assignments:
    order = {mailbox.code: position for position, mailbox in enumerate(directory.mailboxes())}
    units = [
        UnitView(mailbox=code, name=_known(lambda c: directory.get(c).name, code), **_handling(handled[code]))
        for code in sorted(handled, key=lambda code: (order.get(code, len(order)), code))
    ]
    return Assignments(units=units, total=HandlingView(**_handling(all_of_them)), reply_days=_taken(days))


def _handling(handling: Handling) -> dict[str, Any]:
    share = handling.timeliness
    return {**handling.model_dump(), "timeliness": None if share is None else round(float(share), 4)}
