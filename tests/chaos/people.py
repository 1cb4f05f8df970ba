"""Citizens, clerks and heads who do not give up: whoever got no answer, or was told to come back, looks again and goes on."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import httpx

from deploy.demo.city import Away, City, Json, Refused
from services import NAMES
from shared.directory import Directory

PATIENCE_SECONDS = 300
"""How long somebody tries to get one thing done: longer than all faults together may last in a row."""
TIMEOUT_SECONDS = 8
COME_BACK = frozenset({403, 404, 409, 429, 503})
"""Statuses after which people look again. 403 and 404: a service has not heard yet of what another one did."""


class Stuck(Exception):
    """Something did not get done in all that time."""


@dataclass(frozen=True, slots=True)
class Step:
    """A request that changes something."""

    path: str
    body: Any = None


class Door(City):
    """The city behind a load balancer that knows nothing: each request goes to any of a service's replicas."""

    def __init__(self, replicas: list[Mapping[str, str]], keys: Path, directory: Directory, seed: int) -> None:
        super().__init__(replicas[0], keys, directory, timeout=TIMEOUT_SECONDS, connections=128)
        self._replicas = replicas
        self._random = Random(seed)
        self.statuses: Counter[str] = Counter()
        """What was answered: status, or why there was no answer."""
        self.wrong: list[str] = []
        """Answers that no input and no fault may lead to."""

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send one request, as `City.ask` does, and count the answer."""
        self.urls = {name: self._random.choice(self._replicas)[name] for name in NAMES}
        try:
            response = await super().ask(method, path, **more)
        except Refused as refused:
            self.statuses[str(refused.status)] += 1
            if refused.status >= 500 and not (refused.status == 503 and refused.retry_after):
                self.wrong.append(f"{refused} (retry after {refused.retry_after})")
            raise
        except Away as away:
            self.statuses[str(away).rsplit(": ", 1)[-1].split(" ")[0]] += 1
            raise
        self.statuses[str(response.status_code)] += 1
        return response

    async def look(self, path: str, headers: Mapping[str, str]) -> tuple[Json, str]:
        """Read something; return it and its `ETag`."""
        response = await self.ask("GET", path, headers=headers)
        return response.json(), response.headers.get("etag", "")

    async def bring(
        self,
        what: str,
        path: str,
        reader: Mapping[str, str],
        goal: Callable[[Json], Any],
        deed: Callable[[Json], tuple[Step, Mapping[str, str]] | None],
    ) -> Json:
        """Do a deed until it is seen to be done; return what was seen.

        The deed is made with the version that was seen (`If-Match`): a request that was held up somewhere and arrives after the person has
        tried again changes nothing.

        Args:
            what: it is, for a message.
            path: what is looked at.
            reader: the headers of who looks.
            goal: whether it is done.
            deed: what to do next and by whom; None: wait.

        Raises:
            Stuck: it was not done in `PATIENCE_SECONDS`.
            Refused: with a status that does not say to come back.
        """
        end, pause, last = monotonic() + PATIENCE_SECONDS, 0.03, "nothing yet"
        while True:
            try:
                seen, version = await self.look(path, reader)
                if goal(seen):
                    return seen
                last = "the goal is not reached"
                step = deed(seen)
                if step is not None:
                    (todo, by), match = step, {"If-Match": version} if version else {}
                    await self.ask("POST", todo.path, headers={**by, **match}, body=todo.body)
                    continue
            except (Away, Refused) as error:
                if isinstance(error, Refused) and error.status not in COME_BACK:
                    raise
                last = str(error)
            if monotonic() > end:
                raise Stuck(f"{what} ({path}): {last}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.6, 1.0)
