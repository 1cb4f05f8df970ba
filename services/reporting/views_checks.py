"""Spot checks as the API and the form to take along show them (R11.1)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from services.reporting.checklist import Answer, Checklist
from services.reporting.spot_checks import (
    Check,
    Checked,
    Count,
    Finding,
    Progress,
    Settlement,
    Share,
    finding_of,
    shown_to,
)
from services.reporting.spot_desk import About, Redrawn, Sample
from services.reporting.spot_store import Versioned
from services.reporting.views import View
from shared.contracts.types import Actor, Moment
from shared.directory import Directory
from shared.printing.registers import Column


class StratumView(View):
    """How much of a stratum is in the sample."""

    unit: str
    name: str
    standing: str
    standing_label: str
    nature: str
    nature_label: str
    population: int
    drawn: int


class CheckView(View):
    """A spot check without its letters."""

    id: str
    seed: Annotated[str, Field(description="With it anybody can draw the same sample from the same letters.")]
    seed_given: Annotated[bool, Field(description="False: it came fresh from the system.")]
    units: tuple[str, ...]
    first_day: date
    last_day: date
    size: Annotated[int, Field(description="As asked for.")]
    minimum: Annotated[int, Field(description="At least so many of each stratum that has them.")]
    double: Annotated[bool, Field(description="Whether two people read each letter, each by themselves.")]
    drawn_at: Moment
    drawn_by: Actor
    checklist_hash: Annotated[str, Field(description="SHA-256 of the checklist as it was then.")]
    closed_at: Moment | None
    closed_by: Actor | None
    closed_reason: Annotated[str, Field(description="Why it was closed though letters were not done.")]
    version: int


class LetterView(View):
    """One letter of a sample, as the caller may see it."""

    place: Annotated[int, Field(description="Its number in the sample.")]
    unit: str
    name: str
    letter_id: str
    number: str
    standing: str
    standing_label: str
    nature: str
    nature_label: str
    progress: Progress
    progress_label: str
    findings: Annotated[tuple[Finding, ...], Field(description="Of two readings only the own one, until both are in.")]
    readings: Annotated[int, Field(description="How many are in.")]
    wanted: Annotated[int, Field(description="How many are wanted.")]
    differing: Annotated[tuple[str, ...], Field(description="Items on which the two readers differ.")]
    proposal: Annotated[
        Settlement | None, Field(description="What one reader proposes; the other agrees by saying the same.")
    ]
    settlement: Settlement | None
    replaced: Annotated[
        tuple[Finding | Settlement, ...], Field(description="What was corrected; shown once all readings are in.")
    ]
    result: Annotated[Mapping[str, Answer] | None, Field(description="What holds; null while the letter is not done.")]
    version: int


class SampleView(CheckView):
    """A spot check with its letters."""

    checklist: Checklist
    letters: list[LetterView]
    strata: Annotated[
        list[StratumView] | None, Field(description="Null where letters are kept from you: their numbers would tell.")
    ]
    population: int | None
    population_hash: str | None


class RedrawView(View):
    """The same draw over the letters of today."""

    population: Annotated[
        int | None, Field(description="Null, as the hash is, where letters are kept from you: it would tell.")
    ]
    population_hash: str | None
    same_population: Annotated[
        bool,
        Field(
            description="False: late facts changed which letters came to the units, how they stand or what they are about."
        ),
    ]
    same_sample: bool
    explanation: str


class UnitCount(View):
    """What was found about one unit."""

    unit: str
    name: str
    count: Count


class CountsView(View):
    """What was found, per unit and all together; only letters that are done count."""

    id: str
    units: list[UnitCount]
    total: Count


class AboutView(View):
    """A closed check as its unit may see it."""

    id: str
    first_day: date
    last_day: date
    drawn_at: Moment
    closed_at: Moment
    checklist: Checklist
    letters: list[LetterView]
    count: Count


def check_fields(check: Check) -> dict[str, object]:
    """Return the fields of `CheckView`."""
    fields = {name: getattr(check, name) for name in CheckView.model_fields if name != "last_day"}
    return {**fields, "last_day": date.fromordinal(check.end_day.toordinal() - 1)}


def sample_view(sample: Sample, who: Actor, directory: Directory) -> SampleView:
    """Show a sample to somebody."""
    check = sample.check
    return SampleView.model_validate(
        {
            **check_fields(check),
            "checklist": check.checklist,
            "letters": [letter_view(one, who, directory) for one in sample.letters],
            "strata": None if sample.left_out else [_stratum(one, directory) for one in check.shares],
            "population": None if sample.left_out else check.population,
            "population_hash": None if sample.left_out else check.population_hash,
        }
    )


def _stratum(share: Share, directory: Directory) -> StratumView:
    return StratumView(
        unit=share.unit,
        name=directory.get(share.unit).name,
        standing=share.standing.value,
        standing_label=share.standing.label,
        nature=share.nature.value,
        nature_label=share.nature.label,
        population=share.population,
        drawn=share.drawn,
    )


def letter_view(found: Versioned, who: Actor, directory: Directory) -> LetterView:
    """Show one letter of a sample to somebody who works on it."""
    checked = found.checked
    return _letter(checked, shown_to(checked, who), found.version, directory)


def _letter(checked: Checked, findings: tuple[Finding, ...], version: int, directory: Directory) -> LetterView:
    return LetterView(
        place=checked.place,
        unit=checked.unit,
        name=directory.get(checked.unit).name,
        letter_id=checked.letter_id,
        number=checked.number,
        standing=checked.standing.value,
        standing_label=checked.standing.label,
        nature=checked.nature.value,
        nature_label=checked.nature.label,
        progress=checked.progress,
        progress_label=checked.progress.label,
        findings=findings,
        readings=len(checked.findings),
        wanted=checked.wanted,
        differing=checked.differing,
        proposal=checked.proposal,
        settlement=checked.settlement,
        replaced=checked.replaced if findings and checked.complete else (),
        result=checked.result,
        version=version,
    )


def about_view(about: About, directory: Directory) -> AboutView:
    """Show a closed check to its unit: what holds, without who found what."""
    check = about.check
    assert check.closed_at is not None
    letters = [
        _letter(one.model_copy(update={"proposal": None, "settlement": None}), (), 0, directory).model_copy(
            update={"result": one.result, "progress": one.progress, "progress_label": one.progress.label}
        )
        for one in about.letters
    ]
    return AboutView(
        id=check.id,
        first_day=check.first_day,
        last_day=date.fromordinal(check.end_day.toordinal() - 1),
        drawn_at=check.drawn_at,
        closed_at=check.closed_at,
        checklist=check.checklist,
        letters=letters,
        count=about.count,
    )


def redraw_view(redrawn: Redrawn) -> RedrawView:
    """Show whether the sample can be drawn again."""
    if redrawn.same_population and redrawn.same_sample:
        said = "同一种子、同一批来信，样本相同 / The same seed over the same letters draws the same sample."
    elif redrawn.same_sample:
        said = (
            "抽取之后事实有变，来信总体已不同，但样本相同 / "
            "Facts that came later changed the letters that are drawn from; the sample is the same."
        )
    else:
        said = (
            "抽取之后事实有变，来信总体已不同，重抽会得到另一样本；已抽的样本不变 / "
            "Facts that came later changed the letters that are drawn from: drawing again gives another sample; the one drawn stays."
        )
    return RedrawView(
        population=redrawn.population,
        population_hash=redrawn.population_hash,
        same_population=redrawn.same_population,
        same_sample=redrawn.same_sample,
        explanation=said,
    )


# ── the form to take along ───────────────────────────────────────────────────────────────────────────────────────────


def form_about(check: Check, made_at: datetime) -> list[str]:
    """Return what stands above the form."""
    last = date.fromordinal(check.end_day.toordinal() - 1)
    return [
        f"信箱工作抽查表 {check.id}",
        f"时段 {check.first_day} 至 {last}",
        f"种子 {check.seed}",
        f"抽取 {check.drawn_by.name or check.drawn_by.subject} {check.drawn_at:%Y-%m-%d}",
        f"清单 {check.checklist.title}",
        f"制表 {made_at:%Y-%m-%d}",
    ]


def form_columns(checklist: Checklist) -> list[Column]:
    """Return the form's columns: what is known of the letter, one for each item, and room for remarks."""
    known = [
        Column("序号", 12),
        Column("单位", 32),
        Column("编号", 36),
        Column("办理", 16),
        Column("性质", 16),
        Column("进度", 20),
    ]
    items = [Column(f"{item.zh}（{'/'.join(one.label for one in item.answers)}）", 34) for item in checklist.items]
    return [*known, *items, Column("备注", 50)]


def form_rows(sample: Sample, who: Actor, directory: Directory) -> Sequence[Sequence[object]]:
    """Return the form's rows: what holds or what the caller found, else room to write."""
    rows = []
    for found in sample.letters:
        one = found.checked
        mine = finding_of(one.findings, who)
        answers = one.result or (mine.answers if mine else {})
        row: list[object] = [one.place, directory.get(one.unit).short_name, one.number or one.letter_id]
        row += [one.standing.label, one.nature.label, one.progress.label]
        row += [answers[item.id].label if item.id in answers else None for item in sample.check.checklist.items]
        rows.append([*row, mine.remark if mine else None])
    return rows
