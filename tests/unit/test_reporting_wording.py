"""Numbers in sentences, as the bulletins of an office have them (R11.2)."""

from datetime import date

import pytest

from services.reporting.issue_view import Comparison, Series
from services.reporting.wording import WORDS, compared, days, listed, moved, names, number, numeral

WEEK = WORDS[Series.WEEKLY]


def figure(now: float | None, before: float | None = None, year_before: float | None = None, unit: str = "件") -> str:
    told = Comparison(figure="received", label="收到来信", unit=unit, now=now, before=before, year_before=year_before)
    return compared(told, WEEK)


def test_r11_2_a_figure_is_told_with_the_week_before_and_the_same_week_a_year_before() -> None:
    assert figure(128, 116, 133) == "128件，较上周增加12件（10.3%），较去年同期减少5件（3.8%）"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (figure(5), "5件"),
        (figure(5, 5, 5), "5件，与上周持平，与去年同期持平"),
        (figure(5, 0), "5件，较上周增加5件"),  # nothing has no percentage
        (figure(0, 5), "0件，较上周减少5件（100%）"),
        (figure(0, 0), "0件，与上周持平"),
        (figure(5, None, 4), "5件，较去年同期增加1件（25%）"),
        (figure(None, 5), "暂无"),
        (figure(93.8, 91.7, unit="%"), "93.8%，较上周提高2.1个百分点"),
        (figure(90, 91.7, unit="%"), "90%，较上周下降1.7个百分点"),
        (figure(6.5, 7, unit="工作日"), "6.5工作日，较上周减少0.5工作日（7.1%）"),
        (figure(6, 8, unit="次"), "6次，较上周减少2次（25%）"),
    ],
)
def test_r11_2_zero_equal_and_unknown_figures_have_words_of_their_own(told: str, text: str) -> None:
    assert told == text


def test_r11_3_each_series_speaks_of_its_own_periods() -> None:
    assert moved(3, 1, WORDS[Series.MONTHLY].before, "件") == "较上月增加2件（200%）"
    assert moved(3, 1, WORDS[Series.QUARTERLY].year_before, "件") == "较去年同季度增加2件（200%）"
    year = Comparison(figure="received", label="收到来信", unit="件", now=3, before=1, year_before=1)
    assert compared(year, WORDS[Series.YEARLY]) == "3件，较上年增加2件（200%）", "the year before is told once"


def test_spans_of_days_name_a_year_once_unless_it_changes() -> None:
    assert days(date(2026, 2, 9), date(2026, 2, 15)) == "2026年2月9日至2月15日"
    assert days(date(2025, 12, 29), date(2026, 1, 4)) == "2025年12月29日至2026年1月4日"


def test_lists_begin_with_the_largest_and_say_when_they_go_on() -> None:
    assert listed([("咨询", 1), ("求助", 3), ("举报", 0)], 4) == "求助3件（75%）、咨询1件（25%）"
    assert listed([(str(place), 1) for place in range(8)], most=2) == "01件、11件等"
    assert names(["甲", "乙"], most=5) == "甲、乙"
    assert names(["甲", "乙", "丙"], most=2) == "甲、乙等3个单位"
    assert [numeral(place) for place in (1, 10, 11)] == ["一", "十", "十一"]
    assert (number(3.0), number(3.25), number(12)) == ("3", "3.2", "12")
