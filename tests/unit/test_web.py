"""How every service answers over HTTP: problems, limits, headers, versions, pages."""

import asyncio
import json
import logging
import re
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Body, Header, HTTPException, Query, Request
from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError
from starlette.responses import HTMLResponse

from shared.observability.metrics import metrics_page
from shared.security import issue
from shared.security.tokens import Authenticated, TokenVerifier
from shared.web import languages, paging, templates
from shared.web.app import FastJSON, create_app
from shared.web.body import json_body, read_model
from shared.web.documented import also
from shared.web.edge import Edge
from shared.web.etag import StaleVersion, etag_of, expected_version, is_current
from shared.web.problems import FieldError, Problem, ServiceUnavailable, problem_response

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Nature(StrEnum):
    HELP = "help"
    OTHER = "other"


class Sender(BaseModel):
    name: str = Field(min_length=1, json_schema_extra={"rule": "R2.2"})
    phone: str | None = Field(default=None, json_schema_extra={"rule": "R2.2"})

    @field_validator("phone")
    @classmethod
    def possible(cls, phone):
        if phone is not None and not phone.startswith("1"):
            raise PydanticCustomError("phone", "This phone number cannot exist", {"zh": "这个电话号码不存在"})
        return phone


class Letter(BaseModel):
    subject: str = Field(min_length=4, max_length=60, json_schema_extra={"rule": "R2.2"})
    nature: Nature = Field(default=Nature.OTHER, json_schema_extra={"rule": "R3.3"})
    sender: Sender | None = None
    senders: list[Sender] = []

    @field_validator("subject")
    @classmethod
    def meaningful(cls, subject):
        if subject == "aaaa":
            raise ValueError("主题没有意义 / The subject says nothing")
        return subject


def routes():
    router = APIRouter(prefix="/intake")

    @router.post("/letters", status_code=202)
    async def declared(letter: Letter) -> Letter:
        return letter

    @router.post("/lean", status_code=202, openapi_extra=json_body(Letter))
    async def lean(request: Request) -> FastJSON:
        return FastJSON((await read_model(request, Letter)).model_dump(), 202)

    @router.post("/two")
    async def two(letter: Letter, note: Annotated[str, Body(max_length=3, json_schema_extra={"rule": "R4.5"})]) -> str:
        return note

    @router.get("/letters/{letter_id}")
    async def one(letter_id: int, limit: Annotated[int, Query(le=100)] = 20) -> dict[str, int]:
        return {"letter": letter_id, "limit": limit}

    @router.put("/letters/{letter_id}")
    async def edit(letter_id: int, if_match: Annotated[str | None, Header()] = None) -> str:
        if expected_version(if_match) != 7:
            raise StaleVersion(7)
        return "changed"

    @router.get("/list")
    async def listed(cursor: str | None = None) -> paging.Page[int]:
        keys = paging.decode_cursor(cursor, datetime, str)
        assert keys is None or keys[0].tzinfo is UTC
        return paging.Page(items=[1], next=paging.encode_cursor(datetime(2026, 11, 23, tzinfo=UTC), "x"))

    @router.get("/me")
    async def me(caller: Authenticated) -> str:
        return caller.subject

    @router.get("/more-for-some", responses=also(401))
    async def more_for_some() -> None:
        return None

    @router.get("/away")
    async def away() -> None:
        raise ServiceUnavailable("Kafka", 7)

    @router.get("/refused")
    async def refused() -> None:
        raise Problem(409, "不可以", "It has already been sent.", slug="illegal-move", rule="R4.2", state="sent")

    @router.get("/crash")
    async def crash() -> None:
        raise RuntimeError("张三 13800000000")

    @router.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", {"X-Pot": "1"})

    @router.post("/form")
    async def form(request: Request) -> str:
        return str((await request.form())["subject"])

    @router.get("/page")
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>信</p>")

    return router


@pytest.fixture(scope="module")
def missing():
    return {"kafka": None, "store": None}


@pytest.fixture(scope="module")
def app(missing, tmp_path_factory):
    @asynccontextmanager
    async def lifespan(app):
        yield

    async def readiness():
        return missing

    app = create_app(
        "Test",
        [routes()],
        lifespan=lifespan,
        services=["intake", "publication"],
        readiness=readiness,
        body_limit=2000,
        body_limits={"/intake/two": 3000},
    )
    app.state.keys = tmp_path_factory.mktemp("keys")
    app.state.verifier = TokenVerifier(issue.ensure_keys(app.state.keys))
    return app


@pytest.fixture
async def client(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    return body


@pytest.mark.parametrize("path", ["/intake/letters", "/intake/lean"])
async def test_every_wrong_field_is_named_with_rule_in_chinese_and_english(client, path):
    sent = {
        "subject": "短",
        "nature": "rant",
        "sender": {"name": "", "phone": "9138000"},
        "senders": [{"name": "好"}, {"phone": 1}],
    }
    answer = await client.post(path, json=sent)
    body = problem(answer, 422)
    assert body["type"] == "/problems/invalid-fields"
    found = {error["field"]: error for error in body["errors"]}
    assert found["/subject"] == {
        "field": "/subject",
        "message": "至少 4 个字",
        "message_en": "At least 4 characters are needed",
        "rule": "R2.2",
    }
    assert found["/nature"]["rule"] == "R3.3"
    assert found["/nature"]["message_en"] == "It may be 'help' or 'other'"
    assert found["/sender/phone"]["message"] == "这个电话号码不存在"
    assert found["/sender/phone"]["message_en"] == "This phone number cannot exist"
    assert found["/sender/phone"]["rule"] == "R2.2"
    assert found["/senders/1/name"]["message"] == "此项必填"
    assert found["/senders/1/name"]["rule"] == "R2.2"
    assert "rant" not in answer.text
    assert "9138000" not in answer.text


async def test_a_validators_own_words_are_passed_on(client):
    [error] = problem(await client.post("/intake/letters", json={"subject": "aaaa"}), 422)["errors"]
    assert error["message"] == "主题没有意义 / The subject says nothing"


async def test_a_body_of_several_parts_names_part_and_rule(client):
    [error] = problem(
        await client.post("/intake/two", json={"letter": {"subject": "路灯不亮"}, "note": "长长长长"}), 422
    )["errors"]
    assert (error["field"], error["rule"]) == ("/note", "R4.5")


async def test_wrong_parameters_are_named_by_where_they_are(client):
    body = problem(await client.get("/intake/letters/x?limit=1000"), 422)
    assert [error["field"] for error in body["errors"]] == ["path:letter_id", "query:limit"]
    assert body["errors"][1]["message"] == "不能大于 100"


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/intake/letters", "/intake/lean"])
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"subject": ', JSON, 400),
        (b"\xff\xfe\x00", JSON, 400),
        (b"[" * 1500, JSON, 400),
        (b"", JSON, (400, 422)),
        (b"[]", JSON, 422),
        (b"null", JSON, 422),
        (b'"\\ud800"', JSON, (400, 422)),
        (b'{"subject": "\\ud800\\ud800\\ud800\\ud800"}', JSON, (400, 422)),
        (b'{"subject": 1e999999}', JSON, 422),
        (b'{"subject": ' + b"9" * 1900 + b"}", JSON, (400, 422)),
        (b"subject=x", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b'{"subject": "abcd"}', {"content-type": "text/plain"}, 415),
        (b'{"subject": "abcd"}', {}, 415),
        (b'{"subject": "abcd"}', {"content-type": b"\xe4/\xe4"}, 415),
        (b'{"subject": "' + b"x" * 2000 + b'"}', JSON, 413),
        (b"{}", JSON | {"content-length": "9" * 30}, 400),
        (b"{}", JSON | {"content-length": "-1"}, 400),
        (b'{"subject": "abcd"}', {"content-type": "application/json; charset=utf-8"}, 202),
    ],
)
async def test_no_body_leads_to_an_error_of_ours(client, path, content, headers, status):
    answer = await client.post(path, content=content, headers=headers)
    if status == 202:
        assert answer.status_code == 202
        return
    allowed = status if isinstance(status, tuple) else (status,)
    assert answer.status_code in allowed, answer.text
    problem(answer, answer.status_code)


async def test_a_streamed_body_is_cut_off_at_the_limit(client):
    taken = []

    async def endless():
        while True:
            taken.append(1)
            yield b'{"subject": "' + b"x" * 500

    for path in ("/intake/letters", "/intake/lean"):
        taken.clear()
        assert (
            problem(await client.post(path, content=endless(), headers=JSON), 413)["type"] == "/problems/body-too-large"
        )
        assert len(taken) <= 5


async def test_a_path_may_have_its_own_body_limit(client):
    sent = {"letter": {"subject": "路灯不亮"}, "note": "x" * 2500}
    problem(await client.post("/intake/two", json=sent), 422)
    problem(await client.post("/intake/two", json=sent | {"note": "x" * 3000}), 413)


async def test_unknown_addresses_and_methods_are_problems(client):
    assert problem(await client.get("/nowhere"), 404)["type"] == "/problems/not-found"
    assert problem(await client.get("/intake/"), 404)
    answer = await client.delete("/intake/letters")
    assert "it takes POST" in problem(answer, 405)["detail"]
    assert answer.headers["allow"] == "POST"
    answer = await client.get("/intake/teapot")
    assert problem(answer, 418)["detail"] == "short and stout"
    assert answer.headers["x-pot"] == "1"


async def test_head_is_get_without_the_body(client):
    for path in ("/intake/list", "/static/icon.svg", "/health/ready", "/intake/letters/41"):
        asked, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (asked.status_code, b"") == (200, b""), path
        assert head.headers["content-type"] == asked.headers["content-type"]
        assert head.headers["content-length"] == asked.headers["content-length"] != "0"
    assert (await client.head("/intake/letters")).status_code == 405


@pytest.mark.parametrize(
    "said", ["punycode", '"unicode_escape"', "utf-7", "UTF-8; charset=punycode", "*=utf-8''punycode"]
)
async def test_a_form_is_read_as_utf_8_alone(client, said):
    kind = "multipart/form-data; boundary=x; charset" + (said if said.startswith("*") else f"={said}")
    part = b'--x\r\nContent-Disposition: form-data; name="subject"\r\n\r\n' + b"a-" * 30_000 + b"\r\n--x--\r\n"
    answer = await client.post("/intake/form", content=part, headers={"content-type": kind})
    assert problem(answer, 400)["type"] == "/problems/charset"


@pytest.mark.parametrize("said", ["", "; charset=UTF-8", '; charset="utf-8"', " ;charset=utf8 ; a=b"])
async def test_a_form_may_say_that_it_is_utf_8(client, said):
    part = '--x\r\nContent-Disposition: form-data; name="subject"\r\n\r\n路灯\r\n--x--\r\n'.encode()
    kind = f"multipart/form-data; boundary=x{said}"
    answer = await client.post("/intake/form", content=part, headers={"content-type": kind})
    assert (answer.status_code, answer.json()) == (200, "路灯")


async def test_a_refusal_carries_its_rule_and_further_members(client):
    body = problem(await client.get("/intake/refused"), 409)
    assert (body["rule"], body["state"], body["type"]) == ("R4.2", "sent", "/problems/illegal-move")


async def test_an_engine_that_is_away_is_a_503_with_when_to_retry(client):
    answer = await client.get("/intake/away")
    assert "Kafka cannot be reached" in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "7"


async def test_an_unforeseen_error_is_logged_and_tells_nothing(client, caplog):
    with caplog.at_level(logging.ERROR, "shared.web.problems"):
        answer = await client.get("/intake/crash")
    problem(answer, 500)
    assert "张三" not in answer.text
    assert "RuntimeError" not in answer.text
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]


async def test_a_caller_is_known_by_token(client, app):
    answer = await client.get("/intake/me")
    assert problem(answer, 401)["type"] == "/problems/unauthenticated"
    assert answer.headers["www-authenticate"] == 'Bearer realm="xinxiang"'
    answer = await client.get("/intake/me", headers={"authorization": "Bearer x"})
    assert problem(answer, 401)["type"] == "/problems/invalid-token"
    token = issue.issue_token("zhang", "mayor", ["clerk"], keys_dir=app.state.keys)
    answer = await client.get("/intake/me", headers={"authorization": f"bearer {token}"})
    assert answer.json() == "zhang"


async def test_refusals_of_access_are_logged_by_route_and_status(client, caplog):
    with caplog.at_level(logging.INFO, "shared.web.edge"):
        await client.get("/intake/me?name=张三", headers={"authorization": "Bearer secret"})
        await client.get("/nowhere")
    (line,) = caplog.records
    assert (line.levelname, line.route, line.status, line.method) == ("INFO", "/intake/me", 401, "GET")
    assert "secret" not in str(vars(line))


async def test_answers_carry_safety_headers_and_continue_the_trace(client):
    answer = await client.get("/intake/letters/1", headers={"traceparent": PARENT})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["traceresponse"][:36] == PARENT[:36]
    assert "content-security-policy" not in answer.headers
    page = await client.get("/intake/page")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


async def test_requests_are_counted_by_service_and_route_template(client):
    for path in ("/intake/letters/41", "/intake/letters/42", "/wp-admin/41", "/static/icon.svg"):
        await client.get(path)
    await client.request("BREW", "/intake/letters/1")
    page = metrics_page()[0].decode()
    assert re.search(
        r'requests_total\{method="GET",route="/intake/letters/\{letter_id\}",service="intake",status="200"\} \d', page
    )
    assert 'method="other",route="/intake/letters/{letter_id}",service="intake",status="405"' in page
    assert 'route="unmatched",service="all",status="404"' in page
    assert "wp-admin" not in page
    assert "icon.svg" not in page


async def test_a_router_inside_a_router_is_refused_because_metrics_could_not_name_its_routes(app):
    outer = APIRouter(prefix="/outer")
    outer.include_router(routes())
    with pytest.raises(ValueError, match="/outer includes another one"):
        create_app("Test", [outer], lifespan=None, services=["intake"], readiness=None)


async def test_live_ready_and_metrics_are_served(client, missing):
    assert (await client.get("/health/live")).json() == {"live": True}
    assert (await client.get("/health/ready")).json() == {"ready": True}
    missing["store"] = "no answer within 2 s"
    answer = await client.get("/health/ready")
    missing["store"] = None
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "missing": {"store": "no answer within 2 s"}}
    assert b"xinxiang_http_requests_total" in (await client.get("/metrics")).content


async def test_the_openapi_document_says_that_errors_are_problems(client):
    document = (await client.get("/openapi.json")).json()
    responses = document["paths"]["/intake/letters"]["post"]["responses"]
    assert set(responses) == {"202", "400", "404", "409", "413", "415", "422", "503"}
    assert "application/problem+json" in responses["422"]["content"]
    assert responses["503"]["headers"]["Retry-After"]["required"]
    lean = document["paths"]["/intake/lean"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert lean["properties"]["nature"]["$ref"] == "#/components/schemas/Nature"
    references = set(re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')))
    assert references <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in document["components"]["schemas"]
    (needed,) = document["paths"]["/intake/me"]["get"]["security"]
    assert document["paths"]["/intake/more-for-some"]["get"]["security"] == [{}, needed], (
        "a token is read where one is sent"
    )


async def test_the_page_of_the_interface_takes_nothing_from_elsewhere(client):
    page = await client.get("/docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 4
    for file in files:
        assert (await client.get(file)).status_code == 200, file
    assert not re.search(r"<script>|<style>|//", page.text.removeprefix("<!DOCTYPE html>"))


async def test_a_stale_edit_is_refused_with_the_current_version(client):
    answer = await client.put("/intake/letters/1", headers={"if-match": '"6"'})
    assert problem(answer, 409)["current_version"] == 7
    assert answer.headers["etag"] == etag_of(7) == '"7"'
    assert (await client.put("/intake/letters/1", headers={"if-match": answer.headers["etag"]})).json() == "changed"


async def test_a_tag_that_a_proxy_made_weak_when_it_compressed_the_answer_still_counts(client):
    assert (await client.put("/intake/letters/1", headers={"if-match": 'W/"7"'})).json() == "changed"
    problem(await client.put("/intake/letters/1", headers={"if-match": 'W/"6"'}), 409)


@pytest.mark.parametrize("header", ["7", 'w/"7"', '"7", "8"', '"x"', '"-1"', '"' + "9" * 20 + '"', ""])
async def test_an_if_match_that_is_not_ours_is_a_400(client, header):
    problem(await client.put("/intake/letters/1", headers={"if-match": header}), 400)


def test_a_missing_if_match_is_no_version_unless_it_is_required():
    assert expected_version(None) is None
    assert expected_version("*") is None
    with pytest.raises(Problem, match="428"):
        expected_version(None, required=True)


async def test_a_cursor_leads_to_the_next_page_and_a_made_up_one_nowhere(client):
    page = (await client.get("/intake/list")).json()
    assert (await client.get("/intake/list", params={"cursor": page["next"]})).status_code == 200
    made_up = [
        "x",
        "é",
        "=" * 9,
        page["next"][:-3],
        paging.encode_cursor("2026-11-23"),
        paging.encode_cursor(1, "x"),
        "W3siJGd0IjoiIn0sIngiXQ",  # [{"$gt":""},"x"]
        "WyIyMDI2LTExLTIzVDAwOjAwOjAwIiwieCJd",  # a time without a zone
        _cursor(b'["0001-01-01T00:00:00+08:00","x"]'),  # before every time in UTC
    ]
    for cursor in made_up:
        assert (
            problem(await client.get("/intake/list", params={"cursor": cursor}), 400)["type"] == "/problems/bad-cursor"
        )


@pytest.mark.parametrize("key", [2**63, -(2**63) - 1, 10**30])
def test_a_cursor_holds_no_number_that_is_too_large_for_a_store(key):
    with pytest.raises(Problem, match="400"):
        paging.decode_cursor(_cursor(b"[%d]" % key), int)
    assert paging.decode_cursor(paging.encode_cursor(2**63 - 1, -(2**63)), int, int) == (2**63 - 1, -(2**63))


def _cursor(content):
    return urlsafe_b64encode(content).decode()


def test_one_item_more_than_the_page_holds_makes_a_cursor():
    days = [date(2026, 1, day) for day in (1, 2, 3)]
    shown, following = paging.page_of(days, 2, "month", "day")
    assert shown == days[:2]
    assert paging.decode_cursor(following, int, int) == (1, 2)
    assert paging.page_of(days, 3, "day") == (days, None)


def test_pages_share_one_look_escape_what_they_show_and_hold_nothing_inline(tmp_path):
    (tmp_path / "letter.html").write_text(
        '{% extends "base.html" %}{% block title %}{{ subject }}{% endblock %}'
        '{% block main %}<p>{{ at | shanghai }} <time data-since="{{ at | iso }}">{{ late | duration }}</time></p>{% endblock %}'
    )
    at = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
    pages = templates.Pages(tmp_path, now=lambda: at, rate=lambda: 14400.0)
    html = pages.render("letter.html", subject="<script>", at=at, late=timedelta(days=3, hours=4)).body.decode()
    assert '<html lang="zh-CN" data-now="2026-11-23T16:30:00Z" data-rate="14400.0">' in html
    assert "<title>&lt;script&gt;</title>" in html
    assert "2026年11月24日 00:30" in html
    assert "3天4小时" in html
    assert "style=" not in html
    assert "<style" not in html
    assert re.findall(r"<script[^>]*>([^<]*)</script>", html) == [""]


async def test_style_and_script_are_served_and_kept_by_their_hash(client):
    for name in ("xinxiang.css", "elapsed.js", "icon.svg"):
        answer = await client.get(templates.static_url(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in (await client.get("/static/xinxiang.css")).headers["cache-control"]
    of_another_release = (await client.get("/static/xinxiang.css?v=000000000000")).headers["cache-control"]
    assert of_another_release == "no-cache", "what a page of another release asked for is not this file"
    problem(await client.get("/static/../app.py"), 404)
    problem(await client.get("/static/%2e%2e/app.py"), 404)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0秒"),
        (59, "59秒"),
        (60, "1分"),
        (3600, "1小时"),
        (3725, "1小时2分"),
        (86400, "1天"),
        (90000, "1天1小时"),
        (-60, "-1分"),
    ],
)
def test_durations_read_in_chinese(seconds, words):
    assert languages.duration(seconds) == words


def test_a_time_without_a_zone_is_an_error_on_a_page():
    with pytest.raises(ValueError, match="no zone"):
        languages.shanghai(datetime(2026, 11, 23))  # noqa: DTZ001
    assert languages.shanghai_date(date(2026, 1, 5)) == "2026年1月5日"
    assert languages.shanghai(None) == "—"


@pytest.mark.parametrize(
    ("sent", "current"),
    [('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ('"b"', False), ("", False), ("a", False), ('"a', False)],
)
def test_a_reader_has_the_current_answer_if_one_of_its_tags_is_that(sent: str, current: bool) -> None:
    assert is_current(sent, 'W/"a"') is current


async def test_a_request_that_a_leaving_process_breaks_off_is_told_to_come_back():
    sent, began = [], asyncio.Event()

    async def endless(scope, receive, send):
        began.set()
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/routing/letters/1", "headers": [], "query_string": b""}
    request = asyncio.create_task(Edge(endless, ["routing"], 1_000)(scope, receive, send))
    await began.wait()
    request.cancel()  # as uvicorn does when its time for graceful shutdown is over
    with pytest.raises(asyncio.CancelledError):
        await request
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"2") in sent[0]["headers"]
    assert "may or may not have been done" in sent[1]["body"].decode()


def test_a_field_that_nobody_could_write_in_utf_8_can_be_named_in_an_answer() -> None:
    found = FieldError("/groups/\ud800", "没有\udfff组", "there is no \ud800")
    answer = problem_response(Problem(422, "填写内容有误", errors=[found]))
    assert json.loads(bytes(answer.body))["errors"] == [
        {"field": "/groups/?", "message": "没有?组", "message_en": "there is no ?"}
    ]
