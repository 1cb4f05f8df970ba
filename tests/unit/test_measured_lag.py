"""What a process tells of the messages that it has still to handle."""

from types import SimpleNamespace
from typing import Any

import pytest

from services import runtime
from services.kit import Kit
from services.runtime import Service
from services.settings import Settings
from shared.observability import metrics

LAG = metrics.consumer_lag


def told(group: str) -> dict[tuple[str, str], float]:
    """Topic and partition → what the metric says of one group."""
    samples = [sample for family in LAG.collect() for sample in family.samples]
    return {
        (sample.labels["topic"], sample.labels["partition"]): sample.value
        for sample in samples
        if sample.labels["group"] == group
    }


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service whose one subscriber says what lag it has."""

    async def places_of(subscriber: Any) -> dict[tuple[str, int], tuple[int, int]]:
        return {place: (10, 10 + behind) for place, behind in subscriber.lag.items()}

    monkeypatch.setattr(runtime, "places_of", places_of)
    return Service("routing", Kit(Settings(namespace="n-")), Any, Any, Any)  # type: ignore[arg-type]


async def test_the_lag_of_a_partition_that_another_replica_took_over_is_told_no_longer(service: Service) -> None:
    subscriber = SimpleNamespace(group_id="n-moved", lag={("n-letters", 6): 1, ("n-letters", 7): 2})
    service.subscribers = [subscriber]
    await service._measure_lag()
    assert told("moved") == {("letters", "6"): 1.0, ("letters", "7"): 2.0}
    subscriber.lag = {("n-letters", 7): 0}
    await service._measure_lag()
    assert told("moved") == {("letters", "7"): 0.0}


async def test_the_lags_of_all_mailboxes_topics_are_told_as_one_sum(service: Service) -> None:
    service.subscribers = [
        SimpleNamespace(group_id="n-sum", lag={("n-actions.water", 0): 3, ("n-actions.yuzhong", 0): 0})
    ]
    await service._measure_lag()
    assert list(told("sum").values()) == [3.0]
