"""Pages speak Chinese, and English where there is a translation."""

from datetime import UTC, date, datetime, timedelta

import pytest

from deploy.engines.places import CHECKOUT
from shared.web import languages
from shared.web.templates import Pages

AT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "hello.html").write_text(
        '{% extends "site.html" %}{% set here = "board" %}'
        "{% block main %}<p>{% trans %}您好{% endtrans %}</p><p>{{ at | deadline }}</p><p>{{ 90000 | duration }}</p>"
        "<a href=\"{{ link('/public/letters?q=a') }}\">{% trans %}没有译文{% endtrans %}</a>{% endblock %}"
    )
    (tmp_path / "en.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "您好"\nmsgstr "Hello"\n'
    )
    return Pages(tmp_path, now=lambda: AT)


def test_a_page_is_chinese_unless_english_is_asked_for(pages):
    html = pages.text("hello.html", at=AT)
    assert '<html lang="zh-CN"' in html
    assert "您好" in html
    assert "2026年11月23日 24:00" in html
    assert "1天1小时" in html
    assert 'href="/public/letters?q=a"' in html


def test_english_speaks_of_times_in_english_and_stays_english_on_the_next_page(pages):
    html = pages.text("hello.html", language="en", at=AT)
    assert '<html lang="en"' in html
    assert "Hello" in html
    assert "Notice board" in html, "the shared catalogue is looked through too"
    assert "23 Nov 2026, 24:00" in html
    assert "1 d 1 h" in html
    assert 'href="/public/letters?q=a&amp;lang=en"' in html
    assert "没有译文" in html, "what has no translation stays Chinese"


@pytest.mark.parametrize(("asked", "language"), [("", "zh"), ("zh", "zh"), ("en", "en"), ("EN-gb", "en"), ("fr", "zh")])
def test_any_language_that_is_not_english_is_chinese(asked, language):
    assert languages.language_of(asked) == language


def test_english_dates_and_lengths():
    assert languages.shanghai(AT, "en") == "24 Nov 2026, 00:00"
    assert languages.shanghai_date(date(2026, 1, 5), "en") == "5 Jan 2026"
    assert languages.duration(timedelta(minutes=-5), "en") == "-5 min"
    assert languages.deadline(None, "en") == "—"


@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_a_name_that_a_page_looks_up_in_the_catalogue_stays_text(language):
    choice = {"code": "a", "name": "<i>100% %(count)s</i>", "level": 1, "count": 7}
    shown = Pages(CHECKOUT / "services" / "publication" / "pages").text(
        "options.html", language=language, choices=[choice]
    )
    assert "&lt;i&gt;100% %(count)s&lt;/i&gt; (7)" in shown
