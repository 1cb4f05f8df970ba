"""A city of five services in which a report (举报) is looked for on every path, by whoever must not find it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
from fastapi import FastAPI

from services import NAMES
from services.__main__ import build
from services.runtime import Service
from tests.access_table import BODIES
from tests.conftest import World, eventually

MARK: Final = "夜光藻七号"
BODY: Final = f"这是关于{MARK}的情况反映，请有关部门认真核查处理，谢谢。"
PNG: Final = b"\x89PNG\r\n\x1a\n" + b"\0" * 60
SLIP: Final = {"receiver": "water", "opinion": "拟办", "requirements": "办理", "answer_by": "assigner"}
NO_GROUND: Final = {"state_secret": False, "trade_secret": False, "privacy": False, "highly_sensitive": False}
PHONE: Final = {"channel": "phone", "text": "已电话告知来信人。"}
UNIT: Final = [
    ("education-clerk", "education", "clerk"),
    ("education-head", "education", "head", "leader"),
    ("education-leader", "education", "leader"),
    ("education-system", "education", "unit_system"),
    ("education-basic-clerk", "education-basic", "clerk", "head"),
    ("education-basic-system", "education-basic", "unit_system"),
]
"""Everybody of one unit and its department, and their systems."""
ALL: Final = ("mayor-duty", "mayor", "duty_officer", "clerk", "head", "leader")
CODES: Final = ("mayor", "education", "education-basic", "water")

_DOCUMENT: Final[dict[str, Any]] = {}
"""The OpenAPI document of the five services, which is the same in every such city and takes a second to make."""

Who = tuple[str, ...]


@dataclass
class City:
    """The five services in one process."""

    world: World
    client: httpx.AsyncClient
    services: dict[str, Service]

    @property
    def app(self) -> FastAPI:
        """The application behind the client."""
        return self.client._transport.app  # type: ignore[attr-defined,no-any-return]

    async def does(self, who: Who, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Make a request that must succeed."""
        answer = await self.client.request(method, path, json=body, headers=self.world.token(*who))
        assert answer.status_code == status, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    async def submit(self, mailbox: str, nature: str = "report", **more: Any) -> str:
        """A citizen's letter with an attachment; return its id once all services know it."""

        async def accepted() -> Any:
            sent = await self.client.post("/intake/attachments", files={"file": (f"{MARK}.png", PNG, "image/png")})
            assert sent.status_code == 201, sent.text
            return sent.json()["attachment"]

        body = {**BODIES["POST /intake/letters"], "mailbox": mailbox, "subject": f"{MARK}问题", "body": BODY}
        body |= {"nature": nature, "attachments": [await eventually(accepted)], **more}
        known = set(await self.letters())
        answer = await self.client.post("/intake/letters", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert answer.status_code == 202, answer.text

        async def stored() -> str:
            new = [one for one in await self.letters() if one not in known]
            assert len(new) == 1
            return new[0]

        letter_id: str = await eventually(stored)
        return letter_id

    async def letters(self) -> list[str]:
        """The ids of all letters that intake has."""
        found = self.services["intake"].letters.aggregates.collection.find({}, {"_id": 1})
        return [document["_id"] async for document in found]

    async def registered(self, letter_id: str, who: Who = ALL) -> None:
        await self.does(who, "POST", f"/intake/letters/{letter_id}/register")
        await self.settled(letter_id)

    async def settled(self, letter_id: str) -> None:
        """Wait until every service has followed all that any of them has decided on a letter."""

        async def followed() -> bool:
            known = {name: await one.letters.aggregates.get(letter_id) for name, one in self.services.items()}
            said = {name: stored.seen.get(name, 0) for name, stored in known.items()}
            for name, stored in known.items():
                behind = {source: count for source, count in said.items() if stored.seen.get(source, 0) < count}
                assert not behind, f"{name} has not followed {behind}"
            return True

        await eventually(followed)

    async def moved(self, letter_id: str, path: str, who: Who, body: Any = None) -> Any:
        """Make a move of routing once it has followed what came before."""
        view = await self.does(who, "POST", f"/routing/letters/{letter_id}/{path}", body)
        await self.settled(letter_id)
        return view

    async def assigned(self, letter_id: str, receiver: str, slip_id: str, who: Who = ALL, **more: Any) -> None:
        slip = {"receiver": receiver, "opinion": "拟办", "requirements": "办理", "answer_by": "assigner", **more}
        await self.moved(letter_id, "slips", who, slip)
        head = (f"{who[1]}-gao", who[1], "head")
        await self.moved(letter_id, f"slips/{slip_id}/approve", head)

    # ── the search ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def found_by(self, who: Who | None, letter_id: str, only: str = "") -> set[str]:
        """Ask every path as somebody (`only` get: change nothing); return those whose answer has something of the letter."""
        headers = {"Accept": "*/*", **(self.world.token(*who) if who else {})}
        requests = list(self._requests(letter_id, await self._attachment(letter_id), only))
        gate = asyncio.Semaphore(16)

        async def asked(method: str, path: str, query: Any, body: Any) -> str | None:
            # Asked many thousand times: what a client does beside, with cookies and credentials, would take as long as the answer.
            request = httpx.Request(method, self.client.base_url.join(path), params=query, json=body, headers=headers)
            async with gate:
                answer = await self.client._transport.handle_async_request(request)
                await answer.aread()
            shown = answer.text + str(answer.headers)
            mentioned = MARK in shown or "%E5%A4%9C%E5%85%89%E8%97%BB" in shown
            mentioned |= letter_id in shown.replace(path, "")
            if mentioned or (letter_id in path and answer.status_code not in {401, 403, 404}):
                return f"{method} {path} {query or ''}".strip()
            return None

        return {one for one in await asyncio.gather(*(asked(*request) for request in requests)) if one is not None}

    async def _attachment(self, letter_id: str) -> str:
        state = (await self.services["intake"].letters.aggregates.get(letter_id)).state
        return str(state.attachments[0].id)

    def _requests(self, letter_id: str, attachment: str, only: str) -> Iterable[tuple[str, str, dict[str, str], Any]]:
        """Every operation of the OpenAPI document, with every mailbox and every choice of a list; and the pages beside it."""
        known = {"letter_id": [letter_id], "code": CODES, "attachment_id": [attachment], "week": ["2026-W10"]}
        known |= {
            "slip_id": ["s1"],
            "handoff_id": ["s1"],
            "reply_id": ["r1"],
            "extension_id": ["e1"],
            "instruction_id": ["i1"],
        }
        known |= {"kind": ["html"], "period": ["2026-Q1"], "indicator": ["in-time", "read-on-the-day"]}
        known |= {"number": ["YFX-2026-1", "YJX-2026-1"]}
        document = self.app.openapi()
        schemas = document["components"]["schemas"]
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method not in (only or ("get", "post", "put")):
                    continue
                parameters = operation.get("parameters", [])
                names = [one["name"] for one in parameters if one["in"] == "path"]
                queries = [
                    dict(one)
                    for one in itertools.product(
                        *(_choices(one, schemas) for one in parameters if one["in"] == "query")
                    )
                ]
                if method != "get" and (f"{method.upper()} {path}" not in BODIES or "{letter_id}" not in path):
                    continue
                body = BODIES.get(f"{method.upper()} {path}")
                for values in itertools.product(*(known.get(name, ["1"]) for name in names)):
                    filled = path.format(**dict(zip(names, values, strict=True)))
                    yield from ((method.upper(), filled, {k: v for k, v in q.items() if v}, body) for q in queries)
        yield from (("GET", path, {}, None) for path in ("/metrics", "/health/ready", "/openapi.json", "/docs"))

    async def heard(self, mailbox: str, letter_id: str) -> int:
        """How many messages on a mailbox's topic have something of the letter."""
        records = await self.world.records(f"mailbox.{mailbox}")
        return sum(letter_id.encode() in record.key or MARK in record.value.decode() for record in records)

    async def nobody_finds(self, letter_id: str, people: Iterable[Who], *topics: str) -> None:
        """Check that none of these people, nor the public, finds anything, and that nothing is on these topics."""
        for who in (*people, None):
            found = await self.found_by(who, letter_id)
            assert found == set(), (who, found)
        for topic in topics:
            assert await self.heard(topic, letter_id) == 0, topic

    async def figures(self, mailbox: str, who: Who = ALL) -> dict[str, int]:
        """What counts for a mailbox, here and now and in the week: every number that is not zero."""
        live = await self.does(who, "GET", f"/deadline/mailboxes/{mailbox}/figures")
        week = "from=2026-03-02&to=2026-03-09"

        async def counted() -> Any:
            found = await self.does(who, "GET", f"/reporting/mailboxes/{mailbox}/figures?{week}")
            dirty = await self.services["reporting"].letters.cells.waiting()
            assert dirty == (0, 0.0), "still counting"
            return found

        found = await eventually(counted)
        numbers = {f"live {name}": value for name, value in live.items() if isinstance(value, int)}
        numbers |= {name: value for name, value in found.items() if type(value) is int}
        numbers |= {f"undertaken {name}": value for name, value in found["undertaken"]["total"].items()}
        numbers |= {part["code"]: part["count"] for part in found["natures"]}
        return {name: value for name, value in numbers.items() if value}


def _choices(parameter: Any, schemas: Any) -> list[tuple[str, str]]:
    """The values of a query parameter that are tried; none: it is left out."""
    schema, name = parameter["schema"], parameter["name"]
    given = {"from": ["2026-03-02"], "to": ["2026-03-09"], "text": [MARK[:2]], "q": [MARK[:2]]}
    reference = schema.get("$ref", "").rpartition("/")[2]
    options = given.get(name) or schema.get("enum") or schemas.get(reference, {}).get("enum") or []
    return [(name, value) for value in options] or [(name, "")]


@asynccontextmanager
async def city_of(world: World) -> AsyncIterator[City]:
    kit = world.kit()
    services = {name: build(name, kit) for name in NAMES}
    async with world.running(*services.values()) as client:
        city = City(world, client, services)
        if not _DOCUMENT:
            _DOCUMENT.update(city.app.openapi())
        city.app.openapi_schema = _DOCUMENT
        yield city
