"""`docs/unit-systems.md` works as it stands there: every example is done, in its order, and what it says is heard is heard."""

import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from services import NAMES
from services.__main__ import build
from services.routing.app import build as build_routing
from shared.contracts.actions import Action
from shared.contracts.catalogue import ACTIONS, MAILBOX, TYPE_OF
from shared.contracts.envelope import Outgoing
from shared.contracts.facts import Fact
from shared.contracts.mailbox import ActionDone, ActionRefused
from tests.access_letters import Letter
from tests.access_table import actions
from tests.component.test_access import ASKED, asked
from tests.conftest import World, eventually

PAGE: Final = Path(__file__).parents[2] / "docs" / "unit-systems.md"
CITIZEN: Final = {"name": "李明", "phone": "13800138000"}
CHANGING: Final = ("at", "letter_version")
"""What differs from run to run."""


def steps() -> list[tuple[str, Any]]:
    """The page's steps in order: (`meanwhile`, what others do) and (`example`, a message as it is sent)."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.finditer(r"^<!-- meanwhile: (.+?) -->$|^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [("meanwhile", one[1]) if one[1] else ("example", json.loads(one[2])) for one in found]


@dataclass
class Play:
    """The page's letters, as they are in this run."""

    world: World
    client: httpx.AsyncClient
    letters: dict[str, str] = field(default_factory=dict)
    """Id on the page → id here."""
    refused: frozenset[str] = frozenset()
    """The ids of the actions that are refused on the page."""
    asked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Topic → the ids of the actions that wait for their answer."""
    heard: dict[str, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    """Topic → what was compared already."""

    def here(self, text: str) -> str:
        for on_page, real in self.letters.items():
            text = text.replace(on_page, real)
        return text

    async def post(self, path: str, mailbox: str, role: str, body: Any = None) -> Any:
        """A request of staff, as soon as the service has followed what came before."""

        async def done() -> Any:
            headers = self.world.token(f"{mailbox}-{role}", mailbox, role)
            answer = await self.client.post(self.here(path), json=body, headers=headers)
            assert answer.is_success, answer.text
            return answer.json()

        return await eventually(done)

    async def send(self, example: Mapping[str, Any]) -> None:
        """Ask as the page says."""
        topic, value = example["topic"], json.loads(self.here(json.dumps(example["value"])))
        headers = {name: self.here(text) for name, text in example["headers"].items()}
        assert example["key"] == example["value"]["letter_id"] == example["headers"]["ce_subject"]
        if topic not in self.asked:
            await self.answered()
        raw = json.dumps(value, ensure_ascii=False).encode()
        await self.world.send(Outgoing("", topic, value["letter_id"], headers, raw))
        self.asked[topic].add(headers["ce_id"])

    async def answered(self) -> None:
        """Wait until what was asked is answered; before others go on, and before another unit asks."""

        async def all_of_it() -> bool:
            for topic, ids in self.asked.items():
                unit = topic.removeprefix("actions.")
                found = [
                    m for m in await self.world.messages(f"mailbox.{unit}") if isinstance(m, ActionDone | ActionRefused)
                ]
                answers = {message.action_id: message for message in found}
                assert ids <= answers.keys()
                wrong = {i for i in ids if isinstance(answers[i], ActionRefused)} ^ (ids & self.refused)
                assert not wrong, [answers[i] for i in wrong]
            return True

        await eventually(all_of_it)
        self.asked.clear()

    async def hear(self, example: Mapping[str, Any]) -> None:
        """Wait for a message like the example: equal but for moments, ids and sentences."""
        topic, wanted = example["topic"], self.plain(json.loads(self.here(json.dumps(example))))

        async def there() -> bool:
            kinds = []
            for record in await self.world.records(topic):
                found = as_example(record, topic)
                if (record.partition, record.offset) in self.heard[topic]:
                    continue
                if found["headers"]["ce_type"] == example["headers"]["ce_type"] and self.plain(found) == wanted:
                    self.heard[topic].add((record.partition, record.offset))
                    return True
                kinds.append(found)
            same = [one for one in kinds if one["headers"]["ce_type"] == example["headers"]["ce_type"]]
            raise AssertionError(f"wanted {wanted}, heard {[self.plain(one) for one in same]}")

        await eventually(there)

    @staticmethod
    def plain(example: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what changes from run to run."""
        value = {name: part for name, part in example["value"].items() if name not in CHANGING}
        assert set(example["value"]) - set(value) <= set(CHANGING)
        headers = {name: text for name, text in example["headers"].items() if name not in {"ce_id", "ce_time"}}
        names = sorted(example["headers"])
        return {"key": example["key"], "headers": headers, "names": names, "value": value}


def as_example(record: Any, topic: str) -> dict[str, Any]:
    """A message as the page writes one: with the headers of the envelope."""
    headers = {name: text.decode() for name, text in record.headers if name == "content-type" or name.startswith("ce_")}
    return {"topic": topic, "key": record.key.decode(), "headers": headers, "value": json.loads(record.value)}


# ── what others do meanwhile ─────────────────────────────────────────────────────────────────────────────────────────


async def write(play: Play, on_page: str, mailbox: str) -> None:
    """A citizen writes, and the mailbox's clerk registers the letter."""
    body = {
        "mailbox": mailbox,
        "subject": "学校门口的路灯坏了",
        "body": "学校门口的路灯坏了两周，孩子放学不安全，请尽快修复。",
    }
    body |= {"nature": "help", "domain": "utilities-power", "region": "500103"}
    more = {"sender": CITIZEN, "may_publish": True}

    async def sent() -> bool:
        headers = {"Idempotency-Key": f"{on_page}-0000"}
        answer = await play.client.post("/intake/letters", json={**body, **more}, headers=headers)
        return answer.status_code == 202

    await eventually(sent)
    clerk = play.world.token(f"{mailbox}-clerk", mailbox, "clerk")

    async def stored() -> str:
        found = await play.client.get(f"/intake/mailboxes/{mailbox}/letters", headers=clerk)
        return str(found.json()["items"][0]["letter_id"]) if found.json()["items"] else ""

    play.letters[on_page] = await eventually(stored)
    await play.post(f"/intake/letters/{on_page}/register", mailbox, "clerk")

    async def known() -> bool:
        letter = await play.client.get(play.here(f"/routing/letters/{on_page}"), headers=clerk)
        return letter.status_code == 200 and letter.json()["number"] is not None

    await eventually(known)


async def assign(play: Play, on_page: str, receiver: str) -> None:
    """The mayor's mailbox assigns it."""
    slip = {"receiver": receiver, "opinion": "拟交办", "requirements": "依法办理并答复来信人", "answer_by": "assignee"}
    await play.post(f"/routing/letters/{on_page}/slips", "mayor", "clerk", slip)
    await play.post(f"/routing/letters/{on_page}/slips/s1/approve", "mayor", "head")


async def grant(play: Play, on_page: str, extension: str) -> None:
    """The mayor's mailbox grants more time."""
    await play.post(
        f"/routing/letters/{on_page}/handoffs/s1/extensions/{extension}/decide", "mayor", "head", {"outcome": "granted"}
    )


async def back(play: Play, on_page: str, reply: str) -> None:
    """The mayor's mailbox sends the reply back."""
    why = {"reason": "未说明修复日期", "requirements": "请写明修复日期"}
    await play.post(f"/routing/letters/{on_page}/handoffs/s1/replies/{reply}/send-back", "mayor", "clerk", why)


async def time(play: Play, day: str, hour: str) -> None:
    """Time passes."""
    play.world.move_clock(datetime.fromisoformat(f"{day}T{hour}:00+08:00"))


MEANWHILE: Final[Mapping[str, Callable[..., Awaitable[None]]]] = {
    "write": write,
    "assign": assign,
    "grant": grant,
    "back": back,
    "time": time,
}
"""Word of a step → what is done; the rest of its words are the arguments."""


async def test_r6_3_every_example_for_units_systems_works_in_its_order(world: World) -> None:
    kit = world.kit()
    async with world.running(*(build(name, kit) for name in NAMES)) as client:
        play = Play(world, client, refused=refusals())
        for kind, step in steps():
            if kind == "meanwhile":
                word, *arguments = step.split()
                await play.answered()
                await MEANWHILE[word](play, *arguments)
            elif step["topic"].startswith("actions."):
                await play.send(step)
            else:
                await play.answered()
                await play.hear(step)
        await play.answered()


def refusals() -> frozenset[str]:
    """The ids of the actions that are refused on the page."""
    examples = [step for kind, step in steps() if kind == "example"]
    return frozenset(
        one["value"]["action_id"] for one in examples if one["headers"]["ce_type"].startswith("xinxiang.ActionRefused")
    )


def test_r6_3_the_page_has_an_example_of_every_message_and_every_action() -> None:
    shown = {step["headers"]["ce_type"] for kind, step in steps() if kind == "example"}
    assert shown == {TYPE_OF[model] for model in (*MAILBOX, *ACTIONS)}


# ── by HTTP and by action ────────────────────────────────────────────────────────────────────────────────────────────

LETTER: Final = "/routing/letters/{id}"
S1, S2 = LETTER + "/handoffs/s1", LETTER + "/handoffs/s2"
BY_HTTP: Final[Mapping[str, tuple[str, str]]] = {
    "PrepareSlip": (LETTER + "/slips", "clerk"),
    "ApproveSlip": (LETTER + "/slips/s2/approve", "head"),
    "RefuseSlip": (LETTER + "/slips/s2/refuse", "head"),
    "WithdrawSlip": (LETTER + "/slips/s2/withdraw", "clerk"),
    "TellCitizen": (S1 + "/told", "clerk"),
    "CollectLetter": (S2 + "/collect", "clerk"),
    "ReturnLetter": (S2 + "/return", "clerk"),
    "RecordProgress": (S2 + "/progress", "clerk"),
    "SubmitReply": (S2 + "/replies", "clerk"),
    "ApproveReply": (S2 + "/replies/r1/approve", "head"),
    "RefuseReply": (S2 + "/replies/r1/refuse", "head"),
    "RequestExtension": (S2 + "/extensions", "clerk"),
    "DecideExtension": (S2 + "/extensions/e1/decide", "head"),
    "RecordReply": (S2 + "/paper-reply", "clerk"),
    "SendBackReply": (S2 + "/replies/r1/send-back", "clerk"),
    "AnswerCitizen": (LETTER + "/answer", "clerk"),
    "GiveInstruction": (LETTER + "/instructions", "leader"),
    "FollowUpInstruction": (LETTER + "/instructions/i1/follow-ups", "clerk"),
    "EndInstruction": (LETTER + "/instructions/i1/end", "clerk"),
}
"""Action → the same over HTTP, and a role that may."""
OTHER_NAMES: Final = {"to": "receiver", "handled_by": "person", "approved_by": "approver"}
"""Field of an action → its name over HTTP, where it differs."""


def body_of(kind: type[Action]) -> dict[str, Any]:
    """What an action says, as the body of a request."""
    return {OTHER_NAMES.get(name, name): value for name, value in ASKED[kind].items()}


def told(facts: list[Fact]) -> list[dict[str, Any]]:
    """Facts but for the letter, the moment and by which message they were asked for."""
    return [fact.model_dump(exclude={"letter_id", "at", "caused_by", "number"}) for fact in facts]


async def test_r6_3_an_action_makes_the_same_facts_as_the_request_over_http(world: World) -> None:
    assert set(BY_HTTP) == {kind.__name__ for kind in ACTIONS}
    serial = iter(range(1, 1000))
    pairs = {kind: [Letter(str(uuid4()), next(serial)) for _ in range(2)] for kind in ASKED}
    service = build_routing(world.kit())
    async with world.running(service) as client:
        before: dict[str, int] = {}
        for kind, letters in pairs.items():
            for letter in letters:
                story = letter.until(actions()[kind.__name__][0])
                await_due = [fact for fact in story if fact.source == "routing"]
                before[letter.id] = len(await_due)
                await world.publish(*story)

        async def known() -> bool:
            found = await service.letters.aggregates.get_many(before)
            return all(i in found and found[i].seen.get("routing", 0) >= count for i, count in before.items())

        await eventually(known, 40)
        due = {letter.id: letter for letters in pairs.values() for letter in letters}
        await world.publish(*(letter.due() for letter in due.values()))

        async def limited() -> bool:
            found = await service.letters.aggregates.get_many(before)
            return all(found[i].seen.get("deadline") for i in before)

        await eventually(limited, 40)
        for kind, (by_action, by_http) in pairs.items():
            path, role = BY_HTTP[kind.__name__]
            unit = min(actions()[kind.__name__][1])
            await world.send(asked(kind, unit, by_action))
            headers = world.token("li", unit, role)
            answer = await client.post(path.format(id=by_http.id), json=body_of(kind), headers=headers)
            assert answer.status_code == 200, f"{kind.__name__}: {answer.text}"

        async def made() -> dict[str, list[Fact]]:
            found: dict[str, list[Fact]] = defaultdict(list)
            for fact in await world.messages("letters"):
                if isinstance(fact, Fact) and fact.source == "routing":
                    found[fact.letter_id].append(fact)
            missing = [k.__name__ for k, two in pairs.items() for one in two if len(found[one.id]) <= before[one.id]]
            assert not missing, missing
            return found

        await eventually(made, 40)
        await world.settled("routing")  # of two facts the second may still be on its way
        facts = await made()
        for kind, (by_action, by_http) in pairs.items():
            one, other = (facts[letter.id][before[letter.id] :] for letter in (by_action, by_http))
            assert told(one) == told(other), kind.__name__
            assert all(fact.caused_by for fact in one), kind.__name__
            assert not any(fact.caused_by for fact in other), kind.__name__
