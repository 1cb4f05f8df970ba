"""Where commands from HTTP queue: those that come while others are written share the next read and write.

A single write costs the store six times as much as one in a batch. Nobody waits for company: the first command is served at once, and
whatever came meanwhile is served together after it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from shared.contracts.facts import Fact
from shared.storage import Stored

State = TypeVar("State")

TOGETHER = 200
"""The most commands to serve with one write."""


@dataclass(slots=True, eq=False)
class Command(Generic[State]):
    """A decision to be made on one letter, for somebody who waits."""

    letter_id: str
    decide: Callable[[State | None, datetime], Sequence[Fact]]
    expected: int | None
    """The version that the letter must have; none: any."""
    answer: "asyncio.Future[Stored[State]]"
    context: Context = field(default_factory=copy_context)
    """The caller's: the decision belongs to its trace."""
    outcome: "Stored[State] | Exception | None" = None
    """What the caller gets once the letter is written."""

    def finish(self) -> None:
        """Give the outcome to whoever waits."""
        if self.answer.done():
            return
        if isinstance(self.outcome, Exception):
            self.answer.set_exception(self.outcome)
        elif self.outcome is not None:
            self.answer.set_result(self.outcome)


class Desk(Generic[State]):
    """Serves commands in the order in which they come, as many together as wait.

    Args:
        serve: sets the outcome of each command and finishes it; what it raises goes to those that are not finished.
    """

    def __init__(self, serve: Callable[[Sequence[Command[State]]], Awaitable[None]]) -> None:
        self._serve = serve
        self._waiting: list[Command[State]] = []
        self._task: asyncio.Task[None] | None = None

    async def take(
        self, letter_id: str, decide: Callable[[State | None, datetime], Sequence[Fact]], expected: int | None
    ) -> Stored[State]:
        """Return the letter as it is after the command, or raise what the command raised."""
        command = Command(letter_id, decide, expected, asyncio.get_running_loop().create_future())
        self._waiting.append(command)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="commands")
        return await command.answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
                try:
                    await self._serve(together)
                except Exception as error:  # noqa: BLE001 - each caller gets it
                    for command in together:
                        command.outcome = error
                        command.finish()
        finally:
            self._task = None
