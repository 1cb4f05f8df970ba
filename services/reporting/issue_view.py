"""An issued bulletin as data: what is frozen, hashed and shown the same as page, PDF, XLSX and JSON (R11.2, R11.3).

A bulletin is a number of its series: the weekly 《市长信箱工作周报》 of the mayor's mailbox, the monthly and quarterly report of each
unit, the yearly summary of the mayor's mailbox. Names are those of the day of issue. Nothing in it identifies a citizen.
"""

from datetime import date
from typing import Annotated

from pydantic import Field

from services.reporting.views import FiguresView, Part, View
from shared.contracts.types import Labelled, Moment, Nature


class Series(Labelled):
    """Which bulletin."""

    WEEKLY = "weekly", "周报"
    MONTHLY = "monthly", "月报"
    QUARTERLY = "quarterly", "季报"
    YEARLY = "yearly", "年报"


class Comparison(View):
    """One figure beside those of the period before and of the same period a year before."""

    figure: Annotated[str, Field(description="Code of the figure; its meaning is in `definitions`.")]
    label: str
    unit: Annotated[
        str, Field(description="`件` letters or assignments, `次` times, `%` per cent, `工作日` working days.")
    ]
    now: float | None
    before: float | None = None
    year_before: float | None = None
    """None where there are no figures of that period: the system was not in use yet."""


class UnitLine(View):
    """How one unit handled what the mailbox assigned to it; in order of timeliness."""

    rank: Annotated[
        int | None, Field(description="1 is the timeliest; equal ones share a rank; null: nothing fell due.")
    ]
    mailbox: str
    name: str
    assigned: int
    answered_in_time: int
    answered_late: int
    overdue: Annotated[int, Field(description="Overdue and unanswered at the end of the period.")]
    extended: int
    urged: int
    sent_back: int
    returned: int
    timeliness: Annotated[float | None, Field(description="Share answered in time of all that fell due, 0 to 1.")]


class Hot(View):
    """A domain or region that many letters were about."""

    code: str
    label: str
    count: int
    before: int | None = None


class OpenLetter(View):
    """A letter that was still open at the end of the period."""

    number: str
    """ASCII form."""
    number_text: str
    nature: Nature | None = None
    domain: str
    """Chinese name of its domain."""
    mailbox: str
    """Code of who has it."""
    unit: str
    since: date
    """The day of registration, Asia/Shanghai."""
    working_days: int
    due_at: Moment | None
    overdue: bool


class Point(View):
    """One period of a curve."""

    period: Annotated[str, Field(examples=["2026-W07", "2026-02", "2026-Q1", "2026"])]
    first_day: date
    received: int
    answered: int
    assigned: int
    answered_in_time: int
    answered_late: int


class Correction(View):
    """A figure of an earlier number of this series that late facts changed; the earlier number stays as it was issued."""

    issue: str
    """Id of the earlier number."""
    number_text: str
    figure: str
    label: str
    of: Annotated[
        str | None,
        Field(description="What it is broken down by: a unit, nature, domain, region or way; null: the whole."),
    ]
    of_code: Annotated[str | None, Field(description="The code of that.")] = None
    was: int
    now: int


class IssueView(View):
    """A bulletin. `serial`, `issued_at` and `hash` are null as long as it is a preview of a period that still runs."""

    id: Annotated[str, Field(examples=["weekly-mayor-2026-W07", "monthly-yuzhong-2026-02"])]
    series: Series
    title: Annotated[str, Field(examples=["市长信箱工作周报"])]
    mailbox: str
    name: str
    """Chinese name of the mailbox that it is about."""
    issuer: str
    """Who issues it: the department in charge of the mailbox."""
    period: Annotated[str, Field(examples=["2026-W07"])]
    first_day: date
    last_day: date
    year: Annotated[
        int, Field(description="The year in whose count of numbers it stands: that of the period's last day.")
    ]
    serial: Annotated[int | None, Field(description="第N期 of that year.")] = None
    total_serial: Annotated[int | None, Field(description="总第N期, since the first number.")] = None
    issued_at: Moment | None = None
    hash: Annotated[str | None, Field(description="SHA-256 (hex) of the canonical JSON of all other fields.")] = None
    figures: FiguresView
    before: FiguresView | None
    year_before: FiguresView | None
    comparisons: list[Comparison]
    natures: list[Part]
    hot_domains: list[Hot]
    hot_regions: list[Hot]
    ways: list[Part]
    """By way of disposition (R4)."""
    units: list[UnitLine]
    longest_open: list[OpenLetter]
    curve: list[Point]
    """The last periods up to this one, the oldest first."""
    corrections: list[Correction]
    main_recipients: list[str]
    """主送."""
    copied_to: list[str]
    """抄送."""
    definitions: dict[str, str]
    """Code of a figure → what it counts, in words."""
    definitions_en: Annotated[dict[str, str], Field(description="The same in English.", default_factory=dict)]
    longest_open_known: Annotated[
        bool,
        Field(description="False: it was made up for so late that `longest_open` was not looked for any more."),
    ] = True
    undertaken: Annotated[
        bool,
        Field(
            description="True: comparisons and curve show how this mailbox handled what it was assigned (R11.3); "
            "false: how units handled what it assigned (R11.2)."
        ),
    ] = False

    @property
    def number_text(self) -> str:
        """``〔2026〕第7期（总第59期）``; a preview has none."""
        if self.serial is None:
            return "尚未印发"
        whole = f"（总第{self.total_serial}期）" if self.total_serial else ""
        return f"〔{self.year}〕第{self.serial}期{whole}"
