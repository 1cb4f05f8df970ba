"""Deadline's messages: it reads every fact on `letters` and tells no mailbox; routing does, from the facts declared here."""

from functools import partial

from services.deadline.domain import Rules, follow, missed
from services.deadline.repository import SERVICE
from services.deadline.state import ON, Clocks
from shared.messaging.work import Domain


def domain(rules: Rules) -> Domain[Clocks]:
    """Return the domain as `Letters` needs it."""
    return Domain(SERVICE, ON, partial(follow, rules=rules), partial(missed, rules=rules))
