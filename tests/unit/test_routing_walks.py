"""Random walks through routing: whoever tries whatever in whatever order, the letter stays in one place and in the right lists."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from services.routing import domain
from services.routing.domain import Application, PaperReply, ReplyText, SlipText, Verdict
from services.routing.models import CLOSED, Stage, State
from services.routing.moves import MOVES, On
from services.routing.repository import HOLDER, LISTS, OUT, TASKS, ListName, letters
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import Fact, HandoffReturned, HandoffSent, LetterReclassified, ReplyDueSet
from shared.contracts.types import AnswerBy, Channel, ExtensionOutcome, Medium, Nature, Way
from shared.storage import Store
from tests.routing_story import DUE, ID, NOW, NUMBER, TREE, Story, pending, received, who

MAILBOXES = sorted(TREE.parents)
ROLES = ("clerk", "head", "leader", "duty_officer")
PAPER = PaperReply(text="已修复", person="李某", approver="王某")
DRAFT = ReplyText(text="已修复")
ASKED = Application(reason="待协调", wanted_due_at=DUE + timedelta(days=5))
ANSWER = (Channel.PHONE, "已答复")
INSTRUCTION = ("请尽快", NOW + timedelta(days=30))
FIELDS = letters(Store("mongodb://unused"), TREE).fields
SEEDS = st.integers(0, 10**9)

Try: TypeAlias = tuple[Callable[..., list[Fact]], tuple[Any, ...]]


def slip_of(random: Random) -> SlipText:
    return SlipText(
        way=random.choice(list(Way)),
        receiver=random.choice(MAILBOXES),
        opinion="拟办",
        requirements="办理",
        answer_by=random.choice([None, None, *AnswerBy]),
        medium=random.choice([*[Medium.SYSTEM] * 8, Medium.FAX]),
    )


def verdict_of(random: Random) -> Verdict:
    return Verdict(outcome=random.choice([ExtensionOutcome.GRANTED, ExtensionOutcome.REFUSED]), reason="可按期")


def anything(random: Random, state: State) -> Try:
    """Some move, mostly one that is not allowed now."""
    some = f"s{random.randint(1, len(state.slips) + 1)}"
    tries: list[Try] = [
        (domain.approve_slip, (some,)),
        (domain.refuse_slip, (some, "不妥")),
        (domain.withdraw_slip, (some, "误发")),
        (domain.collect, (some,)),
        (domain.return_letter, (some, "误收")),
        (domain.record_progress, (some, "进展")),
        (domain.submit_reply, (some, DRAFT)),
        (domain.refuse_reply, (some, None, "不妥")),
        (domain.approve_reply, (some, None)),
        (domain.record_reply, (some, PAPER)),
        (domain.send_back, (some, None, "不完整", "请补充", None)),
        (domain.request_extension, (some, ASKED)),
        (domain.decide_extension, (some, f"e{random.randint(1, 2)}", verdict_of(random))),
        (domain.tell_citizen, (some, Channel.PHONE, "已转")),
        (domain.give_instruction, INSTRUCTION),
        (domain.follow_up, ("i1", "已办")),
        (domain.end_instruction, ("i1", "已办结")),
        (domain.answer_citizen, ANSWER),
    ]
    return random.choice(tries)


def likely(random: Random, state: State) -> tuple[str, str, Try]:
    """What could well be done next, and by whom, so that walks get far."""
    last, current = f"s{len(state.slips)}", state.current
    holder = state.holder or "mayor"
    handoff = current.id if current else last
    clerk = current.sender if current and current.by_hand else holder
    prepare: Try = (domain.prepare_slip, (slip_of(random),))
    reply: Try = (domain.record_reply, (handoff, PAPER)) if clerk != holder else (domain.submit_reply, (handoff, DRAFT))
    asked = next((one for one in state.open_handoffs if one.undecided), None)
    if asked is not None and asked.undecided is not None:
        decided: Try = (domain.decide_extension, (asked.id, asked.undecided.id, verdict_of(random)))
        return asked.sender, "head", decided
    untold = next((one for one in state.handoffs if one.to_tell), None)
    if untold is not None and random.random() < 0.3:
        return untold.sender, "clerk", (domain.tell_citizen, (untold.id, Channel.PHONE, "已转"))
    steps: dict[Stage, tuple[str, str, Try]] = {
        Stage.PENDING: (holder, "clerk", prepare),
        Stage.SLIP: (holder, "head", (domain.approve_slip, (last,))),
        Stage.SENT: (clerk, "clerk", (domain.collect, (handoff,))),
        Stage.COLLECTED: (clerk, "clerk", random.choice([prepare, reply])),
        Stage.DRAFTED: (holder, "head", (domain.approve_reply, (handoff, None))),
        Stage.SUBMITTED: (holder.removesuffix("-basic"), "leader", (domain.give_instruction, INSTRUCTION)),
        Stage.DIRECT: (holder, "clerk", (domain.answer_citizen, ANSWER)),
        Stage.REPLIED: (holder, "clerk", (domain.answer_citizen, ANSWER)),
        Stage.FINISHED: ("mayor", "head", (domain.send_back, (last, None, "不完整", "请补充", None))),
    }
    return steps[state.stage]


def walk(seed: int) -> Story:
    random = Random(seed)
    story = pending(random.choice(["mayor", "education", "water"]))
    for _ in range(random.randint(5, 90)):
        mailbox, role, (decide, arguments) = likely(random, story.known)
        if random.random() < 0.4:
            decide, arguments = anything(random, story.known)
            current = story.known.current
            likely_hand = [story.holder or "mayor", current.sender if current else "mayor"]
            mailbox, role = random.choice([*likely_hand, *likely_hand, random.choice(MAILBOXES)]), random.choice(ROLES)
        before = story.state
        try:
            facts = decide(story.state, who(f"{mailbox}-{role}", mailbox, role), TREE, *arguments, story.now)
        except RuleBroken:
            assert story.state == before
            continue
        for fact in facts:
            happens(story, fact)
    return story


def happens(story: Story, fact: Fact) -> None:
    move, before, was = MOVES[type(fact)], story.known, story.stage
    assert was in move.at or move.on is On.HANDOFF
    story.happens(fact)
    assert story.stage in (move.to or (was,)) or (story.stage is was and "instruction" in move.name)
    if isinstance(fact, HandoffSent):
        assert fact.number == NUMBER
        if fact.way in {Way.ASSIGN, Way.DIRECT}:
            due = ReplyDueSet(
                letter_id=ID,
                at=fact.at,
                handoff_id=fact.handoff_id,
                receiver=fact.receiver,
                due_at=DUE,
                working_days=10,
            )
            story.happens(due)
    if isinstance(fact, HandoffReturned):
        assert story.holder == fact.sender
        assert story.stage in {Stage.PENDING, Stage.COLLECTED}
    assert len(story.known.handoffs) >= len(before.handoffs)


def check_one_place(state: State) -> None:
    open_ids = [handoff.id for handoff in state.open_handoffs]
    parents = [handoff.parent for handoff in state.open_handoffs]
    assert parents == [None, *open_ids][: len(parents)], "open hand-offs stand one inside the other"
    assert (state.stage is Stage.FINISHED) == (state.answer is not None)
    assert (state.holder is None) == (state.stage is Stage.FINISHED)
    if state.stage not in CLOSED:
        assert state.holder in TREE
    for handoff in state.handoffs:
        if handoff.way is Way.ASSIGN:
            assert TREE.is_below(handoff.receiver, handoff.sender)


def check_lists(state: State) -> None:
    fields = FIELDS(state)
    held = [fields[HOLDER]]
    if state.stage is not Stage.FINISHED:
        assert held[0] is not None
        assert held[0].endswith(f"|{state.stage.value}")
        waiting = {fields[name] for name in OUT} - {None}
        assert all(place.endswith("|out") and not place.startswith(f"{state.holder}|") for place in waiting)
        owing = {h.sender for h in state.open_handoffs if h.owes_reply} - {state.holder}
        assert owing <= {place.partition("|")[0] for place in waiting}
    tasks = {fields[name] for name in TASKS} - {None}
    wanted = {f"{h.sender}|{ListName.TO_TELL.value}" for h in state.handoffs if h.to_tell}
    if len(tasks) < len(TASKS):
        assert wanted <= tasks
    places = {place for name in LISTS for _, place in LISTS[name]}
    assert {value.partition("|")[2] for name, value in fields.items() if value and name != "order"} <= places


@given(SEEDS)
@settings(deadline=None, max_examples=200)
def test_whatever_is_tried_the_letter_is_in_one_place_and_in_the_right_lists(seed: int) -> None:
    state = walk(seed).known
    check_one_place(state)
    check_lists(state)
    assert State.model_validate(state.model_dump(mode="json")) == state


@given(SEEDS)
@settings(deadline=None, max_examples=80)
def test_the_state_of_a_walk_does_not_depend_on_how_facts_of_different_services_interleave(seed: int) -> None:
    told, random = walk(seed), Random(seed + 1)
    queues: dict[str, list[Fact]] = {}
    for fact in told.facts:
        queues.setdefault(fact.source, []).append(fact)
    mixed = Story()
    while any(queues.values()):
        mixed.happens(queues[random.choice([source for source, queue in queues.items() if queue])].pop(0))
    assert mixed.state == told.state


def stages(story: Story) -> set[Stage]:
    again = Story()
    return {again.happens(fact).stage for fact in story.facts}


def test_the_walks_get_everywhere() -> None:
    walks = [walk(seed) for seed in range(200)]
    assert {type(fact) for story in walks for fact in story.facts} >= set(MOVES)
    assert set().union(*map(stages, walks)) == set(Stage) - {Stage.DISCARDED, Stage.NOTED}
    assert max(len(story.known.open_handoffs) for story in walks) > 3
    assert any(story.known.flagged for story in walks)
    assert any(len(story.known.answers) > 1 for story in walks)


def test_lists_hide_a_report_from_the_unit_it_is_about_and_show_it_to_the_mailbox_above() -> None:
    story = pending().sends("mayor", "education").collects("education").sends("education", "education-basic")
    about = received().classification
    report = about.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
    story.happens(LetterReclassified(letter_id=ID, at=story.now, before=about, after=report))
    fields = FIELDS(story.known)
    assert [fields[name] for name in (HOLDER, *OUT)] == ["mayor|sent", None, None, None]
