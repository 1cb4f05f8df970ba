"""Publication's messages: it reads every fact on `letters` and tells no mailbox anything."""

from functools import partial

from services.publication.domain import ON, Case, follow
from services.publication.repository import SERVICE
from shared.messaging.work import Domain


def domain(mayor: str) -> Domain[Case]:
    """Return the domain as `Letters` needs it; `mayor` is the code of the mayor's mailbox."""
    return Domain(SERVICE, ON, partial(follow, mayor=mayor))
