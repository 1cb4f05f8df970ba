"""Messages in: publication takes `letters` and tells no mailbox anything."""

from services.publication.domain import Case
from services.runtime import Service
from shared.messaging.broker import subscribe
from shared.messaging.letters import Letters


def listen(service: Service, letters: Letters[Case]) -> None:
    """Let the service's letters follow the topic `letters`."""
    kit = service.kit
    service.subscribers.append(
        subscribe(
            service.broker,
            letters.handle,
            group=kit.group(service.name),
            topics=[f"{kit.namespace}letters"],
            title="publication: facts about letters",
        )
    )
