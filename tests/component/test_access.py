"""Who may what: every endpoint of the five services and every action, tried by every role of every mailbox (R10.2)."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx

from deploy.access import PAGE, document, endpoints, missing, page, rights
from services import NAMES
from services.__main__ import build
from services.runtime import Service
from shared.contracts import actions as do
from shared.contracts.actions import Action
from shared.contracts.catalogue import ACTIONS
from shared.contracts.envelope import Outgoing, pack
from shared.contracts.facts import Fact
from shared.contracts.mailbox import ActionDone, ActionRefused
from tests.access_letters import Letter
from tests.access_table import ALL_YES, BODIES, MAILBOXES, QUERIES, ROLES, Row, actions, place, rows
from tests.citizen_pages import FILLED, Visitor
from tests.conftest import MONDAY, World, eventually
from tests.unit.test_publication_cleaning import saved

REFUSED: Final = {403, 404}
"""404: the letter is none of the caller's, and they are not told that there is one. What only the duty office can say (`oral`) is a 422."""
PEOPLE: Final = [(mailbox, role) for mailbox in MAILBOXES for role in ROLES if role not in "dC" or mailbox == "mayor"]
"""Everybody who could ask; only the mayor's mailbox has duty officers (R1.2)."""


@dataclass
class City:
    """The five services in one process, and letters at every stage."""

    world: World
    client: httpx.AsyncClient
    services: dict[str, Service]
    known: dict[str, str] = field(default_factory=dict)
    """What paths need of the letter that was sent through the front door."""
    files: dict[str, str] = field(default_factory=dict)
    """Letter → a file that may be shown with it."""
    _serials: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def letter(self) -> Letter:
        return Letter(str(uuid4()), next(self._serials))

    async def bring(self, letters: Mapping[str, list[Letter]]) -> None:
        """Bring letters to their stages, and wait until every service knows them and nothing moves any more."""
        facts = [fact for stage, of_it in letters.items() for letter in of_it for fact in letter.until(stage)]
        await self.world.publish(*facts)
        of_letter: dict[str, list[Fact]] = defaultdict(list)
        for fact in facts:
            of_letter[fact.letter_id].append(fact)

        async def all_there() -> bool:
            for service in self.services.values():
                found = await service.letters.aggregates.get_many(of_letter)
                for letter_id, its in of_letter.items():
                    seen = found[letter_id].seen if letter_id in found else {}
                    assert all(seen.get(source, 0) >= seq for source, seq in followed(service, its).items())
            return True

        await eventually(all_there, 60)
        await self.rested(list(of_letter))

    async def rested(self, letter_ids: list[str]) -> dict[str, dict[str, int]]:
        """Wait until no service's version of these letters changes any more; return them."""
        await self.world.settled()
        return await self.versions(letter_ids)

    async def versions(self, letter_ids: list[str]) -> dict[str, dict[str, int]]:
        """Letter → service → version."""
        found: dict[str, dict[str, int]] = {letter_id: {} for letter_id in letter_ids}
        for name, service in self.services.items():
            for letter_id, stored in (await service.letters.aggregates.get_many(letter_ids)).items():
                found[letter_id][name] = stored.version
        return found

    async def asks(self, row: Row, letter: Letter, mailbox: str = "", role: str = "") -> httpx.Response:
        """Send the request of a row as somebody of a mailbox, or as nobody."""
        headers = self.world.token(f"{mailbox}-{ROLES[role][0]}", mailbox, *ROLES[role]) if mailbox else {}
        method = row.key.partition(" ")[0]
        known = self.known if row.stage in {"none", "real"} else {}
        body = BODIES.get(row.name, BODIES.get(row.key))
        query = QUERIES.get(row.name, QUERIES.get(row.key, {}))
        if row.key == "POST /intake/attachments":
            files = {"file": ("a.png", PNG, "image/png")}
            return await self.client.post("/intake/attachments", files=files, headers=headers)
        if "/attachments/{attachment_id}" in row.key and "/publication/" in row.key:
            known = {"attachment_id": await self._file(letter)}
        if row.key.endswith("/attachments/{name}"):
            known = {"name": await self._published_file(letter)}
        if row.key == "POST /publication/cases/{letter_id}/attachments":
            path = place(row, letter)
            return await self.client.post(path, files={"file": ("a.png", PICTURE, "image/png")}, headers=headers)
        if row.key in {"POST /write", "POST /follow"}:
            visitor = Visitor(self.client)
            page = await visitor.open(path := place(row, letter, **known))
            typed = {"code": known["receipt"]} if path == "/follow" else FILLED
            return (await visitor.press(page, "check" if path == "/write" else "", typed)).answer
        if row.key == "POST /intake/letters":
            headers["Idempotency-Key"] = str(uuid4())
        path = place(row, letter, **known)
        if "/directory/" in row.key and method != "GET":
            path, body, etag = await self._in_directory(row, (mailbox, role) in row.who)
            headers |= {"If-Match": etag}
        return await self.client.request(method, path, json=body, params=dict(query), headers=headers)

    async def _file(self, letter: Letter) -> str:
        """A file that is kept for a letter, uploaded by its unit when it is first asked for."""
        if letter.id not in self.files:
            clerk = self.world.token("education-lin", "education", "clerk")
            path = f"/publication/cases/{letter.id}/attachments"
            answer = await self.client.post(path, files={"file": ("a.png", PICTURE, "image/png")}, headers=clerk)
            assert answer.status_code == 201, answer.text
            self.files[letter.id] = answer.json()["id"]
        return self.files[letter.id]

    async def _published_file(self, letter: Letter) -> str:
        """The name of a file that is public with a letter."""
        path = f"/publication/cases/{letter.id}"
        if letter.id not in self.files:
            text = {**BODIES["POST /publication/cases/{letter_id}/prepare"], "attachments": [await self._file(letter)]}
            clerk = self.world.token("education-lin", "education", "clerk")
            case = (await self.client.post(f"{path}/prepare", json=text, headers=clerk)).json()
            head = self.world.token("education-gao", "education", "head")
            body = {"text_hash": case["prepared"]["text_hash"]}
            answer = await self.client.post(f"{path}/approve", json=body, headers=head)
            assert answer.status_code == 200, answer.text
        return "附件1.png"

    async def _in_directory(self, row: Row, may: bool) -> tuple[str, Any, str]:
        """What changes the directory: a new mailbox is added, or one that was added for this is renamed or closed."""
        serial = next(self._serials)
        code, prefix = f"new-{serial}", "".join(chr(65 + int(digit)) for digit in f"{serial:06}")
        entry: dict[str, Any] = {
            "code": code,
            "name": f"新设信箱{serial}",
            "short_name": f"新设{serial}",
            "kind": "public_enterprise",
        }
        entry |= {
            "parent": "mayor",
            "responsible_department": "办公室",
            "leader": {"name": "戊", "subject": f"{code}-l"},
        }
        staff = [{"name": "戊", "subject": f"{code}-{role}", "roles": [role]} for role in ("clerk", "head")]
        chinese = "渝" + "".join(chr(0x4E00 + int(digit)) for digit in f"{serial:06}")
        new = {
            "entry": {**entry, "prefix": {"chinese": chinese, "ascii": prefix}, "staff": staff},
            "reason": "新设机构",
        }
        path = "/routing/directory/mailboxes"
        if row.key.startswith("POST") and not row.key.endswith("/close"):
            return path, new, ""
        change: Any = {"entry": {"name": f"更名{serial}"}} if row.key.startswith("PATCH") else {}
        change["reason"] = "机构合并"
        if not may:
            return f"{path}/water{'' if 'entry' in change else '/close'}", change, '"0"'
        duty = self.world.token("mayor-duty", "mayor", "duty_officer")
        added = await self.client.post(path, json=new, headers=duty)
        assert added.status_code in {201, 202}, added.text
        return f"{path}/{code}{'' if 'entry' in change else '/close'}", change, added.headers["ETag"]


def followed(service: Service, facts: list[Fact]) -> dict[str, int]:
    """Source → the seq of its last fact on a letter that a service follows."""
    seqs: dict[str, int] = defaultdict(int)
    last: dict[str, int] = {}
    for fact in facts:
        seqs[fact.source] += 1
        if type(fact) in service.letters.domain.on:
            last[fact.source] = seqs[fact.source]
    return last


NO_FONTS: Final = "/problems/fonts-missing"
"""Where there are no Chinese fonts, whoever may print gets to hear so, and only they."""
PNG: Final = b"\x89PNG\r\n\x1a\n" + b"\0" * 60
PICTURE: Final = saved("PNG")
"""One that can be drawn."""


@asynccontextmanager
async def city_of(world: World) -> AsyncIterator[City]:
    kit = world.kit()
    services = {name: build(name, kit) for name in NAMES}
    async with world.running(*services.values()) as client:
        yield City(world, client, services)


async def test_r10_2_every_endpoint_and_action_has_a_right_and_an_expectation() -> None:
    api = document()
    assert missing(api) == []
    assert {row.key for row in rows()} == set(endpoints(api)), "write a line in EXPECTED of tests/access_table.py"
    assert set(actions()) == {action.__name__ for action in ACTIONS}, "write a line in EXPECTED_ACTIONS"
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m deploy.access"


async def test_r10_2_an_endpoint_without_a_right_is_named_with_what_to_do() -> None:
    grown = document()
    grown["paths"]["/routing/letters/{letter_id}/burn"] = {"post": {}}
    (wrong,) = missing(grown)
    assert wrong.startswith(
        "POST /routing/letters/{letter_id}/burn has no right: add a row to RIGHTS in services/routing"
    )


async def test_r10_2_nobody_gets_through_but_whom_the_table_lets(world: World) -> None:
    table = rows()
    async with city_of(world) as city:
        await through_the_front_door(city)
        letters: dict[Row, list[Letter]] = {row: [city.letter() for _ in range(max(1, _copies(row)))] for row in table}
        by_stage: dict[str, list[Letter]] = defaultdict(list)
        for row, of_row in letters.items():
            if row.stage not in {"none", "real"}:
                by_stage[row.stage] += of_row
        await city.bring(by_stage)
        before = await city.versions([letter.id for of_row in letters.values() for letter in of_row])
        wrong: list[str] = []
        for row in table:
            wrong += await _refusals(city, row, letters[row][0])
        assert not wrong, "\n".join(wrong)
        assert await city.rested(list(before)) == before, "a request that was refused changed something"
        for row in table:
            wrong += await _allowances(city, row, letters[row])
        assert not wrong, "\n".join(wrong)


def _copies(row: Row) -> int:
    """How many letters a row needs: one for each time that its move is made."""
    return 1 if row.key.startswith("GET ") else len(row.who)


async def _refusals(city: City, row: Row, letter: Letter) -> list[str]:
    """Ask as everybody who may not; they all ask about one letter, since nothing happens to it."""
    if not row.who:
        return []
    nobody = await city.asks(row, letter)
    wrong = [] if nobody.status_code == 401 else [f"{row.name}: without a token {nobody.status_code}"]
    refused = [who for who in PEOPLE if who not in row.who]
    answers = await asyncio.gather(*(city.asks(row, letter, *who) for who in refused))
    return wrong + [
        f"{row.name}: {mailbox} {'+'.join(ROLES[role])} should be refused, got {answer.status_code} {answer.text[:200]}"
        for (mailbox, role), answer in zip(refused, answers, strict=True)
        if answer.status_code not in (REFUSED | {422} if row.case == "oral" else REFUSED)
    ]


async def _allowances(city: City, row: Row, letters: list[Letter]) -> list[str]:
    """Ask as everybody who may; each move on a letter of its own, the first on the one on which all others were refused."""
    if not row.who:
        asked = [
            ("nobody", await city.asks(row, letters[0])),
            ("a stranger", await city.asks(row, letters[0], "water", "c")),
        ]
    else:
        who = sorted(row.who)
        answers = [await city.asks(row, letters[place % len(letters)], *one) for place, one in enumerate(who)]
        asked = [(f"{mailbox} {'+'.join(ROLES[role])}", a) for (mailbox, role), a in zip(who, answers, strict=True)]
    return [
        f"{row.name}: {name} should get through, got {answer.status_code} {answer.text[:300]}"
        for name, answer in asked
        if answer.status_code >= 400 and NO_FONTS not in answer.text
    ]


async def through_the_front_door(city: City) -> None:
    """A letter with an attachment, for its receipt and its file."""
    table = {row.name: row for row in rows()}
    letter = city.letter()

    async def uploaded() -> Any:
        answer = await city.asks(table["POST /intake/attachments"], letter)
        assert answer.status_code == 201, answer.text
        return answer.json()

    file = await eventually(uploaded)
    body = {**BODIES["POST /intake/letters"], "attachments": [file["attachment"]]}
    answer = await city.client.post("/intake/letters", json=body, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == 202, answer.text
    clerk = city.world.token("yuzhong-clerk", "yuzhong", "clerk")

    async def stored() -> str:
        rows = (await city.client.get("/intake/mailboxes/yuzhong/letters", headers=clerk)).json()["items"]
        assert rows, "not stored yet"
        return str(rows[0]["letter_id"])

    letter_id = await eventually(stored)
    view = (await city.client.get(f"/intake/letters/{letter_id}", headers=clerk)).json()
    city.known = {
        "letter_id": letter_id,
        "attachment_id": view["attachments"][0]["id"],
        "receipt": answer.json()["receipt"],
    }
    await _spot_checked(city)


async def _spot_checked(city: City) -> None:
    """Two samples of that letter for two readers: one untouched, one on which the readers differ."""
    duty, other = (city.world.token(f"mayor-{name}", "mayor", "duty_officer") for name in ("lin", "gao"))
    wanted = {**BODIES["POST /reporting/spot-checks"], "double": True}

    async def drawn() -> str:
        answer = await city.client.post("/reporting/spot-checks", json=wanted, headers=duty)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    city.known |= {"check_id": await eventually(drawn), "disputed": await eventually(drawn)}
    for reader, answers in ((duty, ALL_YES), (other, {**ALL_YES, "facts-checked": "no"})):
        path = f"/reporting/spot-checks/{city.known['disputed']}/letters/1/result"
        read = await city.client.put(path, json={"answers": answers}, headers=reader)
        assert read.status_code == 200, read.text


# ── actions of units' systems ────────────────────────────────────────────────────────────────────────────────────────

_SLIP: Final = {"to": "education-basic", "opinion": "拟办", "requirements": "办理", "answer_by": "assigner"}
_TOLD: Final = {"channel": "phone", "text": "已电话告知来信人。"}
ASKED: Final[Mapping[type[Action], Mapping[str, Any]]] = {
    do.PrepareSlip: _SLIP,
    do.ApproveSlip: {"slip_id": "s2"},
    do.RefuseSlip: {"slip_id": "s2", "reason": "另拟"},
    do.WithdrawSlip: {"reason": "误发"},
    do.TellCitizen: {**_TOLD, "handoff_id": "s1"},
    do.CollectLetter: {},
    do.ReturnLetter: {"reason": "误收"},
    do.RecordProgress: {"text": "已查看"},
    do.SubmitReply: {"text": "已修复。"},
    do.ApproveReply: {},
    do.RefuseReply: {"reason": "写明日期"},
    do.RequestExtension: {"reason": "待配合", "wanted_day": "2026-03-25"},
    do.DecideExtension: {"extension_id": "e1", "outcome": "granted"},
    do.RecordReply: {"text": "已修复。", "handled_by": "李某", "approved_by": "王某"},
    do.SendBackReply: {"reason": "不完整", "requirements": "请补充"},
    do.AnswerCitizen: _TOLD,
    do.GiveInstruction: {"text": "请尽快", "report_by": "2026-03-06"},
    do.FollowUpInstruction: {"instruction_id": "i1", "text": "已查看"},
    do.EndInstruction: {"instruction_id": "i1", "text": "已办结"},
}
"""Action → what it says besides who asks, and on the hand-off `s2` where it says nothing else."""


def asked(kind: type[Action], unit: str, letter: Letter) -> Outgoing:
    handoff = {"handoff_id": "s2"} if "handoff_id" in kind.model_fields else {}
    action = kind.model_validate({"letter_id": letter.id, "person": "li", **handoff, **ASKED[kind]})
    action_id = f"{kind.__name__}/{unit}/{letter.id}"[:100]
    return pack(
        action, topic=f"actions.{unit}", letter_id=letter.id, source=unit, id=action_id, time=MONDAY, traceparent=""
    )


async def test_r10_2_no_unit_s_system_does_what_is_not_its_unit_s_to_do(world: World) -> None:
    expected = actions()
    assert {kind.__name__ for kind in ASKED} == set(expected)
    async with city_of(world) as city:
        letters = {kind: [city.letter() for _ in expected[kind.__name__][1]] for kind in ASKED}
        by_stage: dict[str, list[Letter]] = defaultdict(list)
        for kind, of_it in letters.items():
            by_stage[expected[kind.__name__][0]] += of_it
        await city.bring(by_stage)
        before = await city.versions([letter.id for of_it in letters.values() for letter in of_it])

        strangers = {k: [u for u in MAILBOXES if u not in expected[k.__name__][1]] for k in ASKED}
        await world.send(*(asked(kind, unit, letters[kind][0]) for kind in ASKED for unit in strangers[kind]))
        for unit in MAILBOXES:
            wanted = sorted(kind.__name__ for kind in ASKED if unit in strangers[kind])
            assert await _answers(world, unit, ActionRefused, len(wanted)) == wanted
        assert await city.rested(list(before)) == before, "an action that was refused changed something"

        own = {kind: sorted(expected[kind.__name__][1]) for kind in ASKED}
        await world.send(
            *(
                asked(kind, unit, letter)
                for kind in ASKED
                for unit, letter in zip(own[kind], letters[kind], strict=True)
            )
        )
        for unit in MAILBOXES:
            wanted = sorted(kind.__name__ for kind in ASKED if unit in own[kind])
            assert await _answers(world, unit, ActionDone, len(wanted)) == wanted


async def _answers(world: World, unit: str, kind: type[ActionDone | ActionRefused], count: int) -> list[str]:
    """The names of the actions that were answered so."""

    async def told() -> list[str] | None:
        found = [message for message in await world.messages(f"mailbox.{unit}") if isinstance(message, kind)]
        if kind is ActionDone:
            late = [m for m in await world.messages(f"mailbox.{unit}") if isinstance(m, ActionRefused)]
            refused = [m.reason for m in late if m.rule != "R10.2"]
            assert not refused, refused
        return sorted(one.action for one in found) if len(found) >= count else None

    if not count:
        return []
    names: list[str] = await eventually(told, 30)
    return names


def test_r10_2_the_rights_name_a_rule_and_leave_nobody_out_by_mistake() -> None:
    for table in rights().values():
        for key, right in table.items():
            assert right.rule.startswith("R"), key
            assert right.grants, f"{key} is for nobody"
            assert all(grant.roles and grant.relations for grant in right.grants), key
