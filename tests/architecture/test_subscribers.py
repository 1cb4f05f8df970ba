"""Every subscriber of every service has the settings without which messages are lost; every service knows its facts."""

import inspect
from typing import Any

import pytest
from faststream import AckPolicy

from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.runtime import Service
from services.settings import Settings
from shared.contracts.catalogue import FACTS, TYPE_OF
from shared.messaging import broker as messaging
from shared.storage import Store

GROUPS = {
    "intake": {"t-intake", "t-intake-submissions"},
    "routing": {"t-routing", "t-routing-actions", "t-routing-history"},
    "deadline": {"t-deadline"},
    "publication": {"t-publication"},
    "reporting": {"t-reporting"},
}


@pytest.fixture(scope="module", params=NAMES)
async def service(request: pytest.FixtureRequest) -> Service:
    """Each service, built and not started: nothing is connected."""
    return build(request.param, Kit(Settings(namespace="t-")))


async def test_every_subscriber_repeats_what_failed_from_the_earliest_message_on(service: Service) -> None:
    assert service.broker.subscribers, f"{service.name} listens to nothing"
    for subscriber in service.broker.subscribers:
        settings: dict[str, Any] = subscriber._connection_args  # type: ignore[attr-defined]
        assert subscriber.ack_policy is AckPolicy.NACK_ON_ERROR
        assert settings["enable_auto_commit"] is False
        assert settings["auto_offset_reset"] == "earliest"


async def test_every_subscriber_has_a_consumer_group_of_its_own_service(service: Service) -> None:
    assert {subscriber.group_id for subscriber in service.broker.subscribers} == GROUPS[service.name]  # type: ignore[attr-defined]


async def test_every_subscriber_is_one_whose_lag_is_measured_and_that_stops_in_order(service: Service) -> None:
    assert set(map(id, service.broker.subscribers)) == set(map(id, service.subscribers))


async def test_every_service_follows_the_letters(service: Service) -> None:
    topics = {topic.name for subscriber in service.broker.subscribers for topic in subscriber.topics}  # type: ignore[attr-defined]
    assert "t-letters" in topics


async def test_every_fact_that_a_service_follows_is_in_the_catalogue(service: Service) -> None:
    domain = service.letters.domain
    assert domain.on, f"{service.name} follows no fact"
    assert not [fact for fact in domain.on if fact not in FACTS or fact not in TYPE_OF]


async def test_every_service_follows_its_own_facts(service: Service) -> None:
    """Otherwise a projection that is rebuilt from the topic would lack what the live one has."""
    own = {fact for fact in FACTS if fact.source == service.name}
    assert own <= set(service.letters.domain.on), f"{service.name} publishes facts that it does not evolve by"


def test_every_fact_is_published_by_one_of_the_services() -> None:
    assert {fact.source for fact in FACTS} <= set(NAMES)


async def test_publishing_waits_for_all_replicas_and_makes_no_topics() -> None:
    made = inspect.getsource(messaging.make_broker)
    assert "enable_idempotence=True" in made
    assert "allow_auto_create_topics=False" in made


def test_every_write_to_the_store_waits_for_the_majority_and_the_journal() -> None:
    made = inspect.getsource(Store.client.fget)  # type: ignore[attr-defined]
    assert 'w="majority"' in made
    assert "journal=True" in made
