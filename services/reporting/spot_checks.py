"""A spot check (R11.1): a sample that was drawn, and what people found about each of its letters. Pure.

    drawn ──record──▶ read once ──record, by another──▶ agreed
                         │                    └───▶ disagreed ──settle──▶ settled
                         └── where one reading is wanted, that is all

A letter is done when it is agreed, settled, or read once where one reading is wanted. Of two readers neither is shown what the other
found before both are in. Where they differ, a third person settles it, or both by saying the same. Whatever was replaced is kept.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from services.reporting.checklist import Answer, Checklist
from services.reporting.sampling import Standing
from shared.contracts.errors import BadInput, RuleBroken
from shared.contracts.types import Actor, Labelled, Moment, Nature, Value, same_person

RULE = "R11.1"


class Progress(Labelled):
    """How far a letter of the sample is."""

    WAITING = "waiting", "待查"
    READ_ONCE = "read_once", "一人已查"
    DISAGREED = "disagreed", "两人不一致"
    DONE = "done", "已查"


class Finding(Value):
    """What one person found about one letter."""

    by: Actor
    at: Moment
    answers: Mapping[str, Answer]
    """Item id → answer."""
    remark: str = ""


class Settlement(Value):
    """How a disagreement ended, or how one of the two readers proposes to end it."""

    by: Actor
    at: Moment
    answers: Mapping[str, Answer]
    """The items on which the two differed, and no others."""
    remark: str = ""
    agreed: bool = False
    """Whether it is both readers' word; else it is a third person's."""


class Checked(Value):
    """One letter of a sample."""

    place: int
    """Its number in the sample, from 1."""
    unit: str
    letter_id: str
    number: str
    """ASCII form; empty where it had none when it was drawn."""
    standing: Standing
    nature: Nature
    double: bool
    """Whether two people read it, each by themselves."""
    findings: tuple[Finding, ...] = ()
    """In the order in which they first came in; at most one of each person."""
    proposal: Settlement | None = None
    settlement: Settlement | None = None
    replaced: tuple[Finding | Settlement, ...] = ()
    """What people corrected afterwards, the oldest first."""
    closed: bool = False

    @property
    def wanted(self) -> int:
        """How many people read it."""
        return 2 if self.double else 1

    @property
    def complete(self) -> bool:
        """Whether all readings are in, so that everybody may see them."""
        return len(self.findings) >= self.wanted

    @property
    def differing(self) -> tuple[str, ...]:
        """The items on which the two differ."""
        if not (self.double and self.complete):
            return ()
        first, second = self.findings[0].answers, self.findings[1].answers
        return tuple(item for item in first if first[item] is not second.get(item))

    @property
    def progress(self) -> Progress:
        """How far it is."""
        if not self.findings:
            return Progress.WAITING
        if not self.complete:
            return Progress.READ_ONCE
        return Progress.DISAGREED if self.differing and self.settlement is None else Progress.DONE

    @property
    def result(self) -> Mapping[str, Answer] | None:
        """Item id → what holds; none while the letter is not done."""
        if self.progress is not Progress.DONE:
            return None
        return {**self.findings[0].answers, **(self.settlement.answers if self.settlement else {})}


class Share(Value):
    """How many letters of a kind there were, and were drawn."""

    unit: str
    standing: Standing
    nature: Nature
    population: int
    drawn: int


class Check(Value):
    """What was drawn, and how."""

    id: str
    seed: str
    seed_given: bool
    """False: it came fresh from the system."""
    units: tuple[str, ...]
    first_day: date
    end_day: date
    """The first day that no longer belongs to it."""
    size: int
    """As asked for; the sample may be larger where every stratum gives its minimum."""
    minimum: int
    double: bool
    drawn_at: Moment
    drawn_by: Actor
    checklist: Checklist
    """As it was then: a later change of the file touches no check that was drawn."""
    checklist_hash: str
    population: int
    population_hash: str
    shares: tuple[Share, ...]
    letters: int
    closed_at: Moment | None = None
    closed_by: Actor | None = None
    closed_reason: str = ""
    version: int = 1


def record(
    checked: Checked, checklist: Checklist, answers: Mapping[str, Answer], remark: str, by: Actor, now: datetime
) -> Checked:
    """Put on record what somebody found; while nobody else's reading is compared with it, they may correct it.

    Raises:
        BadInput: an item lacks its answer, or has one that it cannot have, or is none of the list (R11.1).
        RuleBroken: the check is closed, or others have read the letter already (R11.1).
    """
    _check_open(checked)
    _check_answers(checklist, answers)
    new = Finding(by=by, at=now, answers=dict(answers), remark=remark)
    mine = finding_of(checked.findings, by)
    if mine is None:
        if checked.complete:
            raise RuleBroken(
                RULE,
                f"此件已有{checked.wanted}人查过，不再记录 / It has been read by {checked.wanted} already; where the two differ, settle it",
            )
        return checked.model_copy(update={"findings": (*checked.findings, new)})
    if checked.double and checked.complete:
        raise RuleBroken(
            RULE,
            "两人的结果都已提交并互相可见，不能再改；如不一致请裁定 / "
            "Both readings are in and each reader sees the other's, so yours stays; where they differ, settle it",
        )
    if mine.answers == new.answers and mine.remark == remark:
        return checked
    return checked.model_copy(
        update={
            "findings": tuple(new if one is mine else one for one in checked.findings),
            "replaced": (*checked.replaced, mine),
        }
    )


def settle(
    checked: Checked, checklist: Checklist, answers: Mapping[str, Answer], remark: str, by: Actor, now: datetime
) -> Checked:
    """End a disagreement: a third person's word ends it; a reader's is a proposal until the other says the same.

    Raises:
        BadInput: the answers are not those to the items on which the two differ (R11.1).
        RuleBroken: the check is closed, or there is no disagreement, or it is settled otherwise already (R11.1).
    """
    settled = checked.settlement
    if settled is not None and dict(settled.answers) == dict(answers):
        return checked
    _check_open(checked)
    if settled is not None or checked.progress is not Progress.DISAGREED:
        raise RuleBroken(
            RULE,
            f"此件{checked.progress.label}，没有待裁定的不一致 / There is no open disagreement: the letter is {checked.progress.value}",
        )
    _check_answers(checklist, answers, checked.differing)
    said = Settlement(by=by, at=now, answers=dict(answers), remark=remark)
    if finding_of(checked.findings, by) is None:
        return checked.model_copy(update={"settlement": said})
    proposal = checked.proposal
    if proposal is not None and not same_person(proposal.by, by) and dict(proposal.answers) == dict(answers):
        return checked.model_copy(update={"settlement": said.model_copy(update={"agreed": True})})
    replaced = checked.replaced if proposal is None else (*checked.replaced, proposal)
    return checked.model_copy(update={"proposal": said, "replaced": replaced})


def check_may_close(letters: Sequence[Checked], reason: str) -> None:
    """Check that a spot check may be closed.

    Raises:
        RuleBroken: letters are not done and no reason is given (R11.1).
    """
    left = [str(one.place) for one in letters if one.progress is not Progress.DONE]
    if left and not reason.strip():
        raise RuleBroken(
            RULE,
            f"还有{len(left)}件未查完（第{'、'.join(left[:10])}件）；查完再结束，或写明理由，未查完的不计入 / "
            f"{len(left)} letters are not done (numbers {', '.join(left[:10])}): finish them, or give a `reason`; "
            "what is not done then counts nowhere",
        )


def _check_open(checked: Checked) -> None:
    if checked.closed:
        raise RuleBroken(RULE, "此次抽查已结束 / This spot check is closed")


def _check_answers(checklist: Checklist, answers: Mapping[str, Answer], wanted: Sequence[str] | None = None) -> None:
    """Check that each wanted item (none: every item) has an answer that it may have, and no other item has one."""
    asked = [item for item in checklist.items if wanted is None or item.id in wanted]
    for one in answers:
        if one not in {item.id for item in asked}:
            known, name = ", ".join(item.id for item in asked), one[:40]
            wrong = f"没有要回答的项目 {name} / There is no such item to answer; these are: {known}"
            raise BadInput(RULE, wrong, f"/answers/{name}")
    for item in asked:
        given = answers.get(item.id)
        if given not in item.answers:
            may = ", ".join(item.answers)
            said = "缺少回答" if given is None else "不能这样回答"
            raise BadInput(
                RULE, f"“{item.zh}”{said} / “{item.en}” must be answered with one of: {may}", f"/answers/{item.id}"
            )


def finding_of(findings: Iterable[Finding], who: Actor) -> Finding | None:
    """Return what somebody found; none: they have not read it."""
    return next((one for one in findings if same_person(one.by, who)), None)


def shown_to(checked: Checked, who: Actor) -> tuple[Finding, ...]:
    """Return the readings that somebody may see: all once all are in, else their own alone."""
    return checked.findings if checked.complete else tuple(one for one in checked.findings if same_person(one.by, who))


# ── counted ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class ItemCount(Value):
    """One item over all letters that are done."""

    id: str
    zh: str
    en: str
    yes: int
    no: int
    not_applicable: int
    passed: float | None
    """Share of yes among yes and no, 0 to 1; none where it applied to no letter."""


class Count(Value):
    """What a spot check found."""

    letters: int
    done: int
    items: tuple[ItemCount, ...]
    passed_weight: float
    """Sum of the weights of what was answered with yes."""
    weight: float
    """Sum of the weights of what was answered with yes or no."""
    score: float | None
    """`passed_weight` of `weight`, 0 to 1; none where nothing applied."""
    compared: int
    """Answers that two people gave to the same item of the same letter."""
    agreed: int
    agreement: float | None
    """Share of them that were equal, 0 to 1."""
    kappa: float | None
    """Cohen's kappa of the two readers: agreement beyond chance, 1 at most; none where chance alone would agree always."""


def count(letters: Iterable[Checked], checklist: Checklist) -> Count:
    """Count what was found; only letters that are done count."""
    known = list(letters)
    results = [result for one in known if (result := one.result) is not None]
    items = []
    passed_weight = weight = 0.0
    for item in checklist.items:
        given = Counter(result[item.id] for result in results if item.id in result)
        applied = given[Answer.YES] + given[Answer.NO]
        passed_weight += item.weight * given[Answer.YES]
        weight += item.weight * applied
        items.append(
            ItemCount(
                id=item.id,
                zh=item.zh,
                en=item.en,
                **{answer.value: given[answer] for answer in Answer},
                passed=_share(given[Answer.YES], applied),
            )
        )
    pairs = [
        (one.findings[0].answers[item], one.findings[1].answers[item])
        for one in known
        if one.double and one.complete
        for item in one.findings[0].answers
    ]
    agreed = sum(first is second for first, second in pairs)
    return Count(
        letters=len(known),
        done=len(results),
        items=tuple(items),
        passed_weight=passed_weight,
        weight=weight,
        score=_share(passed_weight, weight),
        compared=len(pairs),
        agreed=agreed,
        agreement=_share(agreed, len(pairs)),
        kappa=kappa(pairs),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def kappa(pairs: Sequence[tuple[Any, Any]]) -> float | None:
    """Return Cohen's kappa of pairs of answers; none without pairs, or where both always gave the same one."""
    if not pairs:
        return None
    number = len(pairs)
    observed = sum(first == second for first, second in pairs) / number
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(first[answer] * second[answer] for answer in first) / number**2
    return None if chance == 1 else (observed - chance) / (1 - chance)
