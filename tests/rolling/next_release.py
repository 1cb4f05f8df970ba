"""A made-up next release: `python -m tests.rolling.next_release services intake` runs what `python -m services intake` would in it.

It differs from this release as a real one could, in three ways:

- a fact has a version 2 with one more required field: a hand-off is collected at a counter. Version 1 is lifted. Every service reads both;
- routing writes version 2;
- deadline keeps its documents by schema 2: what was `clocks` is `timers`. Documents of schema 1 are lifted as they are read.
"""

import importlib
import runpy
import sys
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from shared.contracts import catalogue
from shared.contracts.actions import CollectLetter
from shared.contracts.facts import Fact, HandoffCollected
from shared.storage import Aggregates

COUNTER = "一号窗口"
UNKNOWN = "未记"
TABLES = {
    "intake": ("services.intake.state:ON",),
    "routing": ("services.routing.state:ON", "services.routing.steps:STEPS"),
    "deadline": (),
    "publication": (),
    "reporting": ("services.reporting.domain:ON",),
}
"""Where a service's code names the fact: there it names the newest version."""


class HandoffCollectedV2(HandoffCollected):
    """The assignee signed for the letter, at a counter."""

    version: ClassVar[int] = 2
    counter: str = Field(min_length=1)
    upgrade: ClassVar[None] = None


def lifted(fact: HandoffCollected) -> HandoffCollectedV2:
    """Version 1 as version 2."""
    return HandoffCollectedV2(**fact.model_dump(), counter=UNKNOWN)


def timers(state: dict[str, Any]) -> dict[str, Any]:
    """Deadline's document of schema 1 as one of schema 2."""
    return {("timers" if name == "clocks" else name): value for name, value in state.items()}


def clocks(state: dict[str, Any]) -> dict[str, Any]:
    """What the code calls clocks is called timers in the document."""
    return {("clocks" if name == "timers" else name): value for name, value in state.items()}


def install(service: str) -> None:
    """Make this process, which will be this service, one of the next release."""
    HandoffCollected.upgrade = lifted  # type: ignore[attr-defined]
    catalogue.BY_TYPE[catalogue.type_name(HandoffCollectedV2)] = HandoffCollectedV2
    catalogue.TYPE_OF[HandoffCollectedV2] = catalogue.type_name(HandoffCollectedV2)
    for place in TABLES[service]:
        module, _, name = place.partition(":")
        table = getattr(importlib.import_module(module), name)
        table[HandoffCollectedV2] = table.pop(HandoffCollected)
    if service == "routing":
        _write_version_2()
    if service == "deadline":
        _keep_schema_2()


def _write_version_2() -> None:
    domain: Any = importlib.import_module("services.routing.domain")
    collect = domain.collect

    def at_a_counter(*given: Any) -> list[Fact]:
        return [HandoffCollectedV2(**fact.model_dump(), counter=COUNTER) for fact in collect(*given)]

    domain.collect = at_a_counter
    moves = importlib.import_module("services.routing.moves").MOVES
    moves[HandoffCollectedV2] = moves[HandoffCollected]
    use_cases = importlib.import_module("services.routing.actions").USE_CASES
    use_cases[CollectLetter] = use_cases[CollectLetter]._replace(fact=HandoffCollectedV2)


def _keep_schema_2() -> None:
    repository: Any = importlib.import_module("services.deadline.repository")
    letters = repository.letters

    def by_schema_2(*given: Any) -> Aggregates[Any]:
        made: Aggregates[Any] = letters(*given)
        return replace(
            made,
            schema=2,
            lift={1: timers},
            dump=lambda state: timers(made.dump(state)),
            load=lambda raw: made.load(clocks(raw)),
        )

    repository.letters = by_schema_2


if __name__ == "__main__":
    del sys.argv[0]
    install(sys.argv[-1])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
