"""Citizens write letters on the page, with a browser that runs no scripts (R2.1, R2.2)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from lxml import html  # type: ignore[import-untyped]

from deploy.engines import Engines
from services.intake.backlog import Backlog
from services.intake.erasure import Erasure
from shared.messaging.kafka import KafkaBroker, KafkaError
from shared.security.receipts import parse_receipt
from tests.citizen_pages import FILLED, PDF, PNG, Shown, Visitor
from tests.citizen_town import Town, opened


@pytest.fixture(scope="module")
async def town(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """One town for the whole file."""
    async with opened(
        engines,
        keys,
        tmp_path_factory.mktemp("town"),
        attachment_max_bytes=50_000,
        challenge_free="",
        challenge_busy="",
    ) as town:
        yield town


async def test_r2_1_r2_2_a_citizen_writes_checks_and_sends_a_letter_and_gets_a_receipt(town: Town) -> None:
    citizen = town.visitor()
    check = await town.written(citizen)
    assert check.status == 200
    for typed in ("重庆市市长信箱", "求助", "渝中区", FILLED["subject"], "李明", "+8613800138000", "同意公开"):
        assert typed in check.text
    receipt = await citizen.press(check, "send")
    assert receipt.status == 200, receipt.text
    code = receipt.named("code")
    assert parse_receipt(code) == code
    assert "2026年3月2日 24:00" in receipt.text, "by when it is read (R3.1)"
    (letter,) = await town.new_letters()
    assert (letter["subject"], letter["body"]) == (FILLED["subject"], FILLED["body"])
    assert letter["contact"] == {"name": "李明", "phone": "+8613800138000", "email": None, "address": None}
    assert (letter["may_publish"], letter["classification"]["domain"]) == (True, "utilities-power")
    standing = await citizen.press(receipt)
    assert "已收到，待阅" in standing.text
    assert "no-store" in receipt.answer.headers["cache-control"]


async def test_r2_1_a_link_chooses_the_mailbox_and_one_to_nowhere_says_so(town: Town) -> None:
    citizen = town.visitor()
    assert (await citizen.open("/write?to=water")).values()["to"] == "water"
    for nowhere in ("moon", "education-basic"):
        page = await citizen.open(f"/write?to={nowhere}")
        assert (page.status, page.values()["to"]) == (200, "")
        assert "请另选" in page.text
    entry = await citizen.client.get("/intake/mailboxes/water/entry", headers={"Accept": "text/html"})
    assert (entry.status_code, entry.headers["location"]) == (303, "/write?to=water")


async def test_r2_2_what_is_wrong_is_said_at_each_field_and_above_and_nothing_typed_is_lost(town: Town) -> None:
    citizen = town.visitor()
    empty = await citizen.press(await citizen.open("/write"), "check")
    assert empty.status == 422
    wanted = {"to", "nature", "domain", "region", "subject", "body", "name", "phone", "may_publish"}
    assert set(empty.errors()) == wanted == set(empty.summary())
    assert empty.summary() == empty.errors()
    assert empty.root.xpath("//*[@id='errors'][@autofocus][@tabindex='-1']"), "the summary takes the focus"
    typed = FILLED | {"subject": "路灯", "body": "灯" * 5001, "phone": "12345", "email": "a@@b", "address": "路"}
    wrong = await citizen.press(empty, "check", typed)
    assert set(wrong.errors()) == {"subject", "body", "phone", "email", "address"}
    assert list(wrong.summary()) == ["subject", "body", "phone", "email", "address"], "in the order of the page"
    kept = wrong.values()
    assert {name: kept[name] for name in typed} == typed
    english = await citizen.press(await citizen.open("/write?lang=en"), "check", typed)
    assert english.errors()["phone"].startswith("No such phone number")
    assert not any("一" <= sign <= "鿿" for text in english.errors().values() for sign in text)
    right = await citizen.press(wrong, "check", FILLED | {"email": "", "address": ""})
    assert right.status == 200


@pytest.mark.parametrize(("name", "value"), [("to", "moon"), ("domain", "moon"), ("region", "999999")])
async def test_r2_1_a_choice_that_is_not_there_is_refused_at_its_field(town: Town, name: str, value: str) -> None:
    page = await town.written(town.visitor(), {name: value})
    assert (page.status, list(page.errors())) == (422, [name])
    assert "/intake/" not in page.text


async def test_r2_2_the_language_may_be_changed_on_the_way_and_nothing_is_lost(town: Town) -> None:
    citizen = town.visitor()
    check = await town.written(citizen)

    async def switch(page: Shown) -> Shown:
        (button,) = page.root.xpath("//button[@data-language]")
        return await citizen.press(page, form=_with_action(page.form(), button))

    def links(page: Shown) -> list[str]:
        return list(page.root.xpath("//header//a/@hreflang"))

    english = await switch(check)
    assert (english.root.get("lang"), english.named("send")) == ("en", "Send")
    form = await switch(await citizen.press(english, "edit"))
    assert (form.root.get("lang"), form.values()["body"]) == ("zh-CN", FILLED["body"])
    half = await citizen.press(await citizen.open("/write"), "check", {"name": "李明"})
    assert (links(form), links(half), links(english)) == ([], [], []), "a link would lose what was typed"
    assert links(await citizen.open("/write?to=water")) == ["en"]
    assert links(await citizen.press(await citizen.open("/write"), "check")) == ["en"], "nothing was typed"


def _with_action(form: Any, button: Any) -> Any:
    """The form as it is sent by a button that has an address of its own."""
    form.set("action", button.get("formaction"))
    form.append(html.fromstring(f'<input name="do" value="{button.get("value")}">'))
    return form


async def test_r2_2_the_longest_letter_goes_through_word_for_word(town: Town) -> None:
    citizen = town.visitor()
    body = "\n\n" + "<b>“灯”</b> & 'x'\n  行\n" * 150 + "灯" * 1000
    check = await town.written(citizen, {"body": body, "subject": "<script>alert(1)</script>&amp;"})
    assert not check.root.xpath("//dl//script")
    back = await citizen.press(check, "edit")
    assert back.values()["body"] == body
    receipt = await citizen.press(await citizen.press(back, "check"), "send")
    (letter,) = await town.new_letters()
    assert letter["body"] == body.strip()
    assert letter["subject"] == "<script>alert(1)</script>&amp;" in receipt.text


async def test_r2_2_a_report_names_whom_it_is_about_and_only_a_report_does(town: Town) -> None:
    citizen = town.visitor()
    about = {"reported_mailbox": "water", "reported_names": "王某某\n赵某、钱某", "to": "water"}
    refused = await town.written(citizen, about | {"nature": "complaint"})
    assert set(refused.errors()) == {"reported_mailbox", "reported_names"}
    assert refused.root.xpath("//fieldset[@id='report'][contains(@class, 'shown')]"), "seen, though it is no report"
    check = await citizen.press(refused, "check", {"nature": "report"})
    assert "重庆水务集团" in check.text
    assert "王某某、赵某、钱某" in check.text
    assert (await citizen.press(check, "send")).status == 200
    (letter,) = await town.new_letters()
    assert (letter["mailbox"], letter["chosen_mailbox"]) == ("mayor", "water"), "it goes above the unit it is about"
    many = await town.written(
        citizen, about | {"nature": "report", "reported_names": "王一\n王二\n王三\n王四\n王五\n王六"}
    )
    assert list(many.errors()) == ["reported_names"]
    mayor = await town.written(citizen, {"nature": "report", "reported_mailbox": "mayor"})
    assert "纪检监察机关" in mayor.errors()["reported_mailbox"]


async def test_r2_2_files_are_uploaded_one_by_one_and_stay_while_the_rest_is_typed(town: Town) -> None:
    citizen = town.visitor()
    page = await citizen.open("/write")
    page = await citizen.press(page, "upload", {"subject": "只写了标题"}, [("照片.png", PNG), ("材料.pdf", PDF)])
    assert (page.status, page.values()["subject"], page.errors()) == (200, "只写了标题", {})
    assert "照片.png" in page.text
    assert "材料.pdf" in page.text
    page = await citizen.press(
        page, "upload", files=[("程序.exe", b"MZ" + b"x" * 100), ("大.pdf", PDF * 40), ("三.pdf", PDF)]
    )
    assert page.status == 422
    assert "程序.exe" in page.errors()["files"]
    assert "大.pdf" in page.errors()["files"]
    assert "三.pdf" in page.text, "what is right of them is kept"
    page = await citizen.press(page, "remove:0")
    assert "照片.png" not in page.text
    page = await citizen.press(page, "check", FILLED, [("四.pdf", PDF)])
    assert all(name in page.text for name in ("材料.pdf", "三.pdf", "四.pdf")), "files that were only chosen come along"
    many = await citizen.press(await citizen.press(page, "edit"), "upload", files=[(f"{n}.pdf", PDF) for n in range(3)])
    assert many.errors()["files"] == "最多5个附件，没有收下：2.pdf"
    seven = [(f"{n}.pdf", PDF) for n in range(7)]
    lots = await citizen.press(await citizen.open("/write"), "upload", {"subject": "只写了标题"}, seven)
    assert (lots.status, lots.values()["subject"]) == (422, "只写了标题")
    assert lots.errors()["files"] == "最多5个附件，没有收下：5.pdf、6.pdf"
    assert "4.pdf" in lots.text
    town.later(60)
    assert (await citizen.press(page, "send")).status == 200
    (letter,) = await town.new_letters()
    assert [file["name"] for file in letter["attachments"]] == ["材料.pdf", "三.pdf", "四.pdf"]


async def test_r2_2_sent_twice_reloaded_or_gone_back_to_it_is_one_letter(town: Town) -> None:
    citizen = town.visitor()
    check = await town.written(citizen)
    codes = {(await citizen.press(check, "send")).named("code") for _ in range(3)}
    back = await citizen.press(await citizen.press(await citizen.press(check, "edit"), "check"), "send")
    assert codes == {back.named("code")}
    assert len(await town.new_letters()) == 1
    changed = await citizen.press(await citizen.press(check, "edit"), "check", {"subject": "小区门口路灯还是不亮"})
    asked = await citizen.press(changed, "send")
    assert asked.status == 409
    assert "可能已经发出过" in asked.text
    other = await citizen.press(asked, "send")
    assert other.status == 200
    assert other.named("code") not in codes
    (letter,) = await town.new_letters()
    assert letter["subject"] == "小区门口路灯还是不亮"


@pytest.mark.parametrize(
    ("owner", "name", "how"),
    [
        pytest.param(KafkaBroker, "publish", {"side_effect": KafkaError("away")}, id="kafka-is-away"),
        pytest.param(Backlog, "come_back_in", {"return_value": 7}, id="in-a-rush"),
    ],
)
async def test_r2_2_while_no_letter_can_be_taken_nothing_is_lost_and_sending_again_makes_one_letter(
    town: Town, owner: type, name: str, how: dict[str, Any]
) -> None:
    citizen = town.visitor()
    check = await town.written(citizen)
    with patch.object(owner, name, **how):
        away = await citizen.press(check, "send")
    assert (away.status, "retry-after" in away.answer.headers) == (503, True)
    assert "什么也没有丢" in away.text
    assert FILLED["subject"] in away.text
    assert {n: v for n, v in away.values().items() if n in FILLED} == {
        n: v for n, v in check.values().items() if n in FILLED
    }
    assert away.values()["form"] == check.values()["form"], "the same key"
    again = await citizen.press(away, "send")
    assert again.status == 200
    assert again.named("code") == (await citizen.press(check, "send")).named("code")
    assert len(await town.new_letters()) == 1


async def test_r2_2_another_site_cannot_make_a_browser_send_a_letter(town: Town) -> None:
    citizen = town.visitor()
    check = await town.written(citizen)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        refused = await citizen.press(check, "send", headers=headers)
        assert (refused.status, "别的网站" in refused.text) == (403, True)
    old = Visitor(citizen.client, {})
    refused = await old.press(check, "send", headers={"Origin": "https://evil.example"})
    assert refused.status == 403
    no_cookie = await town.visitor().press(check, "send")
    assert (no_cookie.status, no_cookie.values()["subject"]) == (403, FILLED["subject"])
    assert "Cookie" in no_cookie.text
    other = (await town.visitor().open("/write")).values()["form"]
    stolen = await citizen.press(check, "send", {"form": other})
    assert stolen.status == 403
    follow = (await citizen.open("/follow")).values()["form"]
    assert (await citizen.press(check, "send", {"form": follow})).status == 403, "made for another purpose"
    for origin in ("http://city.test", "null"):
        old_browser = await old.press(check, "send", headers={"Origin": origin})
        assert old_browser.status == 200, "an old browser, that only sends an origin or hides it"
    assert len(await town.new_letters()) == 1


async def test_r2_2_a_refused_form_keeps_what_was_typed_and_goes_through_when_sent_again(town: Town) -> None:
    citizen = town.visitor()
    check = await town.written(citizen)
    form, photo = await citizen.press(check, "edit"), [("照片.png", PNG)]
    town.later(24 * 3600 + 60)
    stale = await citizen.press(check, "send")
    assert (stale.status, stale.values()["body"], stale.errors()) == (403, FILLED["body"], {})
    assert "超过一天" in stale.text
    town.later(60)
    assert (await citizen.press(await citizen.press(stale, "check"), "send")).status == 200
    chosen = await citizen.press(form, "check", files=photo)
    assert (chosen.status, chosen.values()["body"]) == (403, FILLED["body"])
    assert chosen.errors() == chosen.summary() == {"files": "所选的文件没有保留，请重新选择"}
    without_cookie = town.visitor()
    lost = await without_cookie.press(await town.written(town.visitor()), "send")
    assert (lost.status, lost.values()["body"], lost.errors()) == (403, FILLED["body"], {})
    town.later(60)
    assert (await without_cookie.press(await without_cookie.press(lost, "check"), "send")).status == 200
    lost = await without_cookie.press(await town.visitor().open("/write"), "upload", FILLED, photo)
    assert (lost.status, list(lost.errors())) == (403, ["files"])
    again = await without_cookie.press(lost, "upload", files=photo)
    assert (again.status, "照片.png" in again.text) == (200, True)
    assert len(await town.new_letters(2)) == 2


@pytest.mark.parametrize("button", ["upload", "check"])
async def test_r2_2_a_file_that_was_uploaded_too_long_ago_is_not_dropped_without_a_word(
    town: Town, button: str
) -> None:
    citizen, attachments = town.visitor(), town.service.part(Erasure).attachments
    page = await citizen.press(await citizen.open("/write"), "upload", FILLED, [("照片.png", PNG)])
    known = attachments.verify(page.values()["attachment"])
    assert known is not None
    old = attachments.sign(known, datetime.now(UTC) - timedelta(days=1, minutes=1))
    late = await citizen.press(page, button, {"attachment": old}, [("材料.pdf", PDF)])
    assert (late.status, late.values()["body"]) == (422, FILLED["body"])
    assert late.errors() == {"files": "有附件上传已超过一天，没有保留，请重新选择"}
    assert late.root.xpath("//ul[@class='files']/li/span/text()")[0].strip() == "材料.pdf"
    removed = await citizen.press(page, "remove:0", {"attachment": old})
    assert (removed.status, removed.errors()) == (200, {}), "who takes it away need not be told"


async def test_r2_2_the_cookie_says_nothing_and_is_bound_to_https_where_there_is_https(town: Town) -> None:
    plain = (await town.visitor().open("/write")).answer.headers["set-cookie"]
    assert plain.startswith("form=")
    assert "HttpOnly" in plain
    assert "SameSite=lax" in plain
    assert "Max-Age" not in plain
    secure = (await town.visitor().open("/write", **{"X-Forwarded-Proto": "https"})).answer.headers["set-cookie"]
    assert secure.startswith("__Host-form=")
    assert "Secure" in secure
    assert "Path=/" in secure
    assert "Domain" not in secure


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"--x\r\nnonsense", b"form=" + b"a" * 5000, b"do=send&form=x&to=" + b"%00" * 50]
)
async def test_r2_2_no_nonsense_that_is_posted_breaks_the_page(town: Town, body: bytes) -> None:
    for kind in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json", "x"):
        for path in ("/write", "/follow"):
            answer = await town.visitor().client.post(path, content=body, headers={"Content-Type": kind})
            assert 400 <= answer.status_code < 500, (kind, path, answer.status_code)
            assert answer.headers["content-type"].startswith("text/html")
