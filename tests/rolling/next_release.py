"""A made-up next release: `python -m tests.rolling.next_release services intake` runs what `python -m services intake` would in it.

It differs from this release as a real one could, in three ways:

- a fact has a version 2 with one more required field: a hand-off is collected at a counter. Version 1 is lifted. Every service reads both;
- routing writes version 2;
- deadline keeps its documents by schema 2: what was `clocks` is `timers`. Documents of schema 1 are lifted as they are read.
"""

import runpy
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from services.deadline import repository as deadline
from services.deadline.state import ON as DEADLINE
from services.intake.state import ON as INTAKE
from services.publication.state import ON as PUBLICATION
from services.reporting.domain import ON as REPORTING
from services.routing import domain as routing
from services.routing.state import ON as ROUTING
from services.routing.steps import STEPS
from shared.contracts import catalogue
from shared.contracts.facts import Fact, HandoffCollected
from shared.storage import Aggregates

COUNTER = "一号窗口"
UNKNOWN = "未记"


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


def install() -> None:
    """Make this process one of the next release."""
    HandoffCollected.upgrade = lifted  # type: ignore[attr-defined]
    catalogue.BY_TYPE[catalogue.type_name(HandoffCollectedV2)] = HandoffCollectedV2
    catalogue.TYPE_OF[HandoffCollectedV2] = catalogue.type_name(HandoffCollectedV2)
    tables: Sequence[Any] = (DEADLINE, INTAKE, PUBLICATION, REPORTING, ROUTING, STEPS)
    for table in tables:
        if HandoffCollected in table:
            table[HandoffCollectedV2] = table.pop(HandoffCollected)

    collect = routing.collect

    def at_a_counter(*given: Any) -> list[Fact]:
        return [HandoffCollectedV2(**fact.model_dump(), counter=COUNTER) for fact in collect(*given)]

    routing.collect = at_a_counter  # type: ignore[assignment]

    letters = deadline.letters

    def by_schema_2(*given: Any) -> Aggregates[Any]:
        made = letters(*given)
        return replace(
            made,
            schema=2,
            lift={1: timers},
            dump=lambda state: timers(made.dump(state)),
            load=lambda raw: made.load(clocks(raw)),
        )

    deadline.letters = by_schema_2  # type: ignore[assignment]


if __name__ == "__main__":
    install()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
