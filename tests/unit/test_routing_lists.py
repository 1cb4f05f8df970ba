"""Where letters stand for each mailbox, and what may be asked of lists: pure, no engines."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.routing import placing
from services.routing.asking import Filters, after_of, query_of
from services.routing.listing import Query, Sort
from services.routing.models import State
from services.routing.placing import CITY, PLACES, Place
from services.routing.repository import LISTS, ListName
from services.routing.state import ON
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffCollected,
    HandoffSent,
    LetterDiscarded,
    LetterNoted,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    ReplyDueSet,
    ReplyOverdue,
    ReplySubmitted,
    SlipPrepared,
    SlipWithdrawn,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, InvalidReason, Nature, Number, Way
from shared.directory import load_directory
from shared.web.paging import encode_cursor
from shared.web.problems import Problem
from tests.conftest import DATA

TREE = load_directory(DATA / "directory.yaml")
AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
ABOUT = Classification(nature=Nature.COMPLAINT, domain="utilities-water", region="500103")
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
CLERK = Actor(subject="c", mailbox="mayor")
ENDS = {"sender": "mayor", "receiver": "education"}
SLIP: dict[str, Any] = {
    **ENDS,
    "opinion": "拟办",
    "requirements": "依法办理",
    "answer_by": AnswerBy.ASSIGNEE,
    "written_reply": False,
}


def story(*facts: Fact) -> State:
    state: State | None = None
    for fact in facts:
        state = ON[type(fact)](state, fact)
    assert state is not None
    return state


def fact(kind: type[Fact], hours: int = 0, **fields: Any) -> Fact:
    return kind(**{"letter_id": "l1", "at": AT + timedelta(hours=hours), "by": CLERK, **fields})


RECEIVED = fact(
    LetterReceived,
    mailbox="mayor",
    chosen_mailbox="mayor",
    subject="路灯",
    body="路灯坏了",
    classification=ABOUT,
    may_publish=True,
)
REGISTERED = (RECEIVED, fact(LetterRegistered, 1, number=NUMBER))
PREPARED = (*REGISTERED, fact(SlipPrepared, 2, slip_id="s1", **SLIP))
SENT = (*PREPARED, fact(HandoffSent, 3, handoff_id="s1", prepared_by=CLERK, number=NUMBER, **SLIP))
COLLECTED = (*SENT, fact(HandoffCollected, 4, handoff_id="s1", receiver="education"))


def places(*facts: Fact) -> dict[str, str]:
    entries = placing.fields(story(*facts), TREE, TREE.path_of)
    return {mailbox: entry.get("place", "") for mailbox, entry in entries.items()}


def test_r3_1_a_letter_is_unread_until_somebody_opens_it() -> None:
    assert places(RECEIVED) == {CITY: "unread", "mayor": "unread"}
    assert places(RECEIVED, fact(LetterRead, 1)) == {CITY: "read", "mayor": "read"}
    assert places(*REGISTERED) == {CITY: "pending", "mayor": "pending"}


def test_r10_2_each_mailbox_sees_a_letter_that_was_handed_on_from_its_own_side() -> None:
    assert places(*PREPARED) == {CITY: "slip", "mayor": "slip"}
    assert places(*SENT) == {CITY: "sent", "mayor": "waiting", "education": "sent"}
    assert places(*COLLECTED)["education"] == "collected"
    drafted = (*COLLECTED, fact(ReplySubmitted, 5, handoff_id="s1", reply_id="r1", text="已修复"))
    assert places(*drafted) == {CITY: "drafted", "mayor": "waiting", "education": "drafted"}
    withdrawn = (*SENT, fact(SlipWithdrawn, 5, handoff_id="s1", reason="误发", **ENDS))
    assert places(*withdrawn) == {CITY: "pending", "mayor": "pending", "education": ""}


def test_r4_3_who_forwarded_a_letter_still_finds_it_once_it_was_collected() -> None:
    way = {**SLIP, "way": Way.FORWARD, "receiver": "water"}
    slip = fact(SlipPrepared, 2, slip_id="s1", **way)
    sent = fact(HandoffSent, 3, handoff_id="s1", prepared_by=CLERK, number=NUMBER, **way)
    collected = fact(HandoffCollected, 4, handoff_id="s1", receiver="water")
    assert places(*REGISTERED, slip, sent)["mayor"] == "waiting"
    assert places(*REGISTERED, slip, sent, collected) == {CITY: "pending", "mayor": "passed", "water": "pending"}


def test_r3_7_a_discarded_letter_has_no_entry_and_a_noted_one_has() -> None:
    discarded = fact(LetterDiscarded, 1, reason=InvalidReason.ADVERTISING)
    assert places(RECEIVED, discarded) == {CITY: "", "mayor": ""}
    assert places(RECEIVED, fact(LetterNoted, 1)) == {CITY: "noted", "mayor": "noted"}


def test_r10_2_a_report_has_no_entry_for_any_part_of_the_unit_it_is_about_and_the_mailbox_above_has_it() -> None:
    report = ABOUT.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education-basic"})
    corrected = fact(LetterReclassified, 5, before=ABOUT, after=report)
    assert places(*COLLECTED, corrected) == {CITY: "collected", "mayor": "collected", "education": ""}


def test_r6_1_the_due_moment_is_that_of_the_hand_off_that_concerns_the_mailbox_and_ends_with_the_letter() -> None:
    due = AT + timedelta(days=14)
    clock = fact(ReplyDueSet, 3, handoff_id="s1", receiver="education", due_at=due, working_days=10)
    entries = placing.fields(story(*COLLECTED, clock), TREE, TREE.path_of)
    assert {entry["due"] for entry in entries.values()} == {"2026-03-16T01:30:00.000+00:00|l1"}
    overdue = fact(ReplyOverdue, 400, handoff_id="s1", receiver="education", sender="mayor", due_at=due)
    assert placing.fields(story(*COLLECTED, clock, overdue), TREE, TREE.path_of)["mayor"]["overdue"]
    answered = fact(CitizenAnswered, 9, mailbox="education", channel=Channel.ONLINE, text="已修复", author=CLERK)
    finished = placing.fields(story(*COLLECTED, clock, answered), TREE, TREE.path_of)["education"]
    assert (finished["due"], finished["place"], finished["finished"][:13]) == ("none|l1", "finished", "2026-03-02T10")
    assert (finished["unit"], finished["number"]) == ("education", "YFX|2026|000000017||l1")


def test_the_lists_that_take_filters_are_those_of_letters_and_not_of_tasks() -> None:
    assert set(PLACES) | set(LISTS) == set(ListName)
    assert set(PLACES) - set(LISTS) == {ListName.UNREAD, ListName.ALL}


def asked(name: ListName = ListName.ALL, **filters: Any) -> Query:
    return query_of(Filters(**filters), name, "mayor", TREE)


@pytest.mark.parametrize(
    "text",
    [
        "渝府信〔2026〕17号",
        "渝府信[2026]17号",
        "渝府信（２０２６）１７",
        "YFX-2026-17",
        "yfx-2026-17",
        " YFX-2026-0017 ",
    ],
)
def test_r3_6_a_number_is_understood_as_people_type_it(text: str) -> None:
    assert asked(number=text).number == placing.number_key(NUMBER)


@pytest.mark.parametrize("text", ["17", "YFX-26-17", "YFX", "渝府信2026-17", "无此信〔2026〕17号", "YFX-2026-17-1"])
def test_r3_6_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Problem) as refused:
        asked(number=text)
    assert [error.field for error in refused.value.errors] == ["query:number"]


def test_days_are_those_of_shanghai_and_the_last_one_counts() -> None:
    query = asked(since=AT.date(), until=AT.date())
    assert (query.since, query.until) == (datetime(2026, 3, 1, 16, tzinfo=UTC), datetime(2026, 3, 2, 16, tzinfo=UTC))


def test_newest_letters_come_first_but_what_is_due_soonest() -> None:
    assert asked().descending
    assert asked(ListName.FINISHED, sort=Sort.NUMBER).descending
    assert not asked(sort=Sort.DUE).descending
    assert not asked(ListName.PENDING).descending
    assert not asked(order="asc").descending


def test_a_state_narrows_a_list_and_never_widens_it() -> None:
    assert asked(ListName.IN_HAND, state=Place.WAITING).places == (Place.WAITING,)
    assert asked(ListName.IN_HAND, state=Place.PENDING).places == ()


def test_a_department_is_looked_for_within_its_unit() -> None:
    assert (asked(unit="education-basic").unit, asked(unit="education-basic").desk) == ("education", "education-basic")
    assert (asked(unit="education").unit, asked(unit="education").desk) == ("education", "")


def test_every_wrong_parameter_is_named_at_once() -> None:
    with pytest.raises(Problem) as refused:
        asked(
            ListName.RETURNED,
            domain="x",
            region="x",
            unit="x",
            number="x",
            text="x",
            since=AT.date(),
            until=AT.date() - timedelta(1),
        )
    fields = {error.field.removeprefix("query:") for error in refused.value.errors}
    assert fields == {"list", "domain", "region", "unit", "number", "text", "to"}


def test_a_cursor_goes_on_with_its_own_query_only() -> None:
    query = asked(nature=Nature.HELP)
    cursor = encode_cursor(query.fingerprint, "2026")
    assert after_of(cursor, query) == "2026"
    for other in (
        asked(),
        asked(nature=Nature.HELP, order="asc"),
        query_of(Filters(nature=Nature.HELP), ListName.ALL, CITY, TREE),
    ):
        with pytest.raises(Problem) as refused:
            after_of(cursor, other)
        assert refused.value.status == 422
