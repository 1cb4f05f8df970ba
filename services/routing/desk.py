"""One request about one letter: read it, make the move that the domain allows, show it as it is then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeAlias

from fastapi import Header, Path
from starlette.responses import Response

from services.routing import domain
from services.routing.domain import Who
from services.routing.models import State
from services.routing.showing import letter_view
from shared.contracts.errors import Stale
from shared.contracts.facts import Fact
from shared.contracts.types import Actor
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.tokens import Caller
from shared.storage import Stored
from shared.web.etag import etag_of, expected_version

IfMatch = Annotated[str | None, Header(description="The ETag that was read; a stale one is answered with 409.")]
LetterId = Annotated[str, Path(max_length=64)]
PartId = Annotated[str, Path(max_length=64)]
Move: TypeAlias = Callable[[State | None, Who, datetime], Sequence[Fact]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every route about one letter does."""

    letters: Letters[State]
    tree: Directory

    def shown(self, stored: Stored[State], caller: Caller) -> Response:
        """Show the letter with its version."""
        state, _ = domain.visible(stored.state, caller.mailbox, self.tree)
        body = letter_view(state, stored.version, caller, self.tree).model_dump_json()
        return Response(body, media_type="application/json", headers={"ETag": etag_of(stored.version)})

    async def moved(self, caller: Caller, letter_id: str, if_match: str | None, move: Move) -> Response:
        """Make a move; the domain checks who may.

        Raises:
            RuleBroken: it is not allowed.
            Stale: the letter has another version than `if_match`.
        """
        actor = Actor(subject=caller.subject[:100], name=caller.name[:100], mailbox=caller.mailbox)
        who = Who(actor=actor, roles=caller.roles)
        expected = expected_version(if_match)
        try:
            stored = await self.letters.command(letter_id, lambda state, now: move(state, who, now), expected=expected)
        except Stale:
            domain.visible((await self.letters.aggregates.get(letter_id)).state, caller.mailbox, self.tree)
            raise
        return self.shown(stored, caller)
