"""HTTP of routing: the lists of a mailbox, one letter, and the moves that staff and units' systems make."""

from fastapi import APIRouter
from starlette.responses import Response

from services.routing import (
    domain,
    rights,
    routes_directory,
    routes_handling,
    routes_history,
    routes_lists,
    routes_printing,
    routes_register,
    routes_slips,
)
from services.routing.desk import Desk, LetterId, who_of
from services.routing.history import History
from services.routing.listing import Listing
from services.routing.models import State
from services.routing.office import Office
from services.routing.views import LetterView
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.printing.press import Press
from shared.security.rights import Relation
from shared.security.tokens import Authenticated


def router(
    letters: Letters[State],
    listing: Listing,
    history: History,
    office: Office,
    tree: Directory,
    press: Press,
    letter_url: str,
    reply_days: int,
) -> APIRouter:
    """Return the routes of routing."""
    router = APIRouter(prefix="/routing", tags=["办理 handling"])
    desk = Desk(letters, tree)

    @router.get("/letters/{letter_id}", response_model=LetterView, summary="查看来信 One letter and its handling")
    async def show(caller: Authenticated, letter_id: LetterId) -> Response:
        """For the first-receiving mailbox, those it was handed to, and the duty office (R10.2)."""
        rights.SHOW.check_role(caller)
        stored = await letters.aggregates.get(letter_id)
        state, _ = domain.visible(stored.state, who_of(caller), tree)
        rights.SHOW.check(caller, {Relation.PARTY: domain.parties(state, tree)})
        return desk.shown(stored, caller)

    routes_lists.add(router, letters, listing, tree)
    routes_slips.add(router, desk)
    routes_handling.add(router, desk)
    routes_history.add(router, desk, history)
    routes_printing.add(router, desk, press, letter_url, reply_days)
    routes_register.add(router, listing, tree, press, letters.clock.now)
    routes_directory.add_routes(router, office)
    return router
