"""What stands on the printed forms, and which line of the register a letter is: pure, from a letter's state."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.routing import printing, register
from services.routing.forms import SUMMARY, Clerk
from services.routing.listing import Listing, Query, Row, Sort
from services.routing.models import (
    KEPT_TEXTS,
    Clock,
    Decision,
    Extension,
    Handoff,
    Letter,
    Note,
    Reply,
    SentBack,
    Slip,
    State,
    Urging,
)
from services.routing.placing import CITY, Place
from services.routing.state import ON
from shared.contracts.errors import NotFound
from shared.contracts.facts import UrgingSent
from shared.contracts.types import Actor, AnswerBy, Classification, Medium, Nature, Number, Way
from shared.directory import Directory, LiveDirectory, load_directory
from shared.directory.changes import Change, close
from shared.printing.registers import PART, Column, Register, print_register
from shared.security.tokens import Caller
from shared.storage import Stored
from tests.conftest import DATA, MONDAY
from tests.paper import needs_fonts, pages, press

TREE = load_directory(DATA / "directory.yaml")
CLERK = Actor(subject="mayor-clerk", name="覃文梧", mailbox="mayor")
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
LETTER = Letter(
    mailbox="mayor",
    subject="路灯坏了",
    body="路灯坏了。",
    classification=Classification(nature=Nature.HELP, domain="gone", region="999999"),
    received_at=MONDAY,
    number=NUMBER,
    registered_at=MONDAY,
)
COMMON: dict[str, Any] = {
    "opinion": "拟办",
    "requirements": "办理",
    "answer_by": AnswerBy.ASSIGNEE,
    "written_reply": False,
    "medium": Medium.SYSTEM,
    "working_days": None,
    "prepared_by": CLERK,
}


def handoff(
    number: int, sender: str, receiver: str, parent: str | None = None, way: Way = Way.ASSIGN, **more: Any
) -> Handoff:
    ends = {"id": f"s{number}", "sender": sender, "receiver": receiver, "parent": parent, "way": way}
    return Handoff(**COMMON, **ends, approved_by=CLERK, sent_at=MONDAY, **more)


def clerk(*handoffs: Handoff, letter: Letter = LETTER, days: int = 10, **more: Any) -> Clerk:
    return Clerk(State(letter_id="l", letter=letter, handoffs=handoffs, **more), letter, TREE, days)


def said(form: Any) -> str:
    return str(form.data(LETTER, "https://city.test/l", ""))


def caller(mailbox: str) -> Caller:
    return Caller(subject="x", name="x", mailbox=mailbox, roles=frozenset({"clerk"}))


def test_r4_6_a_long_letter_is_begun_on_the_slip_and_printed_whole_behind_it() -> None:
    letter = LETTER.model_copy(update={"body": "长" * (SUMMARY + 1)})
    slip = Slip(**COMMON, id="s1", sender="mayor", receiver="water", way=Way.ASSIGN, parent=None, prepared_at=MONDAY)
    form = clerk(letter=letter).slip(slip)
    assert form.annex == ([letter.body], True)
    assert "（来信较长，全文附后）" in said(form)
    assert clerk().slip(slip).annex == ([], True)


def test_r6_1_a_form_says_the_days_of_the_setting_where_nobody_set_others() -> None:
    by = clerk(days=25)
    slip = Slip(**COMMON, id="s1", sender="mayor", receiver="water", way=Way.ASSIGN, parent=None, prepared_at=MONDAY)
    back = SentBack(reply_id="r1", reason="x", requirements="x", count=1, working_days=None, by=CLERK, at=MONDAY)
    one = handoff(1, "mayor", "water", sent_back=(back, back.model_copy(update={"count": 2})))
    for form in (by.slip(slip), by.send_back(one, back)):
        assert "'25个工作日'" in said(form)
    own = {"working_days": 5}
    for form in (by.slip(slip.model_copy(update=own)), by.send_back(one, back.model_copy(update=own))):
        assert "'5个工作日'" in said(form)


def test_r4_6_a_form_names_what_the_directory_has_no_more_by_its_code() -> None:
    assert "'text': 'gone'" in said(clerk().registration())
    assert "closed-unit" in said(clerk().reply(handoff(1, "mayor", "closed-unit"), reply(1)))


def reply(number: int, **more: Any) -> Reply:
    return Reply(id=f"r{number}", text="已修复。", author=CLERK, at=MONDAY, **more)


def test_r4_6_only_the_latest_can_be_printed_and_an_earlier_one_says_where_it_is() -> None:
    count = KEPT_TEXTS + 3
    kept = range(4, count + 1)
    refused = Decision(by=CLERK, at=MONDAY, reason="改")
    back = [
        SentBack(reply_id=f"r{n}", reason="x", requirements="x", count=n, working_days=None, by=CLERK, at=MONDAY)
        for n in kept
    ]
    one = handoff(
        1,
        "mayor",
        "education",
        replies=tuple(reply(n, decision=refused) for n in kept),
        sent_back=tuple(back),
        urged=count,
        urgings=tuple(Urging(count=n, due_at=MONDAY, at=MONDAY) for n in kept),
    )
    by, unit = clerk(one), caller("education")
    prints: list[tuple[Any, Any]] = [(printing.urging, int), (printing.send_back, int), (printing.reply, "r{}".format)]
    for print_it, which in prints:
        with pytest.raises(NotFound, match="办理历史") as older:
            print_it(by, unit, "s1", which(3))
        assert older.value.rule == "R4.6"
        with pytest.raises(NotFound, match="没有"):
            print_it(by, unit, "s1", which(count + 1))
    assert "第四次催办" in said(printing.urging(by, unit, "s1", 4))


def test_r7_1_an_urging_that_a_state_of_before_does_not_know_says_where_it_is() -> None:
    with pytest.raises(NotFound, match="办理历史"):
        printing.urging(clerk(handoff(1, "mayor", "education", urged=2)), caller("mayor"), "s1", 2)


@pytest.mark.parametrize(
    ("explained", "words"),
    [
        ({}, "也未收到情况说明。"),
        ({"progress": (1,)}, "2026年3月3日 09:30说明情况后也未再收到进展说明。"),
        ({"progress": (1,), "extensions": (2,)}, "2026年3月4日 09:30说明情况后也未再收到进展说明。"),
        ({"progress": (30,)}, "也未收到情况说明。"),
    ],
    ids=["nothing", "progress", "an application", "progress after the urging"],
)
def test_r7_1_an_urging_says_what_was_explained_before_it(explained: dict[str, Any], words: str) -> None:
    notes = tuple(
        Note(text="配件已订购", by=CLERK, at=MONDAY + timedelta(days=n)) for n in explained.get("progress", ())
    )
    asked = tuple(
        Extension(id="e1", reason="待论证", wanted_due_at=MONDAY, oral=False, by=CLERK, at=MONDAY + timedelta(days=n))
        for n in explained.get("extensions", ())
    )
    urged = Urging(count=1, due_at=MONDAY + timedelta(days=14), at=MONDAY + timedelta(days=20))
    one = handoff(1, "mayor", "water", progress=notes, extensions=asked, urged=1, urgings=(urged,))
    assert f"尚未收到你单位的回复，{words}" in said(clerk().urging(one, urged))


def test_r7_1_each_urging_is_remembered_with_its_moment_once() -> None:
    state: State | None = State(letter_id="l", letter=LETTER, handoffs=(handoff(1, "mayor", "education"),))
    for count in (1, 2):
        at = MONDAY + timedelta(days=14 + count)
        values = {"handoff_id": "s1", "sender": "mayor", "receiver": "education", "count": count, "due_at": MONDAY}
        state = ON[UrgingSent](state, UrgingSent(letter_id="l", at=at, **values))
    assert state is not None
    (one,) = state.handoffs
    assert one.urged == 2
    assert [urging.at - MONDAY for urging in one.urgings] == [timedelta(days=15), timedelta(days=16)]


def test_a_draft_is_printed_for_its_author_and_a_withdrawn_slip_not_for_its_receiver() -> None:
    by = clerk(handoff(1, "mayor", "education", replies=(reply(1),)))
    assert "（待审核）" in said(printing.reply(by, caller("education"), "s1", "r1"))
    with pytest.raises(NotFound):
        printing.reply(by, caller("mayor"), "s1", "r1")
    gone = handoff(1, "mayor", "education", withdrawn=Decision(by=CLERK, at=MONDAY), urged=1)
    with pytest.raises(NotFound, match="无权"):
        printing.urging(clerk(gone), caller("education"), "s1", 1)


@pytest.mark.parametrize(
    ("mailbox", "meant"),
    [("mayor", "s2"), ("education", "s2"), ("education-basic", "s3"), (CITY, "s2"), ("water", None)],
)
def test_r10_3_each_register_tells_of_the_hand_off_that_owes_its_mailbox_the_reply(
    mailbox: str, meant: str | None
) -> None:
    """The unit submitted up (s1), the mayor's mailbox turned it into an assignment (s2, R4.4b), the unit assigned inside (s3)."""
    state = State(
        letter_id="l",
        letter=LETTER,
        handoffs=(
            handoff(1, "education", "mayor", way=Way.SUBMIT_UP),
            handoff(2, "mayor", "education", "s1"),
            handoff(3, "education", "education-basic", "s2"),
        ),
    )
    found = register.meant(state, mailbox, TREE)
    assert (found.id if found else None) == meant


def test_r10_3_what_was_returned_counts_only_where_there_is_nothing_else() -> None:
    back = handoff(1, "mayor", "water", returned=Decision(by=CLERK, at=MONDAY, reason="不属本单位"))
    state = State(letter_id="l", letter=LETTER, handoffs=(back,))
    assert register.meant(state, "mayor", TREE) == back
    again = handoff(2, "mayor", "education")
    assert register.meant(state.model_copy(update={"handoffs": (back, again)}), "mayor", TREE) == again


@pytest.mark.parametrize(
    ("replied", "late"),
    [(timedelta(days=14) - timedelta(seconds=1), "否"), (timedelta(days=14), "是"), (None, "是")],
)
def test_r10_3_a_letter_is_late_from_its_due_moment_on(replied: timedelta | None, late: str) -> None:
    due = MONDAY + timedelta(days=14)
    one = handoff(1, "mayor", "education", replied_at=MONDAY + replied if replied else None)
    assert line(one, due, "mayor")["是否超期"] == late


@pytest.mark.parametrize(("early", "late"), [(timedelta(seconds=1), "否"), (timedelta(0), "是")])
def test_r5_1_a_letter_that_was_returned_in_time_is_not_late_afterwards(early: timedelta, late: str) -> None:
    due = MONDAY + timedelta(days=14)
    back = Decision(by=CLERK, at=due - early, reason="不属本单位")
    one = handoff(1, "mayor", "education", returned=back)
    for mailbox in ("mayor", "education"):
        assert line(one, due, mailbox)["是否超期"] == late


def line(one: Handoff, due: datetime, mailbox: str, tree: Directory = TREE) -> dict[str, Any]:
    """A register's line, the day after the due moment, of a letter with this hand-off."""
    state = State(letter_id="l", letter=LETTER, handoffs=(one,), clocks={one.id: Clock(due_at=due)})
    cells = register.line(state, Place.WAITING, mailbox, tree, due + timedelta(days=1))
    return dict(zip([column.head for column in register.COLUMNS[1:]], cells, strict=True))


def test_r10_3_the_register_of_a_successor_tells_what_it_took_over() -> None:
    """The unit was merged into another, which has the letter now; who was assigned stays as the record has it (R1.1)."""
    live = LiveDirectory(load_directory(DATA / "directory.yaml"), "directory.yaml")
    live.take(close(live.directory, "education", "water", Change(by=CLERK, at=MONDAY, reason="机构合并")))
    due = MONDAY + timedelta(days=14)
    found = line(handoff(1, "mayor", "education"), due, "water", live.directory)
    assert (found["处理方式"], found["承办单位"]) == ("交办", TREE.get("education").short_name)
    assert (found["交办时间"], found["期限"], found["是否超期"]) == (MONDAY, due, "是")


async def test_r10_3_a_report_is_in_no_register_of_the_unit_that_it_is_about_and_equal_moments_go_by_number() -> None:
    about = LETTER.classification.model_copy(update={"reported_mailbox": "mayor-office"})
    letters = [LETTER.model_copy(update={"number": NUMBER.model_copy(update={"serial": serial})}) for serial in (11, 9)]
    letters.append(LETTER.model_copy(update={"classification": about}))

    class Everything(Listing):
        async def every(self, query: Query, batch: int = 200) -> AsyncIterator[tuple[Row, ...]]:
            for letter in letters:
                yield (Row("", "l", Place.PENDING, Stored("l", 1, {}, State(letter_id="l", letter=letter))),)

    query = Query(mailbox=CITY, dated=Sort.REGISTERED, sort=Sort.REGISTERED)
    listing: Any = Everything.__new__(Everything)
    found = await register.lines(listing, query, TREE, MONDAY, lambda letter: letter.classification == about)
    assert [cells[:2] for cells in found.cells] == [(1, "渝府信〔2026〕9号"), (2, "渝府信〔2026〕11号")]


@needs_fonts
def test_r10_3_a_register_of_several_parts_has_every_line_once_in_order_and_numbers_all_pages() -> None:
    count = 2 * PART + 30
    rows = [[str(n), f"第{n:04}件" * (1 + n % 7)] for n in range(count)]
    paper = Register("登记表", "附表9", ("左", "右"), (Column("序号", 20, True), Column("主题", 60)), rows)
    made = print_register(press(), paper, datetime(2026, 3, 2, tzinfo=UTC))
    assert made == print_register(press(), paper, datetime(2026, 3, 2, tzinfo=UTC))
    found = pages(made)
    assert len(found) > 3
    for number, page in enumerate(found, start=1):
        assert f"第{number}页共{len(found)}页" in page
        assert "序号主题" in page
    whole = "".join(found)
    at = [whole.index(f"{n}第{n:04}件") for n in range(count)]
    assert at == sorted(at)
    assert all(whole.count(f"第{n:04}件") == 1 + n % 7 for n in range(count))
    # All but the last page are full: none ends where a part did.
    assert min(page.count("件") for page in found[:-1]) > 20
