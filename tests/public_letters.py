"""Published letters for tests and measurements: written straight into publication's store, by its own code."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx

from services.publication.app import build
from services.publication.domain import ON, Case, PublicText
from services.publication.repository import SERVICE
from services.runtime import Service
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    LetterPublished,
    LetterReceived,
    LetterRegistered,
    PublicationWithdrawn,
)
from shared.contracts.types import Actor, Channel, Classification, Nature, Number, PublishedFile, WithdrawalGround
from shared.storage import Change
from tests.conftest import World, eventually

START = datetime.fromisoformat("2026-03-02T09:30:00+08:00")
CLERK = Actor(subject="education-clerk", mailbox="education")
HEAD = Actor(subject="education-head", mailbox="education")


@dataclass(frozen=True)
class Public:
    """A published letter as a test wants it."""

    serial: int
    subject: str = "校门口缺少斑马线"
    body: str = "孩子上学过马路很危险。\n请设置斑马线。"
    reply: str = "已施划斑马线。"
    nature: Nature = Nature.HELP
    domain: str = "education"
    region: str = "500103"
    mailbox: str = "education"
    received: datetime = START
    at: datetime | None = None
    """When it was published; if not given, an hour after that with the serial before."""
    attachments: tuple[PublishedFile, ...] = ()
    also: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its id in the store."""
        return str(uuid5(NAMESPACE_URL, f"public/{self.serial}"))

    @property
    def number(self) -> Number:
        """Its number."""
        return Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=self.serial)

    @property
    def published_at(self) -> datetime:
        """When it was published."""
        return self.at or START + timedelta(days=14, hours=self.serial)

    def received_fact(self) -> LetterReceived:
        """Return the letter as it came."""
        about = Classification(nature=self.nature, domain=self.domain, region=self.region, **self.also)
        return LetterReceived(
            letter_id=self.id,
            at=self.received,
            mailbox="mayor",
            chosen_mailbox="mayor",
            subject="张三丰的来信",
            body="我叫张三丰，电话13912345678。",
            classification=about,
            may_publish=True,
        )

    def published_fact(self) -> LetterPublished:
        """Return the approval."""
        return LetterPublished(
            letter_id=self.id,
            at=self.published_at,
            by=HEAD,
            mailbox=self.mailbox,
            number=self.number,
            subject=self.subject,
            body=self.body,
            reply=self.reply,
            attachments=self.attachments,
            text_hash=PublicText(subject=self.subject, body=self.body, reply=self.reply).hash,
            prepared_by=CLERK,
        )

    def facts(self) -> list[Fact]:
        """Return its whole story."""
        answered = CitizenAnswered(
            letter_id=self.id,
            at=self.received + timedelta(days=7),
            mailbox=self.mailbox,
            channel=Channel.ONLINE,
            text="张三丰同志，已施划斑马线。",
            author=CLERK,
        )
        registered = LetterRegistered(letter_id=self.id, at=self.received, number=self.number)
        return [self.received_fact(), registered, answered, self.published_fact()]

    def withdrawn_fact(self, ground: WithdrawalGround = WithdrawalGround.PRIVACY) -> PublicationWithdrawn:
        """Return its withdrawal, a day after its publication."""
        return PublicationWithdrawn(
            letter_id=self.id,
            at=self.published_at + timedelta(days=1),
            by=HEAD,
            mailbox=self.mailbox,
            number=self.number,
            ground=ground,
            remark="秘而不宣",
        )


async def write(service: Service, stories: Iterable[tuple[str, Sequence[Fact]]]) -> None:
    """Let letters go on by facts, as the service's messages would: (letter id, facts)."""
    told = dict(stories)
    changes: list[Change[Case]] = []
    for letter_id, stored in (await service.letters.aggregates.get_many(told)).items():
        state = stored.state
        seen = dict(stored.seen)
        for fact in told[letter_id]:
            state = ON[type(fact)](state, fact)
            seen[fact.source] = seen.get(fact.source, 0) + 1
        assert state is not None
        changes.append(Change(stored, state, seen))
    lost = await service.letters.aggregates.save(changes)
    assert not lost
    assert service.name == SERVICE


@dataclass
class Readers:
    """The public, at a service that tests write letters into."""

    service: Service
    client: httpx.AsyncClient

    async def publish(self, *letters: Public) -> None:
        """Publish letters."""
        await write(self.service, ((letter.id, letter.facts()) for letter in letters))

    async def tell(self, *facts: Fact) -> None:
        """Let further facts happen, each on a letter of its own."""
        await write(self.service, ((fact.letter_id, [fact]) for fact in facts))

    async def get(self, path: str, **named: Any) -> httpx.Response:
        """Ask for a path below `/public/`."""
        return await self.client.get(f"/public/{path}", **named)

    async def found(self, **asked: Any) -> list[int]:
        """Return the serials of what is found, in their order, page by page."""
        serials: list[int] = []
        cursor = ""
        while True:
            answer = await self.get("letters.json", params={**asked, "cursor": cursor})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            serials += [int(item["number"].rpartition("-")[2]) for item in page["items"]]
            if page["next"] is None:
                return serials
            cursor = page["next"]


@asynccontextmanager
async def reading(world: World, **settings: object) -> AsyncIterator[Readers]:
    """Run publication until its search answers."""
    service = build(world.kit(**settings))
    async with world.running(service) as client:
        readers = Readers(service, client)

        async def prepared() -> bool:
            return (await readers.get("data.json")).status_code == 200

        await eventually(prepared)
        yield readers
