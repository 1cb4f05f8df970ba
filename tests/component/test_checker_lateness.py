"""What the checker makes of lateness, reminders and urgings that are not on the record, on records made by hand."""

from typing import Any

import pytest

from tests.checker.layout import Record
from tests.checker.report import Report
from tests.checker.telling import check_lateness

DUE, NOW = "2026-03-16T16:00:00Z", "2026-04-20T02:00:00Z"
SENT = ("HandoffSent", {"sender": "mayor", "receiver": "water"})
LIMIT = ("ReplyDueSet", {"due_at": DUE})
LATE = ("ReplyOverdue", {"due_at": DUE})
URGED = ("UrgingDue", {"due_at": DUE, "count": 1})


def found(held: list[str], *facts: tuple[str, dict[str, Any]]) -> list[str]:
    """What is wrong with a letter of these facts, all on the hand-off s1."""
    records = [
        Record("letter", "", n, kind, "", "", "2026-03-02T02:00:00Z", False, 0, n, {"handoff_id": "s1", **body})
        for n, (kind, body) in enumerate(facts)
    ]
    report = Report()
    check_lateness("letter", records, held, NOW, report)
    return sorted(violation.what for violation in report.violations)


def test_a_letter_that_was_declared_late_and_urged_is_as_it_should_be() -> None:
    assert found(["s1"], SENT, LIMIT, LATE, URGED, ("UrgingSent", URGED[1])) == []


def test_an_open_hand_off_past_its_limit_must_be_declared_late_and_urged() -> None:
    assert found(["s1"], SENT, LIMIT) == ["it is late and nobody was told", "it is late and was not urged"]
    assert found([], SENT, LIMIT) == []


@pytest.mark.parametrize("excuse", ["ProgressRecorded", "ExtensionRequested"])
def test_who_explains_or_asks_for_more_time_need_not_be_urged(excuse: str) -> None:
    assert found(["s1"], SENT, LIMIT, (excuse, {}), LATE) == []


def test_an_urging_comes_in_its_turn() -> None:
    assert found([], SENT, LIMIT, URGED) == ["it is urged and was not declared late"]
    second = ("UrgingDue", {**URGED[1], "count": 2})
    assert found([], SENT, LIMIT, LATE, second) == ["urging 2 comes without the one before"]
    assert found([], SENT, LIMIT, LATE, ("UrgingSent", URGED[1])) == ["urging 1 was sent and was not due"]


def test_a_reminder_is_given_once() -> None:
    reminder = ("ReplyReminded", {"due_at": DUE, "working_days_left": 2})
    assert found([], SENT, LIMIT, reminder, reminder) == ["ReplyReminded was declared before"]


def test_a_letter_that_nobody_opened_or_dealt_with_must_be_declared_late() -> None:
    received: tuple[str, dict[str, Any]] = ("LetterReceived", {})
    registered: tuple[str, dict[str, Any]] = ("LetterRegistered", {})
    assert len(found([], received)) == 1
    assert len(found([], received, registered)) == 1
    assert found([], received, ("ReadingOverdue", {}), registered, ("DispositionOverdue", {})) == []
