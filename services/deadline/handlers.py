"""Deadline's messages: it reads every fact on `letters` and tells no mailbox; routing does, from the facts declared here."""

from functools import partial
from typing import Any

from services.deadline.domain import Rules, follow
from services.deadline.repository import SERVICE
from services.deadline.state import ON, Clocks
from shared.messaging.broker import subscribe
from shared.messaging.kafka import KafkaBroker
from shared.messaging.letters import LETTERS, Domain, Letters


def domain(rules: Rules) -> Domain[Clocks]:
    """Return the domain as `Letters` needs it."""
    return Domain(SERVICE, ON, partial(follow, rules=rules))


def register(broker: KafkaBroker, letters: Letters[Clocks], *, group: str, namespace: str) -> Any:
    """Subscribe to `letters`; return the subscriber."""
    return subscribe(broker, letters.handle, group=group, topics=[namespace + LETTERS], title="deadline: letters")
