"""Requests made to harm, at a city of five services over HTTP: what they carry stays text, and what they ask for stays where it is."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from deploy.engines import Engines
from services import NAMES
from services.__main__ import build
from shared.observability.logs import JsonFormatter
from shared.security.issue import issue_token
from shared.security.receipts import receipt_code
from tests.citizen_pages import Shown, Visitor
from tests.conftest import World, eventually, new_world
from tests.intake_desk import LETTER, submit, unread
from tests.unit.test_abuse_addresses import is_for_an_address

DUTY: Final = ("mayor-duty", "mayor", "duty_officer", "clerk", "head", "leader")
EVIL: Final = "evil.example"


@dataclass
class City:
    """The five services, and a letter with its id and code."""

    world: World
    client: httpx.AsyncClient
    letter: str
    code: str

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    def duty(self) -> dict[str, str]:
        return self.world.token(*DUTY)


@pytest.fixture(scope="module")
async def city(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    """One city for the whole file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWKS_FILE", str(keys / "jwks.json"))
        async with new_world(engines.urls(), keys, tmp_path_factory.mktemp("city")) as world:
            kit = world.kit(trusted_proxies=1, challenge="off")
            async with world.running(*(build(name, kit) for name in NAMES)) as client:
                code = (await submit(client))["receipt"]
                (row,) = await eventually(lambda: unread(client, world))
                yield City(world, client, row["letter_id"], code)


# ── guessing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_guessing_codes_costs_time_and_an_unknown_one_looks_like_any_other(city: City) -> None:
    def guess(number: int) -> str:
        return receipt_code(b"another city's secret", f"guess-{number}")

    async def ask(code: str, address: str) -> httpx.Response:
        return await city.get(f"/intake/receipts/{code}", **{"X-Forwarded-For": address})

    known = await ask(city.code, "203.0.113.1")
    assert known.status_code == 200
    answers = [await ask(guess(n), "203.0.113.2") for n in range(10)]
    assert [one.status_code for one in answers] == [404] * 6 + [429] * 4
    assert len({one.text for one in answers[:6]}) == 1, "nothing tells one unknown code from another"
    assert guess(0) not in answers[0].text
    assert int(answers[6].headers["retry-after"]) >= 1
    assert (await ask(city.code, "203.0.113.2")).status_code == 429, "nor may a right one be looked for meanwhile"
    spoofed = await ask(guess(11), "198.51.100.7, 203.0.113.2")
    assert spoofed.status_code == 429, "what a caller writes before the proxy's address counts for nothing"
    assert (await ask(city.code, "203.0.113.3")).status_code == 200


# ── who asks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_token_counts_in_its_header_alone_and_for_its_own_unit(city: City) -> None:
    path = f"/intake/letters/{city.letter}"
    token = city.duty()["Authorization"].removeprefix("Bearer ")
    assert (await city.get(path, Authorization=f"Bearer {token}")).status_code == 200
    for query in ("access_token", "token", "authorization", "bearer"):
        assert (await city.get(f"{path}?{query}={token}")).status_code == 401
    for headers in (
        {"Cookie": f"token={token}; access_token={token}; Authorization=Bearer {token}"},
        {"X-Authorization": f"Bearer {token}"},
        {"X-Forwarded-User": "mayor-duty"},
        {"X-Forwarded-Authorization": f"Bearer {token}"},
        {"Authorization": f"Basic {token}"},
        {"Authorization": f"Bearer {token},{token}"},
        {"Authorization": "Bearer null"},
    ):
        assert (await city.get(path, **headers)).status_code == 401, headers
    strangers = city.world.token("water-clerk", "water", "clerk", "head", "leader")
    assert (await city.get(path, **strangers)).status_code == 404, (
        "nor is another unit told that there is such a letter"
    )
    old = issue_token("mayor-duty", "mayor", DUTY[2:], hours=-1, keys_dir=city.world.keys)
    assert (await city.get(path, Authorization=f"Bearer {old}")).status_code == 401


# ── what ends in headers, addresses and logs ─────────────────────────────────────────────────────────────────────────

BREAKS: Final = ("\r\nX-Evil: 1", "\nX-Evil: 1", "\r\n\r\n<script>", "\u560a\u560dX-Evil: 1", "\x00", "\u2028X-Evil")


@pytest.mark.parametrize("text", BREAKS, ids=ascii)
async def test_header_injection_nothing_that_is_sent_ends_a_header_of_an_answer(city: City, text: str) -> None:
    coded = quote(text)
    paths = [
        f"/intake/mailboxes/mayor{coded}/entry",
        f"/write?to=mayor{coded}&lang=en{coded}",
        f"/public/letters?q={coded}&lang={coded}",
        f"/public/letters/YFX-2026-1{coded}",
        f"/public/letters/YFX-2026-1/attachments/{coded}",
        f"/public/data/2026-03{coded}.csv",
        f"/statistics.csv?year=2026{coded}",
        f"/reporting/issues/weekly-mayor-2026-W07{coded}.pdf",
        f"/bulletins/{coded}",
        f"/static/{coded}",
        f"/{coded}",
    ]
    staff = [
        f"/intake/letters/{city.letter}/attachments/{coded}",
        f"/routing/mailboxes/mayor/register.xlsx?from=2026-03-01{coded}",
        f"/routing/letters/{city.letter}/forms/{coded}.pdf",
        f"/reporting/spot-checks/{coded}/form.xlsx",
        f"/reporting/assessments/{coded}/table.xlsx",
    ]
    answers = [await city.get(path) for path in paths] + [await city.get(path, **city.duty()) for path in staff]
    file = {"file": (f"a{text}.pdf", b"%PDF-1.7\n" + b"x" * 100)}
    answers.append(await city.client.post("/intake/attachments", files=file))
    for answer in answers:
        assert answer.status_code < 500, answer.text
        assert "x-evil" not in answer.headers
        assert not [value for value in answer.headers.values() if set(value) & set("\r\n\0")]


async def test_open_redirect_a_redirect_leads_nowhere_else_whatever_the_request_says_of_hosts(city: City) -> None:
    forged = {"Host": EVIL, "X-Forwarded-Host": EVIL, "X-Original-URL": f"//{EVIL}", "X-Rewrite-URL": f"//{EVIL}"}
    forged |= {"Forwarded": f"host={EVIL}", "Referer": f"http://{EVIL}/", "Accept": "text/html"}
    paths = [
        "/",
        "//",
        f"//{EVIL}",
        f"/\\{EVIL}",
        f"/%5c{EVIL}",
        f"/%2f%2f{EVIL}",
        f"/public//{EVIL}",
        f"/public/..//{EVIL}",
    ]
    paths += [f"/?next=//{EVIL}", "/intake/mailboxes/mayor/entry", f"/intake/mailboxes/%2f%2f{EVIL}/entry"]
    paths += [f"/write?to=//{EVIL}&return=http://{EVIL}", f"/public/?lang=//{EVIL}"]
    for path in paths:
        answer = await city.get(path, **forged)
        assert answer.status_code < 500
        there = answer.headers.get("location", "/")
        assert there.startswith("/"), (path, there)
        assert not there.startswith(("//", "/\\")), (path, there)
        for link in (f'href="//{EVIL}', f'href="http://{EVIL}', f'action="//{EVIL}', f'href="/\\{EVIL}'):
            assert link not in answer.text, path


async def test_ssrf_no_request_has_a_field_for_an_address_to_be_asked(city: City) -> None:
    """Nor has an action of a unit's system: `tests/unit/test_abuse_addresses.py`."""
    document = (await city.get("/openapi.json")).json()

    def names(schema: Any, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        """The names of all fields of a schema, through its references."""
        if isinstance(schema, list):
            for part in schema:
                yield from names(part, seen)
        elif isinstance(schema, dict):
            where = schema.get("$ref", "").rpartition("/")[2]
            if where and where not in seen:
                yield from names(document["components"]["schemas"][where], seen | {where})
            yield from schema.get("properties", {})
            for key, part in schema.items():
                if key not in {"example", "examples", "enum", "default"}:
                    yield from names(part, seen)

    found: dict[str, set[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            given = {parameter["name"] for parameter in operation.get("parameters", [])}
            found[f"{method} {path}"] = given | set(names(operation.get("requestBody", {})))
    assert "body" in found["post /intake/letters"]
    assert sum(map(len, found.values())) > 200
    assert {where: wrong for where, all_ in found.items() if (wrong := set(filter(is_for_an_address, all_)))} == {}


async def test_host_poisoning_the_code_on_a_receipt_survives_whatever_host_was_asked_for(city: City) -> None:
    for host in ("a" * 4000, 'evil"><script>', "[::1", "\x7f", "x:99999999", f"{EVIL}@city.test", ""):
        client = httpx.AsyncClient(
            transport=city.client._transport,
            base_url="http://city.test",
            headers={"X-Forwarded-For": f"10.9.8.{len(host) % 200}", "X-Forwarded-Host": host},
        )
        visitor = Visitor(client)
        page = await visitor.write()
        assert page.status == 200

        async def taken(visitor: Visitor = visitor, page: Shown = page) -> Shown | None:
            shown = await visitor.press(page, "send")
            return None if shown.status == 503 else shown  # Kafka was slow: the page says to send it again

        sent = await eventually(taken)
        assert sent.status == 200, sent.text[:200]
        assert sent.root.xpath("//img[starts-with(@src, 'data:image/svg')]")
        assert "<script>" not in sent.answer.text


async def test_log_injection_and_personal_data_no_request_writes_a_line_of_its_own(
    city: City, caplog: pytest.LogCaptureFixture
) -> None:
    forged = 'x\n{"level":"error","message":"forged"}\x1b[31m13800138000 li@forged.example'
    header = forged.encode("ascii", "replace").replace(b"\n", b"\t").decode()
    with caplog.at_level(logging.DEBUG):
        for path in (f"/{quote(forged)}", f"/public/letters?q={quote(forged)}", f"/intake/receipts/{quote(forged)}"):
            await city.get(
                path, **{"User-Agent": header, "traceparent": header, "Referer": header, "X-Forwarded-For": header}
            )
        await city.client.post(
            "/intake/letters", content=forged, headers={"Content-Type": header, "Idempotency-Key": header}
        )
        await submit(city.client, subject="来信forged主题", sender={"name": "李forged", "email": "li@forged.example"})
        await city.get(f"/intake/letters/{quote(forged)}", **city.duty())
    ours = [one for one in caplog.records if one.name.startswith(("shared", "services", "uvicorn"))]
    written = [JsonFormatter("all").format(record) for record in ours]
    assert written, "at this level every request is a line"
    for line in written:
        assert "forged" not in line
        assert "13800138000" not in line
        assert json.loads(line)["service"]


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _posted(city: City, **changes: Any) -> httpx.Response:
    return await city.client.post(
        "/intake/letters", json={**LETTER, **changes}, headers={"Idempotency-Key": str(uuid4())}
    )


async def test_mass_assignment_fields_that_a_citizen_may_not_set_are_refused(city: City) -> None:
    for extra in (
        "letter_id",
        "at",
        "number",
        "version",
        "seq",
        "stage",
        "receipt",
        "channel",
        "__proto__",
        "_id",
        "constructor",
    ):
        answer = await _posted(city, **{extra: "x"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"/{extra}")
    nested = await _posted(city, sender={**LETTER["sender"], "roles": ["duty_officer"], "__proto__": {"admin": True}})
    assert nested.status_code == 422
    path = f"/intake/letters/{city.letter}"
    before = (await city.get(path, **city.duty())).json()
    more = {"number": 7, "mailbox": "water", "stage": "registered", "version": 99, "by": {"subject": "x"}}
    about = {"nature": "help", "domain": "utilities-power", "region": "500103", **more}
    changed = await city.client.put(f"{path}/classification", json=about, headers=city.duty())
    assert changed.status_code in {200, 409, 422}
    after = (await city.get(path, **city.duty())).json()
    same = set(before) - {"version", "classification"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


@pytest.mark.parametrize(
    "value", [{"$gt": ""}, {"$where": "sleep(9999)"}, {"$ne": None}, ["$in"], {"$regex": ".*"}, True, 7, None]
)
async def test_operator_injection_an_object_is_nowhere_a_text(city: City, value: Any) -> None:
    for field in ("mailbox", "subject", "domain", "region", "reported_mailbox"):
        if value is None and field == "reported_mailbox":
            continue
        answer = await _posted(city, **{field: value})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].startswith(f"/{field}")


@pytest.mark.parametrize(
    "text", ['{"$gt":""}', "[$ne]=1", "'||'1'=='1", "$where", "a.b.$", "\x00", "'; return true; //", "*", "../../x"]
)
async def test_operator_injection_an_id_is_a_text_wherever_it_stands(city: City, text: str) -> None:
    coded = quote(text, safe="")
    for path in (
        f"/intake/letters/{coded}",
        f"/routing/letters/{coded}",
        f"/publication/cases/{coded}",
        f"/deadline/letters/{coded}",
        f"/intake/mailboxes/{coded}/letters",
        f"/intake/mailboxes/mayor/letters?cursor={coded}",
        f"/intake/mailboxes/mayor/letters?stage[$ne]=x&limit[$gt]={coded}",
        f"/routing/mailboxes/mayor/letters?list=all&text={coded}",
        f"/reporting/spot-checks/{coded}",
        f"/public/letters?nature={coded}&q={coded}",
        f"/public/letters/{coded}",
        f"/intake/receipts/{coded}",
    ):
        answer = await city.get(path, **city.duty())
        assert answer.status_code in {200, 400, 404, 422, 429}, f"{path}: {answer.status_code} {answer.text[:200]}"
        assert city.letter not in answer.text or answer.status_code == 200


async def test_json_of_two_minds_the_last_of_two_equal_keys_counts_and_numbers_have_an_end(city: City) -> None:
    async def posted(text: str) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
        return await city.client.post("/intake/letters", content=text.encode(), headers=headers)

    whole = json.dumps(LETTER, ensure_ascii=False)
    assert (await posted(whole[:-1] + ', "mailbox": "nowhere"}')).status_code == 422, "what is checked is what is kept"
    for wrong in (
        "NaN",
        "Infinity",
        "-0",
        "1e400",
        "9" * 5000,
        "[" * 3000 + "]" * 3000,
        '{"a":' * 3000 + "1" + "}" * 3000,
    ):
        answer = await posted(whole[:-1] + f', "subject": {wrong}}}')
        assert answer.status_code in {400, 422}, wrong[:20]
        answer = await city.client.put(
            f"/intake/letters/{city.letter}/classification",
            content=f'{{"nature": "help", "domain": {wrong}, "region": "500103"}}',
            headers={**city.duty(), "Content-Type": "application/json"},
        )
        assert answer.status_code in {400, 422}, wrong[:20]


# ── browsers and caches ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_cache_deception_no_private_answer_hides_behind_a_public_looking_address(city: City) -> None:
    for path in (f"/intake/letters/{city.letter}", f"/routing/letters/{city.letter}", f"/intake/receipts/{city.code}"):
        private = await city.get(path, **city.duty())
        assert private.status_code == 200
        assert "no-store" in private.headers["cache-control"]
        for ending in (
            "/x.css",
            ".css",
            ";x.css",
            "%2fx.css",
            "%00.css",
            "/..%2fstatic/x.css",
            "/%2e%2e/%2e%2e/static/xinxiang.css",
        ):
            answer = await city.get(path + ending, **city.duty())
            assert answer.status_code in {400, 404, 422, 429}, path + ending
            assert "小区门口" not in answer.text


async def test_cache_poisoning_what_may_be_kept_for_others_says_nothing_that_a_request_made_up(city: City) -> None:
    forged = {
        "Host": EVIL,
        "X-Forwarded-Host": EVIL,
        "X-Forwarded-Scheme": "evil",
        "X-Forwarded-Prefix": f"/{EVIL}",
        "X-Forwarded-Port": "666",
    }
    forged |= {
        "X-Original-URL": f"/{EVIL}",
        "Forwarded": f"host={EVIL}",
        "Accept-Language": EVIL,
        "Origin": f"http://{EVIL}",
    }
    for path in (
        "/public/",
        "/public/letters",
        "/public/board",
        "/public/how",
        "/public/data",
        "/statistics",
        "/bulletins",
        "/robots.txt",
        "/public/feed.atom",
        "/public/sitemap.xml",
        "/static/xinxiang.css",
        "/write",
    ):
        answer = await city.get(path, **forged)
        assert answer.status_code == 200, path
        shared = "public" in answer.headers.get("cache-control", "")
        assert not (shared and EVIL in answer.text), path
        assert "access-control-allow-origin" not in answer.headers


async def test_clickjacking_and_scripts_every_page_forbids_frames_and_whatever_is_not_ours(city: City) -> None:
    pages = ["/public/", "/public/letters", "/public/board", "/public/board/lobby", "/public/how", "/public/data"]
    pages += ["/write", "/follow", "/statistics", "/bulletins", "/nowhere", "/public/letters/YFX-2026-9"]
    for path in pages:
        answer = await city.get(path, Accept="text/html")
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'"), (
            path
        )
        assert (policy["frame-ancestors"], policy["base-uri"], policy["form-action"]) == ("'none'", "'none'", "'self'")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == (
            "nosniff",
            "no-referrer",
        )


async def test_a_file_of_a_citizen_is_a_download_of_its_own_kind_whatever_it_was_called(city: City) -> None:
    script = b"GIF89a/*" + b"\0" * 60 + b"*/=1;alert(1)//<script>alert(1)</script>"
    file = {"file": ("../evil\u202e.html", script, "text/html")}
    sent = (await city.client.post("/intake/attachments", files=file)).json()
    assert (sent["media_type"], sent["name"]) == ("image/gif", "evil_.gif")
    subject = f"附件{uuid4().hex[:8]}"
    await submit(city.client, subject=subject, attachments=[sent["attachment"]])

    async def arrived() -> str:
        rows = await unread(city.client, city.world)
        return next((row["letter_id"] for row in rows if row["subject"] == subject), "")

    letter = await eventually(arrived)
    (kept,) = (await city.get(f"/intake/letters/{letter}", **city.duty())).json()["attachments"]
    answer = await city.get(f"/intake/letters/{letter}/attachments/{kept['id']}", **city.duty())
    assert answer.content == script
    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    forged = sent["attachment"].partition(".")
    for signed in (f"{forged[0]}.{'0' * 64}", f"{forged[0]}", f"x{sent['attachment']}", "../../etc/passwd", "."):
        assert (await _posted(city, attachments=[signed])).status_code == 422


async def test_unexpected_methods_and_overrides_change_nothing(city: City) -> None:
    path = f"/intake/letters/{city.letter}"
    for method in ("TRACE", "PROPFIND", "DELETE", "PATCH", "CONNECT", "PUT"):
        answer = await city.client.request(method, path, headers=city.duty())
        assert answer.status_code == 405
    headers = {**city.duty(), "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "PUT"}
    assert (await city.client.post(path, headers=headers)).status_code == 405
    assert (await city.get(path, **city.duty())).status_code == 200


async def test_files_of_the_machine_are_reached_by_no_path(city: City) -> None:
    for path in (
        "/static/../edge.py",
        "/static/..%2fedge.py",
        "/static/%2e%2e/edge.py",
        "/static//etc/passwd",
        "/static/..%5cedge.py",
        "/static/%00",
        "/.git/config",
        "/.env",
        "/openapi.json.bak",
        "/public/data/..%2f..%2fetc.csv",
    ):
        answer = await city.get(path)
        assert answer.status_code in {400, 404, 405, 422}, path
        assert "import" not in answer.text
