"""The assessment (R11.4): indicators, weights and bounds from the file of the setting `ASSESSMENT_FILE`, and scores made of them. Pure.

An indicator divides figures by figures. Between its two bounds its value earns points in proportion: from 0 at the worse bound to 100 at
the better one. A unit's score is the mean of the points by weight. Where an indicator's denominator is zero it is not assessed, and its
weight is spread over the others in proportion.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from services.reporting.checklist import Id, Words
from services.reporting.configuration import ConfigurationError, Wrong, hash_of, parsed, read_yaml, twice
from services.reporting.figures import BY_CODE, Figure, Side
from shared.directory import Directory, MailboxKind

RULE = "R11.4"
SAMPLE = "deploy/sample/assessment.yaml"
WHOLE: Final = Fraction(100)
"""What the weights of a group's indicators add up to, and full points."""

_OF_LETTERS = (
    "received",
    "read_late",
    "registered",
    "discarded",
    "noted",
    "answered",
    "finished",
    "published",
    "withheld",
)
_OF_ASSIGNMENTS = (
    *("assigned", "collected", "answered_in_time", "answered_late", "became_overdue"),
    *("urged", "extended", "sent_back", "returned", "withdrawn"),
)
FIGURES: Final[Mapping[str, tuple[Side, Figure]]] = {
    f"{side.value}.{name}": (side, BY_CODE[name])
    for side, names in (
        (Side.LETTERS, _OF_LETTERS),
        (Side.UNDERTAKEN, _OF_ASSIGNMENTS),
        (Side.ASSIGNED, _OF_ASSIGNMENTS),
    )
    for name in names
    if name in BY_CODE
}
"""Name in the file → what is counted. Only what is added up over days: no stock at the end of a period, no share, no breakdown."""
SPOT_CHECKS: Final[Mapping[str, str]] = {
    "spot_checks.passed": "抽查中“是”的权重之和",
    "spot_checks.applied": "抽查中“是”和“否”的权重之和",
}
"""What spot checks closed in the period found: sums of the weights of items."""
_SIDES = {Side.LETTERS: "", Side.ASSIGNED: "（交出）", Side.UNDERTAKEN: "（承办）"}


class Direction(StrEnum):
    """Whether more is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Part(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(Part):
    """Units that are ranked among each other."""

    id: Id
    zh: Words
    en: Words
    kinds: tuple[MailboxKind, ...] = ()
    """All units of these kinds …"""
    mailboxes: tuple[str, ...] = ()
    """… and these."""


class Indicator(Part):
    """One thing by which units are assessed."""

    id: Id
    zh: Words
    en: Words
    rule: Annotated[str, Field(pattern=r"^R\d{1,2}\.\d{1,2}[a-z]?$")]
    numerator: Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]
    denominator: Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]
    weight: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    lower: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
    upper: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
    direction: Direction = Direction.HIGHER
    groups: tuple[str, ...] = ()
    """For which groups it counts; none named: for all."""

    @property
    def counts_spot_checks(self) -> bool:
        """Whether it is made of spot checks, not of figures."""
        return bool({*self.numerator, *self.denominator} & SPOT_CHECKS.keys())

    def concerns(self, group: str) -> bool:
        """Whether it counts for a group."""
        return not self.groups or group in self.groups

    @property
    def formula(self) -> str:
        """How it is made, in words."""
        best, worst = (self.upper, self.lower) if self.direction is Direction.HIGHER else (self.lower, self.upper)
        return f"{_sum(self.numerator)} ÷ {_sum(self.denominator)}；{worst:g} 得 0 分，{best:g} 得满分，其间按比例"


class Method(Part):
    """How units are assessed."""

    title: Words
    groups: Annotated[tuple[Group, ...], Field(max_length=20)] = (
        Group(id="all", zh="各单位", en="All units", kinds=tuple(kind for kind in MailboxKind if kind.is_unit)),
    )
    indicators: Annotated[tuple[Indicator, ...], Field(min_length=1, max_length=40)]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of what it says."""
        return hash_of(self)

    @property
    def terms(self) -> frozenset[str]:
        """Every figure that it needs."""
        return frozenset(term for one in self.indicators for term in (*one.numerator, *one.denominator))

    def indicator(self, id: str) -> Indicator | None:
        """Return an indicator by its id."""
        return next((one for one in self.indicators if one.id == id), None)

    def units(self, directory: Directory) -> dict[str, str]:
        """Return the open units that are assessed: code → group, in the directory's order."""
        found = {}
        for mailbox in directory.open_mailboxes():
            group = next(
                (one for one in self.groups if mailbox.kind in one.kinds or mailbox.code in one.mailboxes), None
            )
            if group is not None and mailbox.kind.is_unit:
                found[mailbox.code] = group.id
        return found


def name_of(term: str) -> str:
    """Return the Chinese name of a figure of the file."""
    if term in SPOT_CHECKS:
        return SPOT_CHECKS[term]
    side, figure = FIGURES[term]
    return figure.label + _SIDES[side]


def _sum(terms: Sequence[str]) -> str:
    names = [name_of(term) if term in SPOT_CHECKS or term in FIGURES else term for term in terms]
    return names[0] if len(names) == 1 else f"（{'＋'.join(names)}）"


# ── checked ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def load_method(file: Path, directory: Directory) -> Method:
    """Load the method of assessment.

    Raises:
        ConfigurationError: something is wrong; it lists everything that is, and what to do.
    """
    method, problems = checked(read_yaml(file, RULE, "ASSESSMENT_FILE", SAMPLE), directory)
    if problems or method is None:
        raise ConfigurationError(str(file), RULE, problems)
    return method


def checked(content: Any, directory: Directory) -> tuple[Method | None, list[Wrong]]:
    """Return the method that some content describes, and everything that is wrong with it."""
    problems: list[Wrong] = []
    method = parsed(Method, content, problems, ["indicators", "groups"])
    if method is not None:
        for name, ids in (
            ("groups", [one.id for one in method.groups]),
            ("indicators", [one.id for one in method.indicators]),
        ):
            problems += [
                Wrong(f"{name}/{one}", "编号重复", "this id stands there twice; ids must differ") for one in twice(ids)
            ]
        for indicator in method.indicators:
            problems += _wrong_indicator(indicator, [group.id for group in method.groups])
        problems += _wrong_groups(method, directory)
    return method, problems


def _wrong_indicator(one: Indicator, groups: Sequence[str]) -> list[Wrong]:
    where, found = f"indicators/{one.id}", []
    for part, terms in (("numerator", one.numerator), ("denominator", one.denominator)):
        for term in terms:
            if term not in FIGURES and term not in SPOT_CHECKS:
                known = ", ".join((*FIGURES, *SPOT_CHECKS))
                found.append(
                    Wrong(f"{where}/{part}", f"没有统计项 {term}", f"there is no figure {term!r}; these are: {known}")
                )
    used = {*one.numerator, *one.denominator}
    if one.counts_spot_checks and not used <= SPOT_CHECKS.keys():
        found.append(
            Wrong(
                where,
                "抽查不能与其他统计项相除",
                "spot checks are divided by spot checks alone: make two indicators of it",
            )
        )
    if one.lower >= one.upper:
        found.append(
            Wrong(
                f"{where}/lower",
                f"下限 {one.lower:g} 须小于上限 {one.upper:g}",
                f"the lower bound {one.lower:g} must be below the upper one {one.upper:g}; where less is better, say direction: lower",
            )
        )
    for group in one.groups:
        if group not in groups:
            known = ", ".join(groups)
            found.append(
                Wrong(f"{where}/groups", f"没有单位组 {group}", f"there is no group {group!r}; these are: {known}")
            )
    return found


def _wrong_groups(method: Method, directory: Directory) -> list[Wrong]:
    found = []
    units = [mailbox for mailbox in directory.mailboxes() if mailbox.kind.is_unit]
    for group in method.groups:
        weights = sum((Fraction(str(one.weight)) for one in method.indicators if one.concerns(group.id)), Fraction())
        if weights != WHOLE:
            found.append(
                Wrong(
                    f"groups/{group.id}",
                    f"指标权重之和为 {float(weights):g}，须为 100",
                    f"the weights of its indicators add up to {float(weights):g}; make it 100",
                )
            )
        found += [
            Wrong(
                f"groups/{group.id}/mailboxes",
                f"名录中没有单位 {code}",
                f"the directory has no unit {code!r}; correct its code",
            )
            for code in group.mailboxes
            if code not in {unit.code for unit in units}
        ]
        found += [
            Wrong(f"groups/{group.id}/kinds", f"{kind.label}不是单位", f"{kind.value} is no kind of unit; remove it")
            for kind in group.kinds
            if not kind.is_unit
        ]
    for unit in units:
        groups = [one.id for one in method.groups if unit.kind in one.kinds or unit.code in one.mailboxes]
        if len(groups) > 1:
            found.append(
                Wrong(
                    f"groups/{groups[1]}",
                    f"{unit.code} 已在 {groups[0]} 组",
                    f"{unit.code} is in {groups[0]!r} too; leave it in one",
                )
            )
    return found


# ── scored ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class IndicatorScore(BaseModel):
    """What one indicator gives a unit."""

    model_config = ConfigDict(frozen=True)

    id: str
    zh: str
    en: str
    rule: str
    formula: Annotated[str, Field(description="How it is made, in words.")]
    numerator: float
    denominator: float
    value: Annotated[
        float | None, Field(description="Numerator by denominator; null: the denominator is zero, not assessed.")
    ]
    points: Annotated[float | None, Field(description="0 to 100.")]
    weight: Annotated[float, Field(description="As the method says.")]
    weight_used: Annotated[
        float, Field(description="With what others that were not assessed leave to it, in proportion.")
    ]
    share: Annotated[float, Field(description="What it adds to the score.")]


class UnitScore(BaseModel):
    """A unit's score."""

    model_config = ConfigDict(frozen=True)

    unit: str
    name: str
    group: str
    score: Annotated[float | None, Field(description="0 to 100, two decimals; null: nothing could be assessed.")]
    rank: Annotated[
        int | None, Field(description="In its group; equal scores share a rank, and the next one is left out.")
    ]
    indicators: tuple[IndicatorScore, ...]


Numbers = Mapping[str, Fraction]
"""Figure of the file → how many, of one unit; one that is missing is zero."""


def rounded(value: Fraction, places: int = 2) -> float:
    """Return a number rounded half up."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return float(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def points_of(indicator: Indicator, value: Fraction) -> Fraction:
    """Return the points, 0 to 100, that a value earns."""
    lower, upper = Fraction(str(indicator.lower)), Fraction(str(indicator.upper))
    above = value - lower if indicator.direction is Direction.HIGHER else upper - value
    return min(WHOLE, max(Fraction(), WHOLE * above / (upper - lower)))


def score(method: Method, group: str, numbers: Numbers) -> tuple[Fraction | None, tuple[IndicatorScore, ...]]:
    """Return a unit's exact score and what each indicator gives to it."""
    found: list[tuple[Indicator, Fraction, Fraction, Fraction | None]] = []
    for one in method.indicators:
        if one.concerns(group):
            above = sum((numbers.get(term, Fraction()) for term in one.numerator), Fraction())
            below = sum((numbers.get(term, Fraction()) for term in one.denominator), Fraction())
            found.append((one, above, below, points_of(one, above / below) if below else None))
    assessed = sum((Fraction(str(one.weight)) for one, _, _, points in found if points is not None), Fraction())
    whole, lines = Fraction(), []
    for one, above, below, points in found:
        used = Fraction(str(one.weight)) * WHOLE / assessed if points is not None else Fraction()
        share = used * points / WHOLE if points is not None else Fraction()
        whole += share
        lines.append(
            IndicatorScore(
                id=one.id,
                zh=one.zh,
                en=one.en,
                rule=one.rule,
                formula=one.formula,
                numerator=rounded(above),
                denominator=rounded(below),
                value=rounded(above / below, 4) if below else None,
                points=None if points is None else rounded(points),
                weight=one.weight,
                weight_used=rounded(used),
                share=rounded(share),
            )
        )
    return (whole if assessed else None), tuple(lines)


def scores(method: Method, directory: Directory, numbers: Mapping[str, Numbers]) -> list[UnitScore]:
    """Return the scores of all units that are assessed, group by group, the best first; what was not assessed comes last."""
    made = []
    for unit, group in method.units(directory).items():
        exact, lines = score(method, group, numbers.get(unit, {}))
        shown = None if exact is None else rounded(exact)
        name = directory.get(unit).name
        made.append(UnitScore(unit=unit, name=name, group=group, score=shown, rank=None, indicators=lines))
    order = [group.id for group in method.groups]
    ranked = []
    for group in order:
        of_group = [one for one in made if one.group == group]
        of_group.sort(key=lambda one: (one.score is None, -(one.score or 0), one.unit))
        known = [one.score for one in of_group if one.score is not None]
        ranked += [
            one if one.score is None else one.model_copy(update={"rank": known.index(one.score) + 1})
            for one in of_group
        ]
    return ranked
