"""What is done with spot checks (R11.1): draw, look, record, settle, close; for exactly those letters that the caller may know of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex

from services.reporting import sampling, spot_checks
from services.reporting.checklist import Answer, Checklist
from services.reporting.periods import Period
from services.reporting.spot_checks import RULE, Check, Checked, Count, Share
from services.reporting.spot_store import Result, Spots, Versioned
from shared.contracts.errors import BadInput, NotFound, RuleBroken, Stale
from shared.contracts.reports import hidden_from, kept_from
from shared.contracts.types import Actor
from shared.directory import Directory

MOST_UNIT_DAYS = 20_000
"""Units times days of one draw: about all units of a city for a year."""
TRIES = 5
Move = Callable[[Checked, Checklist, Mapping[str, Answer], str, Actor, datetime], Checked]
"""What somebody does about a letter of a sample: what was there, the checklist, answers, remark, who and when → what is there then."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be drawn."""

    units: tuple[str, ...]
    period: Period
    size: int
    minimum: int
    double: bool
    seed: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample as somebody may see it: without the letters that are kept from them."""

    check: Check
    letters: Sequence[Versioned]
    left_out: bool
    """Whether letters that could be drawn are, drawn or not; then nothing is said of numbers that would tell."""

    @property
    def counts(self) -> dict[str, Count]:
        """What was found, per unit."""
        return counted([one.checked for one in self.letters], self.check)


@dataclass(frozen=True, slots=True)
class Redrawn:
    """The same draw over the rows of today."""

    population: int | None
    """None, as the hash is: letters are kept from the caller, and it would tell."""
    population_hash: str | None
    same_population: bool
    same_sample: bool


@dataclass(frozen=True, slots=True)
class About:
    """A closed check, as far as it is about one unit."""

    result: Result
    check: Check
    letters: Sequence[Checked]
    count: Count


def counted(letters: Sequence[Checked], check: Check) -> dict[str, Count]:
    """Return what was found per unit of a sample."""
    return {
        unit: spot_checks.count([one for one in letters if one.unit == unit], check.checklist)
        for unit in dict.fromkeys(one.unit for one in letters)
    }


@dataclass(slots=True)
class SpotDesk:
    """Where people work on spot checks."""

    spots: Spots
    directory: Directory
    checklist: Checklist
    fresh_seed: Callable[[], str] = lambda: token_hex(16)

    async def draw(self, wanted: Wanted, by: Actor, now: datetime) -> Check:
        """Draw a sample and keep it with its seed.

        Raises:
            BadInput: a unit that the directory does not have, or too much at once (R11.1).
            RuleBroken: no letter came to these units in the period (R11.1).
        """
        for place, unit in enumerate(wanted.units):
            if unit not in self.directory:
                raise BadInput(
                    RULE, f"名录中没有信箱 {unit[:40]} / The directory has no mailbox {unit[:40]!r}", f"/units/{place}"
                )
        units = tuple(dict.fromkeys(wanted.units))
        days = (wanted.period.end_day - wanted.period.first_day).days
        if len(units) * days > MOST_UNIT_DAYS:
            raise BadInput(
                RULE,
                f"一次最多抽查{MOST_UNIT_DAYS}个单位日，请减少单位或缩短时段 / At most {MOST_UNIT_DAYS} units times days at once: "
                "name fewer units or a shorter period",
                "/to",
            )
        seed = wanted.seed or self.fresh_seed()
        members, numbers = await self.spots.population(units, wanted.period)
        if not members:
            raise RuleBroken(
                RULE,
                "该时段没有来信或交办件到达这些单位，无从抽查 / "
                "No letter came to these units in that period, so there is nothing to draw from",
            )
        drawn, shares = sampling.draw(members, seed, wanted.size, wanted.minimum)
        check = Check(
            id=token_hex(6),
            seed=seed,
            seed_given=wanted.seed is not None,
            units=units,
            first_day=wanted.period.first_day,
            end_day=wanted.period.end_day,
            size=wanted.size,
            minimum=wanted.minimum,
            double=wanted.double,
            drawn_at=now,
            drawn_by=by,
            checklist=self.checklist,
            checklist_hash=self.checklist.hash,
            population=len(members),
            population_hash=sampling.population_hash(members),
            shares=tuple(
                Share(
                    unit=one.stratum.unit,
                    standing=one.stratum.standing,
                    nature=one.stratum.nature,
                    population=one.population,
                    drawn=one.drawn,
                )
                for one in shares
            ),
            letters=len(drawn),
        )
        letters = [
            Checked(
                place=place,
                unit=member.stratum.unit,
                letter_id=member.letter_id,
                number=numbers.get(member.letter_id, ""),
                standing=member.stratum.standing,
                nature=member.stratum.nature,
                double=wanted.double,
            )
            for place, member in enumerate(drawn, start=1)
        ]
        await self.spots.add(check, letters)
        return check

    async def redraw(self, check_id: str, who: Actor) -> Redrawn:
        """Draw again by the same seed from the rows of today, and compare; nothing is kept."""
        check = await self.known(check_id)
        members, _ = await self.spots.population(check.units, Period(check.first_day, check.end_day))
        drawn, _ = sampling.draw(members, check.seed, check.size, check.minimum)
        kept = [(one.checked.unit, one.checked.letter_id) for one in await self.spots.letters(check_id)]
        now, hides = sampling.population_hash(members), await self._hides(check, who)
        return Redrawn(
            population=None if hides else len(members),
            population_hash=None if hides else now,
            same_population=now == check.population_hash,
            same_sample=[(one.stratum.unit, one.letter_id) for one in drawn] == kept,
        )

    async def known(self, check_id: str) -> Check:
        """Return a check.

        Raises:
            NotFound: there is none.
        """
        check = await self.spots.get(check_id)
        if check is None:
            raise NotFound(RULE, "没有这次抽查 / There is no such spot check")
        return check

    async def sample(self, check_id: str, who: Actor) -> Sample:
        """Return a sample without what is kept from the caller."""
        check, letters = await self.known(check_id), await self.spots.letters(check_id)
        seen = await self._visible([one.checked for one in letters], who)
        shown = [one for one in letters if one.checked.place in seen]
        return Sample(check, shown, len(shown) < len(letters) or await self._hides(check, who))

    async def letter(self, check_id: str, place: int, who: Actor) -> tuple[Check, Versioned]:
        """Return one letter of a sample.

        Raises:
            NotFound: there is none, or it is a report that is kept from the caller.
        """
        check, found = await self.known(check_id), await self.spots.letter(check_id, place)
        if found is None or not await self._visible([found.checked], who):
            raise NotFound(RULE, "抽查样本中没有这一件 / The sample has no such letter")
        return check, found

    async def decide(
        self,
        move: Move,
        check_id: str,
        place: int,
        answers: Mapping[str, Answer],
        remark: str,
        by: Actor,
        now: datetime,
        expected: int | None,
    ) -> Versioned:
        """Record what somebody found about a letter, or settle a disagreement: `move` is `spot_checks.record` or `spot_checks.settle`.

        It decides on what is stored now; where somebody else was faster, it reads and decides again, unless the caller named a version.
        """
        for attempt in range(TRIES):
            check, before = await self.letter(check_id, place, by)
            if expected is not None and expected != before.version:
                raise Stale(before.version)
            try:
                after = move(before.checked, check.checklist, answers, remark, by, now)
                return await self.spots.change(check_id, before, after)
            except Stale:
                if expected is not None or attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    async def close(self, check_id: str, reason: str, by: Actor, now: datetime) -> Check:
        """End a check: nothing more is recorded, units may see their results, and they count in assessments. Again: nothing."""
        check = await self.known(check_id)
        if check.closed_at is not None:
            return check
        letters = [one.checked for one in await self.spots.letters(check_id)]
        spot_checks.check_may_close(letters, reason)
        await self.spots.freeze(check_id)
        letters = [one.checked for one in await self.spots.letters(check_id)]
        rows = await self.spots.letters_by_id({one.letter_id for one in letters})
        own = [
            one
            for one in letters
            if one.letter_id in rows and not hidden_from(rows[one.letter_id], one.unit, self.directory)
        ]
        done = check.model_copy(
            update={"closed_at": now, "closed_by": by, "closed_reason": reason.strip(), "version": check.version + 1}
        )
        await self.spots.close(done, counted(own, check))
        return done

    async def about(self, unit: str, who: Actor, before: str | None, limit: int) -> list[About]:
        """Return the closed checks about a unit, the newest first, without the reports that are kept from it or from the caller."""
        found = []
        results = await self.spots.results(unit, before, limit)
        checks = await self.spots.get_many([one.check_id for one in results])
        for result in results:
            check = checks[result.check_id]
            letters = [one.checked for one in await self.spots.letters(check.id) if one.checked.unit == unit]
            seen = await self._visible(letters, who.model_copy(update={"mailbox": unit}))
            seen &= await self._visible(letters, who)
            shown = [one for one in letters if one.place in seen]
            found.append(About(result, check, shown, spot_checks.count(shown, check.checklist)))
        return found

    async def _hides(self, check: Check, who: Actor) -> bool:
        """Whether a letter that could be drawn is kept from somebody: with their own list beside it, its number would tell them of it."""
        return await self.spots.has_report(
            check.units,
            Period(check.first_day, check.end_day),
            lambda row: kept_from(row, who.mailbox, who.subject, self.directory),
        )

    async def _visible(self, letters: Sequence[Checked], who: Actor) -> set[int]:
        """Return the places of the letters that are not kept from somebody."""
        rows = await self.spots.letters_by_id({one.letter_id for one in letters})
        return {
            one.place
            for one in letters
            if one.letter_id in rows and not kept_from(rows[one.letter_id], who.mailbox, who.subject, self.directory)
        }
