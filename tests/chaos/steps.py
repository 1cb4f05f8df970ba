"""The steps of a letter's way, each done until it is seen to be done; what people saw of it goes into the ledger."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from deploy.demo.city import Away, Json, Refused
from shared.contracts.actions import Action, ApproveReply, CollectLetter, SubmitReply
from shared.contracts.catalogue import TYPE_OF
from tests.chaos.ledger import Acknowledged, Approved, Numbered, Posted, sha256
from tests.chaos.office import Office
from tests.chaos.people import COME_BACK, PATIENCE_SECONDS, Step, Stuck
from tests.chaos.plan import Ending, Errand
from tests.chaos.texts import letter, picture

MAYOR = "mayor"
PUBLIC_BODY = "来信内容（经审核整理）：{}"
Deed = Callable[[Json], tuple[Step, Mapping[str, str]] | None]


class Steps:
    """What people do with one letter."""

    def __init__(self, office: Office, errand: Errand) -> None:
        self.office = office
        self.door = office.door
        self.errand = errand
        self.text = office.texts[errand.text % len(office.texts)]
        self.letter_id = ""

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
        body = letter(self.errand, self.text, self.door.directory, signed, self.office.plan.seed)
        key = str(uuid5(NAMESPACE_URL, f"chaos/{self.office.plan.seed}/{self.errand.number}"))
        self.office.ledger.add(Posted(self.office.now(), key, body))
        taken = await self._insist(lambda: self.door.submit(body, key))
        self.office.ledger.add(Acknowledged(self.office.now(), key, taken["receipt"], body, tuple(files)))

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
                self.office.refused += 1
            await asyncio.sleep(0.5)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _screen(self, what: str, body: Any, goal: Callable[[Json], Any]) -> Json:
        mailbox = self.errand.mailbox
        by = self.door.token(mailbox)
        path = f"/intake/letters/{self.letter_id}"
        return await self.door.bring(what, path, by, goal, lambda _: (Step(f"{path}/{what}", body), by))

    async def _registered(self) -> None:
        await self._screen("read", None, lambda seen: seen["read_at"])
        seen = await self._screen("register", None, lambda seen: seen["number_ascii"])
        self.office.ledger.add(Numbered(self.office.now(), self.letter_id, seen["number_ascii"]))

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
            lambda seen: slip_in(seen, slip)["state"] == "sent",
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
            lambda seen: handoff_in(seen, handoff)["collected_at"],
            lambda _: self._by(f"handoffs/{handoff}/collect", unit),
        )

    async def _handed_out(self, unit: str, **more: Any) -> str:
        handoff = await self._sent(unit, **more)
        await self._collect(handoff, unit)
        return handoff

    async def _draft(self, handoff: str, unit: str) -> str:
        text = self.text.reply

        def waits(seen: Json) -> Any:
            return any(reply["state"] == "open" for reply in handoff_in(seen, handoff)["replies"])

        seen = await self._unit(
            "draft the reply",
            unit,
            handoff,
            SubmitReply(**self._about(unit, handoff), text=text),
            waits,
            lambda _: self._by(f"handoffs/{handoff}/replies", unit, text=text),
        )
        replies = handoff_in(seen, handoff)["replies"]
        return next(str(reply["reply_id"]) for reply in replies if reply["state"] == "open")

    async def _reply(self, handoff: str, unit: str) -> str:
        draft = await self._draft(handoff, unit)
        await self._unit(
            "approve the reply",
            unit,
            handoff,
            ApproveReply(**self._about(unit, handoff, "head")),
            lambda seen: reply_in(seen, handoff, draft)["state"] == "approved",
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
        self.office.ledger.add(Approved(self.office.now(), self.letter_id, hashed, _texts(seen["prepared"])))
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
        deed: Deed,
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
        deed: Deed,
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
            "ce_time": self.office.now(),
        }
        await self.office.put(f"actions.{unit}", self.letter_id, action.model_dump_json().encode(), headers)
        return await self._move(f"{what} (by topic)", reader or unit, goal, lambda _: None)


def slip_in(seen: Json, slip: str) -> Json:
    """Return a slip of the letter."""
    return next(one for one in seen["slips"] if one["slip_id"] == slip)  # type: ignore[no-any-return]


def handoff_in(seen: Json, handoff: str) -> Json:
    """Return a hand-off of the letter."""
    return next(one for one in seen["handoffs"] if one["handoff_id"] == handoff)  # type: ignore[no-any-return]


def reply_in(seen: Json, handoff: str, reply: str) -> Json:
    """Return a reply of the letter."""
    return next(one for one in handoff_in(seen, handoff)["replies"] if one["reply_id"] == reply)  # type: ignore[no-any-return]


def _texts(text: Json) -> Json:
    return {name: text[name] for name in ("subject", "body", "reply")}
