"""What alerts of a watched city are for, and the messages that make trouble there."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.envelope import Outgoing
from shared.contracts.facts import LetterDiscarded, LetterReceived
from shared.contracts.types import Actor, InvalidReason
from tests.conftest import MONDAY
from tests.routing_desk import ABOUT, TEXT

Deed = Callable[[], Coroutine[Any, Any, None]]


async def nothing() -> None:
    return None


@dataclass
class Fault:
    """What an alert is for, and how it went."""

    alert: str
    """As `tests.prometheus.alerts` calls it."""
    cause: Deed = nothing
    heal: Deed = nothing
    labels: Mapping[str, str] = field(default_factory=dict)
    """Which of its kind: on a city with several troubles at once the alert may fire for others too."""
    fires_when_healed: bool = False
    """The alert tells of what was late, which is known once it came."""
    quiet_before: bool = False
    fired: bool = False
    cleared: bool = False

    @property
    def is_slow(self) -> bool:
        """Whether it clears long after its fault: its windows are of hours and days. The next act does not wait for it."""
        return self.alert.endswith(" ticket")

    def among(self, firing: Sequence[Mapping[str, str]]) -> bool:
        """Whether it is among the alerts that fire."""
        name, _, severity = self.alert.partition(" ")
        wanted = {"alertname": name, **({"severity": severity} if severity else {}), **self.labels}
        return any(wanted.items() <= labels.items() for labels in firing)


def burning(alert: str, cause: Deed = nothing, heal: Deed = nothing) -> list[Fault]:
    """What a budget's two alerts are for: the one that calls somebody, and the ticket."""
    return [Fault(f"{alert} page", cause, heal), Fault(f"{alert} ticket")]


def mad(number: int) -> Outgoing:
    return Outgoing("", "submissions", f"mad-{number}", {}, b"\xff\xfe")


def drop(origin: str) -> Outgoing:
    headers = {"replayof": origin, "replaydrop": "true", "replaywhy": "sent by mistake"}
    return Outgoing("", "submissions", f"drop-{origin.rpartition('/')[2]}", headers, b"{}")


def received(letter_id: str) -> LetterReceived:
    return LetterReceived(
        letter_id=letter_id,
        at=MONDAY,
        mailbox="education",
        chosen_mailbox="education",
        subject="路灯",
        body=TEXT,
        classification=ABOUT,
        may_publish=False,
        attachments=(),
    )


def discarded(letter_id: str) -> LetterDiscarded:
    by = Actor(subject="education-clerk", mailbox="education")
    return LetterDiscarded(letter_id=letter_id, at=MONDAY, by=by, reason=InvalidReason.ADVERTISING)
