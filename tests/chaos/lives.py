"""Each letter's way, from the citizen's hand to its end, whatever strikes meanwhile; what people saw of it goes into the ledger."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.demo.city import Away, Json, Refused
from shared.calendar.zone import business_date
from shared.contracts.actions import (
    Action,
    ApproveReply,
    CollectLetter,
    RefuseReply,
    RequestExtension,
    ReturnLetter,
    SubmitReply,
)
from shared.contracts.catalogue import TYPE_OF
from tests.chaos.ground import Ground
from tests.chaos.ledger import Acknowledged, Approved, Ledger, Numbered, sha256
from tests.chaos.people import COME_BACK, PATIENCE_SECONDS, Door, Step, Stuck
from tests.chaos.plan import Ending, Errand, Plan, Way
from tests.chaos.texts import Text, letter, phone, picture

MAYOR = "mayor"
LOOK_SECONDS = 0.4
LIMIT_DAYS = 5
"""Of assignments whose unit applies for more time: the application comes in time."""
PUBLIC_BODY = "来信内容（经审核整理）：{}"


@dataclass
class Load:
    """All letters of a run."""

    plan: Plan
    ground: Ground
    door: Door
    ledger: Ledger
    texts: Sequence[Text]
    ended: Counter[str] = field(default_factory=Counter)
    """Way → how many letters came to its end."""
    stuck: list[str] = field(default_factory=list)
    """What did not get done."""
    refused: int = 0
    """How often a letter was not taken, and was sent again under the same key."""
    _ids: dict[str, str] = field(default_factory=dict)
    _opened: set[str] = field(default_factory=set)
    _producer: AIOKafkaProducer | None = None

    async def run(self) -> None:
        """Send all letters, each at its moment; returns when all have come to their end."""
        began = monotonic()
        producer = AIOKafkaProducer(
            bootstrap_servers=self.ground.world.settings.kafka_bootstrap, enable_idempotence=True
        )
        await producer.start()
        self._producer = producer
        clerks = asyncio.create_task(self._open_the_post())
        try:
            await asyncio.gather(*(self._live(errand, began) for errand in self.plan.errands))
        finally:
            clerks.cancel()
            await producer.stop()

    async def _live(self, errand: Errand, began: float) -> None:
        await asyncio.sleep(max(0.0, began + errand.at - monotonic()))
        try:
            await Life(self, errand).whole()
        except (Stuck, Refused) as error:
            self.stuck.append(f"letter {errand.number} ({errand.way}, {errand.ending}): {error}")
        else:
            self.ended[errand.way] += 1

    async def _open_the_post(self) -> None:
        """Each mailbox's clerk looks for unread letters, and knows them by their senders' numbers."""
        while True:
            for mailbox in sorted({errand.mailbox for errand in self.plan.errands}):
                try:
                    rows = await self.door.letters(mailbox)
                    for row in rows:
                        if row["letter_id"] not in self._opened:
                            seen = await self.door.letter(row["letter_id"], mailbox)
                            self._ids[seen["contact"]["phone"][-11:]] = row["letter_id"]
                            self._opened.add(row["letter_id"])
                except (Away, Refused):
                    continue
            await asyncio.sleep(LOOK_SECONDS)

    async def letter_id(self, errand: Errand) -> str:
        """Wait until the clerk has found the letter among the unread ones."""
        end = monotonic() + PATIENCE_SECONDS
        while phone(errand) not in self._ids:
            if monotonic() > end:
                raise Stuck("it was acknowledged and is in no list of unread letters")
            await asyncio.sleep(LOOK_SECONDS)
        return self._ids[phone(errand)]

    async def put(self, topic: str, key: str, value: bytes, headers: Mapping[str, str]) -> None:
        """Put a message on a topic, again until the broker has it."""
        assert self._producer is not None
        packed = [(name, text.encode()) for name, text in headers.items()]
        end = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                await self._producer.send_and_wait(
                    self.ground.world.namespace + topic, value, key=key.encode(), headers=packed
                )
            except KafkaError as error:
                if monotonic() > end:
                    raise Stuck(f"nothing can be put on {topic}: {error!r}") from error
                await asyncio.sleep(0.5)
            else:
                return

    def now(self) -> str:
        """The right time, as the ledger writes it."""
        return self.ground.clocks.now().isoformat()


class Life:
    """One letter's way."""

    def __init__(self, load: Load, errand: Errand) -> None:
        self.load = load
        self.door = load.door
        self.errand = errand
        self.text = load.texts[errand.text % len(load.texts)]
        self.letter_id = ""

    async def whole(self) -> None:
        """From the citizen to the archive."""
        await self.submit()
        self.letter_id = await self.load.letter_id(self.errand)
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

    # ── the citizen ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self) -> None:
        """Upload the files and post the letter, again under the same key until it is taken."""
        files, signed = [], []
        for number, seed in enumerate(self.errand.files):
            content = picture(seed)
            name = f"照片{number + 1}.png"
            uploaded = await self._insist(lambda name=name, content=content: self.door.attach(name, content))  # type: ignore[misc]
            described = uploaded["attachment"].partition(".")[0]
            attachment = json.loads(base64.urlsafe_b64decode(described + "=" * (-len(described) % 4)))
            signed.append(uploaded["attachment"])
            files.append(
                {"attachment_id": attachment["id"], "name": name, "size": len(content), "sha256": sha256(content)}
            )
        body = letter(self.errand, self.text, self.door.directory, signed, self.load.plan.seed)
        key = str(uuid5(NAMESPACE_URL, f"chaos/{self.load.plan.seed}/{self.errand.number}"))
        taken = await self._insist(lambda: self.door.submit(body, key))
        self.load.ledger.add(Acknowledged(self.load.now(), key, taken["receipt"], body, tuple(files)))

    async def _insist(self, post: Callable[[], Awaitable[Json]]) -> Json:
        end = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await post()
            except (Away, Refused) as error:
                if isinstance(error, Refused) and error.status not in COME_BACK:
                    raise
                if monotonic() > end:
                    raise Stuck(str(error)) from error
                self.load.refused += 1
            await asyncio.sleep(0.5)

    # ── ways ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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
            lambda seen: _slip(seen, slip)["state"] == "refused",
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
            lambda seen: _handoff(seen, slip)["withdrawn"],
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
            lambda seen: _handoff(seen, handoff)["returned"],
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
            lambda seen: _handoff(seen, handoff)["told"],
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
            lambda seen: _reply(seen, handoff, draft)["state"] == "refused",
            lambda _: self._by(f"handoffs/{handoff}/replies/{draft}/refuse", unit, "head", reason="请补充办理结果"),
        )
        await self._answered(unit)

    async def extended(self) -> None:
        """The unit applies for more time, and gets it."""
        await self._registered()
        unit = self.errand.unit
        handoff = await self._handed_out(unit, working_days=60)
        wanted = business_date(self.load.ground.clocks.now()) + timedelta(days=150)
        await self._unit(
            "apply for more time",
            unit,
            handoff,
            RequestExtension(**self._about(unit, handoff), reason="需现场勘查", wanted_day=wanted),
            lambda seen: _handoff(seen, handoff)["extensions"],
            lambda _: self._by(
                f"handoffs/{handoff}/extensions", unit, reason="需现场勘查", wanted_day=wanted.isoformat()
            ),
        )
        await self._move(
            "grant more time",
            MAYOR,
            lambda seen: _handoff(seen, handoff)["extensions"][-1]["outcome"],
            lambda seen: self._by(
                f"handoffs/{handoff}/extensions/{_handoff(seen, handoff)['extensions'][-1]['extension_id']}/decide",
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
        end = monotonic() + self.load.plan.seconds + PATIENCE_SECONDS
        while monotonic() < end:
            try:
                seen = await self.door.handling(self.letter_id, MAYOR)
            except (Away, Refused):
                await asyncio.sleep(1)
                continue
            if _handoff(seen, handoff)["overdue_at"] and _handoff(seen, handoff)["urgings"]:
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
            lambda seen: _handoff(seen, handoff)["sent_back"],
            lambda _: self._by(
                f"handoffs/{handoff}/replies/{reply}/send-back", MAYOR, reason="未答复诉求", requirements="请逐项答复"
            ),
        )
        await self._answered(unit)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _screen(self, what: str, body: Any, goal: Callable[[Json], Any]) -> Json:
        mailbox = self.errand.mailbox
        by = self.door.token(mailbox)
        path = f"/intake/letters/{self.letter_id}"
        return await self.door.bring(what, path, by, goal, lambda _: (Step(f"{path}/{what}", body), by))

    async def _registered(self) -> None:
        await self._screen("read", None, lambda seen: seen["read_at"])
        seen = await self._screen("register", None, lambda seen: seen["number_ascii"])
        self.load.ledger.add(Numbered(self.load.now(), self.letter_id, seen["number_ascii"]))

    async def _slip(self, receiver: str, sender: str = MAYOR, **more: Any) -> str:
        """The clerk drafts a slip."""
        body = {"way": "assign", "receiver": receiver, "opinion": "拟交办理", "requirements": "请依法办理并答复"} | more
        if body["way"] != "direct":
            body.setdefault("answer_by", "assignee")
        seen = await self._move(
            "prepare a slip",
            sender,
            lambda seen: any(slip["state"] == "open" for slip in seen["slips"]),
            lambda _: self._by("slips", sender, **body),
        )
        return next(str(slip["slip_id"]) for slip in seen["slips"] if slip["state"] == "open")

    async def _approve_slip(self, slip: str, sender: str = MAYOR) -> None:
        await self._move(
            "approve the slip",
            sender,
            lambda seen: _slip(seen, slip)["state"] == "sent",
            lambda _: self._by(f"slips/{slip}/approve", sender, "head"),
        )

    async def _sent(self, unit: str, **more: Any) -> str:
        slip = await self._slip(unit, **more)
        await self._approve_slip(slip)
        return slip

    async def _collect(self, handoff: str, unit: str) -> None:
        await self._unit(
            "collect",
            unit,
            handoff,
            CollectLetter(**self._about(unit, handoff)),
            lambda seen: _handoff(seen, handoff)["collected_at"],
            lambda _: self._by(f"handoffs/{handoff}/collect", unit),
        )

    async def _handed_out(self, unit: str, **more: Any) -> str:
        handoff = await self._sent(unit, **more)
        await self._collect(handoff, unit)
        return handoff

    async def _draft(self, handoff: str, unit: str) -> str:
        text = self.text.reply

        def waits(seen: Json) -> Any:
            return any(reply["state"] == "open" for reply in _handoff(seen, handoff)["replies"])

        seen = await self._unit(
            "draft the reply",
            unit,
            handoff,
            SubmitReply(**self._about(unit, handoff), text=text),
            waits,
            lambda _: self._by(f"handoffs/{handoff}/replies", unit, text=text),
        )
        replies = _handoff(seen, handoff)["replies"]
        return next(str(reply["reply_id"]) for reply in replies if reply["state"] == "open")

    async def _reply(self, handoff: str, unit: str) -> str:
        draft = await self._draft(handoff, unit)
        await self._unit(
            "approve the reply",
            unit,
            handoff,
            ApproveReply(**self._about(unit, handoff, "head")),
            lambda seen: _reply(seen, handoff, draft)["state"] == "approved",
            lambda _: self._by(f"handoffs/{handoff}/replies/{draft}/approve", unit, "head"),
        )
        return draft

    async def _answered(self, unit: str) -> None:
        """The unit that has collected the letter replies, which answers the citizen; then the letter goes public or not."""
        seen, _ = await self._seen(unit)
        handoff = next(
            h["handoff_id"] for h in reversed(seen["handoffs"]) if h["receiver"] == unit and h["collected_at"]
        )
        await self._reply(handoff, unit)
        await self._public(unit)

    async def _answer_citizen(self, mailbox: str = MAYOR) -> None:
        await self._move(
            "answer the citizen",
            mailbox,
            lambda seen: seen["answer"],
            lambda _: self._by("answer", mailbox, channel="online", text=self.text.reply),
        )

    async def _public(self, mailbox: str) -> None:
        """Prepare and approve, withhold or withdraw, in the mailbox that answered."""
        ending, case = self.errand.ending, f"/publication/cases/{self.letter_id}"
        clerk, head = self.door.token(mailbox), self.door.token(mailbox, "head")
        if ending is Ending.NOT_ASKED:
            return
        text = {"subject": self.text.subject, "body": PUBLIC_BODY.format(self.text.body), "reply": self.text.reply}
        answers = dict.fromkeys(("state_secret", "trade_secret", "privacy", "highly_sensitive"), False)
        answers["privacy"] = ending is Ending.WITHHELD
        prepare = Step(f"{case}/prepare", text | answers)
        seen = await self.door.bring(
            "prepare the publication", case, clerk, lambda seen: seen["prepared"], lambda _: (prepare, clerk)
        )
        if ending is Ending.WITHHELD:
            step = Step(f"{case}/withhold", {"grounds": ["privacy"]})
            await self.door.bring("withhold", case, head, lambda seen: seen["withheld"], lambda _: (step, head))
            return
        hashed = seen["prepared"]["text_hash"]
        self.load.ledger.add(Approved(self.load.now(), self.letter_id, hashed, _texts(seen["prepared"])))
        approve = Step(f"{case}/approve", {"text_hash": hashed, "confirm_marks": True})
        await self.door.bring(
            "approve the publication", case, head, lambda seen: seen["published"], lambda _: (approve, head)
        )
        if ending is Ending.WITHDRAWN:
            withdraw = Step(f"{case}/withdraw", {"ground": "inaccurate", "remark": "内容有误"})
            await self.door.bring("withdraw", case, head, lambda seen: seen["withdrawn"], lambda _: (withdraw, head))

    # ── means ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _seen(self, mailbox: str) -> tuple[Json, str]:
        seen = await self._move("look", mailbox, lambda _: True, lambda _: None)
        return seen, ""

    async def _move(
        self,
        what: str,
        reader: str,
        goal: Callable[[Json], Any],
        deed: Callable[[Json], tuple[Step, Mapping[str, str]] | None],
    ) -> Json:
        path = f"/routing/letters/{self.letter_id}"
        return await self.door.bring(what, path, self.door.token(reader), goal, deed)

    def _by(self, path: str, mailbox: str, role: str = "clerk", **body: Any) -> tuple[Step, Mapping[str, str]]:
        return Step(f"/routing/letters/{self.letter_id}/{path}", body or None), self.door.token(mailbox, role)

    def _about(self, unit: str, handoff: str, role: str = "clerk") -> dict[str, Any]:
        subject, name = self.door.person(unit, role)
        return {"letter_id": self.letter_id, "handoff_id": handoff, "person": subject, "person_name": name}

    async def _unit(
        self,
        what: str,
        unit: str,
        handoff: str,
        action: Action,
        goal: Callable[[Json], Any],
        deed: Callable[[Json], tuple[Step, Mapping[str, str]] | None],
        reader: str = "",
    ) -> Json:
        """Over HTTP, or by an action that is sent once: Kafka keeps it until it is handled."""
        if not self.errand.by_actions:
            return await self._move(what, reader or unit, goal, deed)
        kind = TYPE_OF[type(action)]
        seen, _ = await self._seen(reader or unit)
        action_id = str(uuid5(NAMESPACE_URL, f"{self.letter_id}/{handoff}/{kind}/{seen['version']}"))
        headers = {
            "ce_specversion": "1.0",
            "ce_id": action_id,
            "ce_type": kind,
            "ce_source": f"/units/{unit}",
            "ce_subject": self.letter_id,
            "ce_time": self.load.now(),
        }
        await self.load.put(f"actions.{unit}", self.letter_id, action.model_dump_json().encode(), headers)
        return await self._move(f"{what} (by topic)", reader or unit, goal, lambda _: None)


def _slip(seen: Json, slip: str) -> Json:
    return next(one for one in seen["slips"] if one["slip_id"] == slip)  # type: ignore[no-any-return]


def _handoff(seen: Json, handoff: str) -> Json:
    return next(one for one in seen["handoffs"] if one["handoff_id"] == handoff)  # type: ignore[no-any-return]


def _reply(seen: Json, handoff: str, reply: str) -> Json:
    return next(one for one in _handoff(seen, handoff)["replies"] if one["reply_id"] == reply)  # type: ignore[no-any-return]


def _texts(text: Json) -> Json:
    return {name: text[name] for name in ("subject", "body", "reply")}
