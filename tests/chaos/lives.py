"""Each letter's way, from the citizen's hand to its end, whatever strikes meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from deploy.demo.city import Away, Refused
from shared.calendar.zone import business_date
from shared.contracts.actions import RefuseReply, RequestExtension, ReturnLetter
from tests.chaos.office import Office
from tests.chaos.people import PATIENCE_SECONDS, Stuck
from tests.chaos.plan import Errand, Way
from tests.chaos.steps import MAYOR, Steps, handoff_in, reply_in, slip_in


@dataclass
class Load:
    """All letters of a run."""

    office: Office
    ended: Counter[str] = field(default_factory=Counter)
    """Way → how many letters came to its end."""
    stuck: list[str] = field(default_factory=list)
    """What did not get done."""

    async def run(self) -> None:
        """Send all letters, each at its moment; returns when all have come to their end."""
        began = monotonic()
        async with self.office.open():
            await asyncio.gather(*(self._live(errand, began) for errand in self.office.plan.errands))

    async def _live(self, errand: Errand, began: float) -> None:
        await asyncio.sleep(max(0.0, began + errand.at - monotonic()))
        try:
            await Life(self.office, errand).whole()
        except (Stuck, Refused) as error:
            self.stuck.append(f"letter {errand.number} ({errand.way}, {errand.ending}): {error}")
        else:
            self.ended[errand.way] += 1


class Life(Steps):
    """One letter's way."""

    async def whole(self) -> None:
        """From the citizen to the archive."""
        await self.submit()
        self.letter_id = await self.office.letter_id(self.errand)
        ways: dict[Way, Callable[[], Awaitable[None]]] = {
            Way.DISCARDED: self.discarded,
            Way.NOTED: self.noted,
            Way.DIRECT: self.direct,
            Way.REPORT: self.direct,
            Way.SLIP_REFUSED: self.slip_refused,
            Way.WITHDRAWN: self.withdrawn,
            Way.RETURNED: self.returned,
            Way.DRAFT_REFUSED: self.draft_refused,
            Way.EXTENDED: self.extended,
            Way.LATE: self.late,
            Way.REDONE: self.redone,
            Way.FORWARDED: self.forwarded,
            Way.BY_ASSIGNER: self.by_assigner,
        }
        await ways.get(self.errand.way, self.assigned)()

    async def discarded(self) -> None:
        """Not accepted (R3.0)."""
        await self._screen("discard", {"reason": "advertising"}, lambda seen: seen["stage"] == "discarded")

    async def noted(self) -> None:
        """Kept for reference (R3.7)."""
        await self._screen("note", {"remark": "存档备查"}, lambda seen: seen["stage"] == "noted")

    async def direct(self) -> None:
        """The mayor's mailbox answers itself."""
        await self._registered()
        slip = await self._slip(MAYOR, way="direct")
        await self._approve_slip(slip)
        await self._answer_citizen()
        await self._public(MAYOR)

    async def assigned(self) -> None:
        """A unit answers."""
        await self._registered()
        await self._handed_out(self.errand.unit)
        await self._answered(self.errand.unit)

    async def by_assigner(self) -> None:
        """A unit replies, the mayor's mailbox answers."""
        await self._registered()
        handoff = await self._handed_out(self.errand.unit, answer_by="assigner")
        await self._reply(handoff, self.errand.unit)
        await self._answer_citizen()
        await self._public(MAYOR)

    async def slip_refused(self) -> None:
        """The first slip is given back."""
        await self._registered()
        slip = await self._slip(self.errand.other)
        await self._move(
            "refuse the slip",
            MAYOR,
            lambda seen: slip_in(seen, slip)["state"] == "refused",
            lambda _: self._by(f"slips/{slip}/refuse", MAYOR, "head", reason="承办单位有误"),
        )
        await self._handed_out(self.errand.unit)
        await self._answered(self.errand.unit)

    async def withdrawn(self) -> None:
        """Sent to the wrong unit and taken back."""
        await self._registered()
        slip = await self._slip(self.errand.other)
        await self._approve_slip(slip)
        await self._move(
            "withdraw",
            MAYOR,
            lambda seen: handoff_in(seen, slip)["withdrawn"],
            lambda _: self._by(f"slips/{slip}/withdraw", MAYOR, reason="误送"),
        )
        await self._handed_out(self.errand.unit)
        await self._answered(self.errand.unit)

    async def returned(self) -> None:
        """Returned by the unit."""
        await self._registered()
        wrong = self.errand.other
        handoff = await self._sent(wrong)
        await self._unit(
            "return",
            wrong,
            handoff,
            ReturnLetter(**self._about(wrong, handoff), reason="不属于我单位职责"),
            lambda seen: handoff_in(seen, handoff)["returned"],
            lambda _: self._by(f"handoffs/{handoff}/return", wrong, reason="不属于我单位职责"),
            reader=MAYOR,
        )
        await self._handed_out(self.errand.unit)
        await self._answered(self.errand.unit)

    async def forwarded(self) -> None:
        """To another unit, which answers the citizen itself."""
        await self._registered()
        handoff = await self._sent(self.errand.unit, way="forward")
        await self._move(
            "tell the citizen",
            MAYOR,
            lambda seen: handoff_in(seen, handoff)["told"],
            lambda _: self._by(f"handoffs/{handoff}/told", MAYOR, channel="phone", text="已电话告知去向"),
        )
        unit = self.errand.unit
        await self._collect(handoff, unit)
        await self._approve_slip(await self._slip(unit, unit, way="direct"), unit)
        await self._answer_citizen(unit)
        await self._public(unit)

    async def draft_refused(self) -> None:
        """The unit's head gives the draft back."""
        await self._registered()
        unit = self.errand.unit
        handoff = await self._handed_out(unit)
        draft = await self._draft(handoff, unit)
        await self._unit(
            "refuse the draft",
            unit,
            handoff,
            RefuseReply(**self._about(unit, handoff, "head"), reason="请补充办理结果"),
            lambda seen: reply_in(seen, handoff, draft)["state"] == "refused",
            lambda _: self._by(f"handoffs/{handoff}/replies/{draft}/refuse", unit, "head", reason="请补充办理结果"),
        )
        await self._answered(unit)

    async def extended(self) -> None:
        """The unit applies for more time, and gets it."""
        await self._registered()
        unit = self.errand.unit
        handoff = await self._handed_out(unit, working_days=60)
        # Before there is a limit, more time is refused, and an action is sent once.
        await self._move("know the limit", unit, lambda seen: handoff_in(seen, handoff)["due_at"], lambda _: None)
        wanted = business_date(self.office.ground.clocks.now()) + timedelta(days=150)
        await self._unit(
            "apply for more time",
            unit,
            handoff,
            RequestExtension(**self._about(unit, handoff), reason="需现场勘查", wanted_day=wanted),
            lambda seen: handoff_in(seen, handoff)["extensions"],
            lambda _: self._by(
                f"handoffs/{handoff}/extensions", unit, reason="需现场勘查", wanted_day=wanted.isoformat()
            ),
        )
        await self._move(
            "grant more time",
            MAYOR,
            lambda seen: handoff_in(seen, handoff)["extensions"][-1]["outcome"],
            lambda seen: self._by(
                f"handoffs/{handoff}/extensions/{handoff_in(seen, handoff)['extensions'][-1]['extension_id']}/decide",
                MAYOR,
                "head",
                outcome="granted",
            ),
        )
        await self._answered(unit)

    async def late(self) -> None:
        """Answered only after it was declared overdue and urged."""
        await self._registered()
        handoff = await self._handed_out(self.errand.unit)
        end = monotonic() + self.office.plan.seconds + PATIENCE_SECONDS
        while monotonic() < end:
            try:
                seen = await self.door.handling(self.letter_id, MAYOR)
            except (Away, Refused):
                await asyncio.sleep(1)
                continue
            if handoff_in(seen, handoff)["overdue_at"] and handoff_in(seen, handoff)["urgings"]:
                break
            await asyncio.sleep(1)
        else:
            raise Stuck("it is past its limit and was neither declared overdue nor urged")
        await self._answered(self.errand.unit)

    async def redone(self) -> None:
        """The reply is sent back and done again."""
        await self._registered()
        unit = self.errand.unit
        handoff = await self._handed_out(unit)
        reply = await self._reply(handoff, unit)
        await self._move(
            "send the reply back",
            MAYOR,
            lambda seen: handoff_in(seen, handoff)["sent_back"],
            lambda _: self._by(
                f"handoffs/{handoff}/replies/{reply}/send-back", MAYOR, reason="未答复诉求", requirements="请逐项答复"
            ),
        )
        await self._answered(unit)
