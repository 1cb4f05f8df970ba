"""Where a city's public interfaces are, and how the checker speaks to them: as a duty officer, as clerks, and as anybody."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from services.settings import Settings
from shared.security.issue import issue_token

FILE = "town.json"
AT_ONCE = 16
TOKEN_HOURS = 24
T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True)
class Town:
    """Where things are. Everything but `transport` is kept in `town.json`, for whoever checks a folder later."""

    urls: Mapping[str, Sequence[str]]
    """Service → the base URL of each of its replicas; letters are asked for at the first, metrics at all."""
    environment: Mapping[str, str]
    """The settings of the services, as their environment has them: KAFKA_BOOTSTRAP, MONGO_URL, NAMESPACE, DIRECTORY_FILE, CLOCK_FILE …"""
    keys: Path
    """The folder of the keys that sign tokens."""
    duty: tuple[str, str] = ("mayor-duty", "mayor")
    """Subject and mailbox of a duty officer."""
    patience: float = 60
    """For how many seconds the city may take to come to rest, and a service to answer 503."""
    transport: httpx.AsyncBaseTransport | None = None
    """Instead of the network, where services run in this process."""

    @property
    def settings(self) -> Settings:
        """The services' settings."""
        given = {name.lower(): value for name, value in self.environment.items()}
        return Settings(**{name: value for name, value in given.items() if name in Settings.model_fields})  # type: ignore[arg-type]

    @property
    def namespace(self) -> str:
        """Prefix of topics, groups and databases."""
        return self.settings.namespace

    def save(self, folder: Path) -> None:
        """Keep it beside the ledger."""
        kept = {
            "urls": {name: list(urls) for name, urls in self.urls.items()},
            "environment": dict(self.environment),
            "keys": str(self.keys),
            "duty": list(self.duty),
            "patience": self.patience,
        }
        (folder / FILE).write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` kept."""
        kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(
            urls=kept["urls"],
            environment=kept["environment"],
            keys=Path(kept["keys"]),
            duty=tuple(kept["duty"]),
            patience=kept["patience"],
        )


@dataclass
class Doors:
    """The public interfaces of a town. Use as an async context manager."""

    town: Town
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _tokens: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(transport=self.town.transport, timeout=60)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def duty(self) -> dict[str, str]:
        """Headers of the duty officer."""
        return self._token(*self.town.duty, "duty_officer")

    def clerk(self, mailbox: str) -> dict[str, str]:
        """Headers of a clerk of a mailbox: by its name nobody in particular, so no report is about them."""
        return self._token(f"{mailbox}-checker", mailbox, "clerk")

    def _token(self, subject: str, mailbox: str, role: str) -> dict[str, str]:
        known = self._tokens.get((subject, mailbox, role))
        if known is None:
            token = issue_token(subject, mailbox, (role,), keys_dir=self.town.keys, hours=TOKEN_HOURS)
            known = self._tokens[subject, mailbox, role] = {"Authorization": f"Bearer {token}"}
        return known

    async def get(self, service: str, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Ask the first replica of a service, again while it answers 503 or 429 or not at all, for as long as the town's patience."""
        return await self.ask(self.town.urls[service][0] + path, headers)

    async def ask(self, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Ask an address in the same way.

        Raises:
            httpx.TransportError: nobody answers.
        """
        end = monotonic() + self.town.patience
        while True:
            try:
                async with self._gate:
                    answer = await self._client.get(url, headers=headers)
            except httpx.TransportError:
                if monotonic() > end:
                    raise
            else:
                if answer.status_code not in {429, 503} or monotonic() > end:
                    return answer
            await asyncio.sleep(0.5)

    async def pages(self, service: str, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Json]:
        """Yield all items of a list, page after page."""
        cursor = ""
        while True:
            sign = "&" if "?" in path else "?"
            answer = await self.get(service, path + (f"{sign}cursor={cursor}" if cursor else ""), headers)
            answer.raise_for_status()
            page = answer.json()
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if not cursor:
                return


@asynccontextmanager
async def opened(town: Town) -> AsyncIterator[Doors]:
    """Give a town's doors."""
    async with Doors(town) as doors:
        yield doors


async def each(items: Iterable[T], do: Callable[[T], Awaitable[None]], portion: int = 200) -> None:
    """Do something for each item, a portion at a time: as many at once as the doors let through, and memory stays the same."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == portion:
            await asyncio.gather(*map(do, batch))
            batch.clear()
    await asyncio.gather(*map(do, batch))
