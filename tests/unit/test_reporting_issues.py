"""Bulletins decided: which period is next, how numbers compare and rank, what a late fact corrects, how content is frozen."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.reporting.composing import comparisons
from services.reporting.distribution import DistributionError, load_distribution
from services.reporting.issue_view import Correction, IssueView, Series
from services.reporting.issues import (
    Run,
    before,
    corrections,
    curve_of,
    due_at,
    frozen,
    hot,
    parse_id,
    period_id,
    period_of,
    ranked,
    runs_of,
    year_before,
)
from services.reporting.periods import parse_week, week_of
from services.reporting.summing import Figures, Handling
from services.reporting.views import FiguresView, Part, figures_view
from shared.calendar.zone import SHANGHAI
from shared.contracts.errors import NotFound
from shared.contracts.types import Nature
from shared.directory import load_directory

DIRECTORY = load_directory(Path("tests/data/directory.yaml"))
LISTS = Path("deploy/sample/bulletins.yaml")
WEEK = parse_week("2026-W07")


def view(**figures: Any) -> FiguresView:
    return figures_view(Figures(**figures), "mayor", WEEK, DIRECTORY, up_to_date=True)


def issue(figures: FiguresView, **changes: Any) -> IssueView:
    plain: dict[str, Any] = {
        "id": "weekly-mayor-2026-W07",
        "series": Series.WEEKLY,
        "title": "市长信箱工作周报",
        "mailbox": "mayor",
        "name": "市长信箱",
        "issuer": "市政府值班室",
        "period": "2026-W07",
        "first_day": WEEK.first_day,
        "last_day": WEEK.last_day,
        "year": 2026,
        "serial": 7,
        "total_serial": 59,
        "issued_at": datetime(2026, 2, 16, 1, tzinfo=SHANGHAI),
        "figures": figures,
        "before": None,
        "year_before": None,
        "comparisons": [],
        "natures": [],
        "hot_domains": [],
        "hot_regions": [],
        "ways": [],
        "units": [],
        "longest_open": [],
        "curve": [],
        "corrections": [],
        "main_recipients": [],
        "copied_to": [],
        "definitions": {},
    }
    return IssueView(**{**plain, **changes})


# ── periods ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("series", "day", "name", "earlier", "last_year"),
    [
        (Series.WEEKLY, date(2026, 2, 9), "2026-W07", "2026-W06", "2025-W07"),
        (Series.WEEKLY, date(2027, 1, 3), "2026-W53", "2026-W52", "2025-W52"),
        (Series.WEEKLY, date(2027, 1, 4), "2027-W01", "2026-W53", "2026-W01"),
        (Series.MONTHLY, date(2026, 1, 31), "2026-01", "2025-12", "2025-01"),
        (Series.QUARTERLY, date(2026, 1, 1), "2026-Q1", "2025-Q4", "2025-Q1"),
        (Series.QUARTERLY, date(2026, 12, 31), "2026-Q4", "2026-Q3", "2025-Q4"),
        (Series.YEARLY, date(2026, 7, 1), "2026", "2025", "2025"),
    ],
)
def test_r11_2_a_period_is_compared_with_the_one_before_and_the_same_one_a_year_before(
    series: Series, day: date, name: str, earlier: str, last_year: str
) -> None:
    period = period_of(series, day)
    assert period.first_day <= day < period.end_day
    assert period_id(series, period) == name
    assert period_id(series, before(series, period)) == earlier
    assert before(series, period).end_day == period.first_day
    assert period_id(series, year_before(series, period)) == last_year
    assert curve_of(series, period)[-1] == period
    assert parse_id(Run(series, "education-basic").id_of(period)) == (Run(series, "education-basic"), period)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "weekly",
        "weekly-mayor",
        "weekly-mayor-2026-W54",
        "weekly-mayor-２０２６-W07",
        "weekly--2026-W07",
        "daily-mayor-2026-02-09",
        "monthly-water-2026-13",
        "monthly-water-2026-2",
        "quarterly-water-2026-Q5",
        "yearly-mayor-26",
        "yearly-mayor-9999",
        "x" * 500,
    ],
)
def test_r11_2_an_id_that_names_no_number_is_not_found(wrong: str) -> None:
    with pytest.raises(NotFound) as refused:
        parse_id(wrong)
    assert "weekly-mayor-2026-W07" in str(refused.value)


def test_r11_2_a_weekly_bulletin_is_due_on_monday_after_the_set_hour() -> None:
    assert due_at(WEEK, timedelta(hours=1)) == datetime(2026, 2, 16, 1, tzinfo=SHANGHAI)


def test_r11_3_units_report_by_month_and_quarter_and_the_mayor_s_mailbox_by_week_and_year() -> None:
    runs = {(run.series.value, run.mailbox) for run in runs_of(DIRECTORY)}
    assert runs >= {("weekly", "mayor"), ("yearly", "mayor"), ("monthly", "education"), ("quarterly", "education")}
    assert not {mailbox for _, mailbox in runs} & {"education-basic"}, "a department is a part of its unit"
    assert ("monthly", "mayor") not in runs


# ── order and comparison ─────────────────────────────────────────────────────────────────────────────────────────────


def test_r11_2_units_stand_in_order_of_timeliness_with_equal_ranks_for_equal_shares() -> None:
    handled = {
        "water": Handling(assigned=9, answered_in_time=2, became_overdue=1),
        "education": Handling(assigned=3, answered_in_time=4, became_overdue=2),
        "yuzhong": Handling(assigned=1, answered_in_time=1, became_overdue=2),
        "education-basic": Handling(assigned=5),
    }
    lines = ranked(view(assigned=handled).assigned)
    assert [(line.rank, line.mailbox) for line in lines] == [
        (1, "education"),
        (1, "water"),
        (3, "yuzhong"),
        (None, "education-basic"),
    ]
    assert lines[0].timeliness == 0.6667
    assert lines[-1].timeliness is None


def test_r11_2_hot_is_what_most_letters_were_about_and_of_equals_what_grew_more() -> None:
    now = [Part(code=code, label=code, count=number) for code, number in (("a", 3), ("b", 5), ("c", 3), ("d", 0))]
    earlier = [Part(code="a", label="a", count=3), Part(code="b", label="b", count=9)]
    assert [(part.code, part.count, part.before) for part in hot(now, earlier)] == [
        ("b", 5, 9),
        ("c", 3, 0),
        ("a", 3, 3),
    ]
    assert hot(now, None)[0].before is None


def test_r11_2_every_figure_is_beside_those_of_before_and_of_last_year() -> None:
    handled = {"water": Handling(assigned=4, answered_in_time=3, became_overdue=1)}
    lines = comparisons(view(received=7, assigned=handled), view(received=5), None, undertaken=False)
    by_figure = {line.figure: line for line in lines}
    received, share = by_figure["received"], by_figure["timeliness"]
    assert (received.now, received.before, received.year_before) == (7, 5, None)
    assert (share.now, share.before, share.unit) == (75.0, None, "%")
    listed = {"extended", "urged", "sent_back", "returned", "published", "open", "overdue", "answer_days", "reply_days"}
    assert by_figure.keys() >= listed


# ── corrections ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r11_2_a_correction_says_which_number_figure_and_unit_what_was_and_what_is_now() -> None:
    issued = issue(view(received=7, natures={Nature.HELP: 7}, assigned={"water": Handling(became_overdue=1)}))
    now = view(received=7, natures={Nature.HELP: 6, Nature.REPORT: 1}, assigned={"water": Handling(returned=1)})
    found = corrections(issued, [], now)
    assert {(one.figure, one.of, one.was, one.now) for one in found} == {
        ("nature", "求助", 7, 6),
        ("nature", "举报", 0, 1),
        ("became_overdue", None, 1, 0),
        ("became_overdue", "重庆水务集团", 1, 0),
        ("returned", None, 0, 1),
        ("returned", "重庆水务集团", 0, 1),
    }
    assert {(one.issue, one.number_text) for one in found} == {(issued.id, "〔2026〕第7期（总第59期）")}
    assert corrections(issued, found, now) == [], "what was said once is not said again"
    back = corrections(issued, found, issued.figures)
    assert ("nature", "求助", 6, 7) in {(one.figure, one.of, one.was, one.now) for one in back}


def test_r11_3_a_correction_to_a_unit_s_report_tells_its_two_sides_apart() -> None:
    issued = issue(view(undertaken={"mayor": Handling(assigned=2)}))
    (whole, one) = corrections(issued, [], view(undertaken={"mayor": Handling(assigned=3)}))
    assert (whole.figure, whole.of, one.of_code) == ("undertaken/assigned", None, "mayor")
    assert one.label == "承办·交办"


# ── freezing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r11_2_the_hash_is_that_of_the_canonical_json_of_all_other_fields() -> None:
    one, same = issue(view(received=7)), issue(view(received=7), hash="0" * 64)
    assert frozen(one) == frozen(same)
    assert frozen(one)[1] != frozen(issue(view(received=8)))[1]
    text, _ = frozen(one)
    assert json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True, separators=(",", ":")) == text
    assert "hash" not in json.loads(text)


# ── distribution ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r11_2_the_list_of_recipients_names_the_unit_whose_report_it_is() -> None:
    main, copied = load_distribution(LISTS).of(Series.MONTHLY, "education", "重庆市教育委员会")
    assert main == ["重庆市教育委员会领导"]
    assert "市政府值班室" in copied


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("weekly: {main: []}", "weekly.main"),
        ("weekly: {main: [a], to: [b]}", "weekly.to"),
        ("[]", "the whole"),
        ("a: [", "no YAML"),
        ("", "the whole"),
    ],
)
def test_r11_2_a_wrong_list_of_recipients_is_refused_with_the_place_and_what_to_write(
    tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "bulletins.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DistributionError) as refused:
        load_distribution(file)
    assert named in str(refused.value)
    assert "main: [主送…]" in str(refused.value)
    with pytest.raises(DistributionError, match="cannot be read"):
        load_distribution(tmp_path / "nowhere.yaml")


def test_r11_2_a_correction_is_of_the_figure_that_was_last_said() -> None:
    issued = issue(view(received=7))
    said = Correction(issue=issued.id, number_text="", figure="received", label="", of=None, was=7, now=8)
    (again,) = corrections(issued, [said], view(received=9))
    assert (again.was, again.now) == (8, 9)
    assert week_of(WEEK.last_day) == WEEK
