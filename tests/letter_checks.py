"""What can be checked on a letter in routing after every step, whatever the step was."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.routing.models import Handoff, Stage, State
from services.routing.repository import HOLDER, LISTS, OUT, TASKS, ListName
from shared.contracts.facts import Fact
from shared.contracts.reports import NAMED


def check_lists(fields: Mapping[str, Any], state: State) -> None:
    """It stands in the list of whom it waits for, and of all who wait for it."""
    held = [fields[HOLDER]]
    if state.stage is not Stage.FINISHED:
        assert held[0] is not None
        assert held[0].startswith(f"{state.stage.value}|")
        waiting = {fields[name] for name in OUT} - {None}
        assert all(place.startswith("out|") and not place.endswith(f"|{state.holder}") for place in waiting)
        owing = {h.sender for h in state.open_handoffs if h.owes_reply} - {state.holder}
        assert owing <= {place.partition("|")[2] for place in waiting}
    tasks = {fields[name] for name in TASKS} - {None}
    wanted = {f"{ListName.TO_TELL.value}|{h.sender}" for h in state.handoffs if h.to_tell}
    if len(tasks) < len(TASKS):
        assert wanted <= tasks
    places = {place for name in LISTS for _, place in LISTS[name]}
    assert {
        value.partition("|")[0] for name, value in fields.items() if value and name not in {"order", NAMED}
    } <= places


def interleaved(facts: list[Fact], turn: int) -> Iterator[Fact]:
    """Each service's facts in their order, but services apart: deadline's all last, or all of routing's before intake's last."""
    order = {"intake": 0, "routing": 1, "deadline": 2} if turn == 0 else {"intake": 0, "deadline": 1, "routing": 2}
    yield from sorted(facts, key=lambda fact: order[fact.source])


def remembers(before: State | None, after: State | None) -> None:
    """Nothing that was on record is changed or lost; decisions, notes and answers come to it."""
    if before is None or after is None:
        return
    assert len(after.slips) >= len(before.slips)
    for old, new in zip(before.slips, after.slips, strict=False):
        assert new.model_copy(update={"decision": old.decision}) == old
        assert old.decision in {None, new.decision}
    for one, other in zip(before.handoffs, after.handoffs, strict=False):
        grown(one, other)
    assert len(after.handoffs) >= len(before.handoffs)
    assert after.answers[-20:][: len(before.answers)] == before.answers or len(before.answers) == 20


def grown(old: Handoff, new: Handoff) -> None:
    for name in ("sender", "receiver", "way", "opinion", "requirements", "prepared_by", "approved_by", "sent_at"):
        assert getattr(new, name) == getattr(old, name)
    for name in ("collected_at", "withdrawn", "returned", "told"):
        assert getattr(old, name) in {None, getattr(new, name)}
    for name in ("progress", "sent_back"):
        was = getattr(old, name)
        assert getattr(new, name)[: len(was)] == was or len(was) == 20
    assert [reply.id for reply in new.replies][: len(old.replies)] == [reply.id for reply in old.replies] or (
        len(old.replies) == 20
    )


def dump(state: State | None) -> Any:
    return None if state is None else state.model_dump(mode="json")
