"""Signing in: each way in which a provider's answer, a session, a request or a mapping can be wrong."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from lxml import html  # type: ignore[import-untyped]

from shared.directory import Directory, load_directory
from shared.security.claims import Roles, RolesError
from shared.security.oidc import AGAIN_SECONDS, FRESH_SECONDS, STALE_SECONDS, Provider
from shared.security.routes_sign_in import local_path, on_sign_in_first, router
from shared.security.sessions import Sessions
from shared.security.sign_in import SignIn, SignInFirst
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import Authenticated, NoKeySet, says_who
from shared.web.app import create_app
from shared.web.templates import Pages
from tests.conftest import DATA
from tests.provider import CLIENT, ISSUER, KEYS, FakeProvider

SECRET = b"a secret of the unit tests only, long enough"
ROLES = """
subject: preferred_username
rules:
  - when: [{claim: groups, is: duty}]
    mailbox: mayor
    roles: [duty_officer]
  - when: [{claim: [realm_access, roles], is: water-head}, {claim: groups, is: heads}]
    mailbox: water
    roles: [head]
  - when: [{claim: client_id, is: yuzhong-system}]
    mailbox: yuzhong
    roles: [unit_system]
"""
PAGE = {"Accept": "text/html"}


@dataclass
class Site:
    """A small application that knows who signed in, and its provider."""

    provider: FakeProvider
    client: httpx.AsyncClient
    sign_in: SignIn
    directory: Directory
    clock: list[float]
    """Real time, and what ages are told by."""

    def later(self, seconds: float) -> None:
        self.clock[0] += seconds

    async def begin(self, path: str = "/auth/login") -> str:
        """Go to sign in; return where the provider sends the browser back to."""
        answer = await self.client.get(path, headers=PAGE)
        assert answer.status_code == 303, answer.text
        return self.provider.agreed(answer.headers["location"])

    async def sign_in_as(self, **person: Any) -> httpx.Response:
        self.provider.person = {"sub": "4711", **person}
        return await self.client.get(await self.begin(), headers=PAGE)

    async def who(self, **headers: str) -> httpx.Response:
        return await self.client.get("/test/who", headers=headers)


PAGES = Pages()
SEED = load_directory(DATA / "directory.yaml")


@pytest.fixture
def directory() -> Directory:
    return Directory(SEED.mailboxes(), SEED.all_domains(), SEED.regions())


@pytest.fixture
async def site(directory: Directory, tmp_path: Path) -> AsyncIterator[Site]:
    file = tmp_path / "roles.yaml"
    file.write_text(ROLES, encoding="utf-8")
    clock, fake = [time.time()], FakeProvider()
    settings = SignInSettings(oidc_issuer=ISSUER, oidc_client_id=CLIENT, oidc_client_secret="s3cret:/?")
    provider = Provider(settings, now=lambda: clock[0], monotonic=lambda: clock[0], transport=fake)
    sign_in = SignIn(provider, Sessions([SECRET], 8 * 3600, lambda: clock[0]), Roles(file, directory))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(_app(sign_in), raise_app_exceptions=False), base_url="https://city.test"
    ) as client:
        yield Site(fake, client, sign_in, directory, clock)


def _app(sign_in: SignIn) -> FastAPI:
    routes = APIRouter(prefix="/test")

    @routes.get("/who")
    @routes.post("/who")
    async def who(caller: Authenticated) -> dict[str, Any]:
        return {
            "subject": caller.subject,
            "name": caller.name,
            "mailbox": caller.mailbox,
            "roles": sorted(caller.roles),
        }

    async def ready() -> dict[str, str | None]:
        return {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    routers = [routes, router(sign_in, PAGES, "")]
    app = create_app("test", routers, lifespan=lifespan, services=["test"], readiness=ready, pages=PAGES)
    app.state.sign_in = sign_in
    app.state.verifier = NoKeySet(ISSUER)
    app.add_exception_handler(SignInFirst, on_sign_in_first)
    return app


# ── in and out ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_clerk_who_opens_a_page_is_sent_to_sign_in_and_comes_back_to_it(site: Site) -> None:
    answer = await site.client.get("/test/who?day=2026-03-02", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/auth/login?return_to=%2Ftest%2Fwho%3Fday%3D2026-03-02",
    )
    back = await site.client.get(await site.begin(answer.headers["location"]), headers=PAGE)
    assert (back.status_code, back.headers["location"]) == (303, "/test/who?day=2026-03-02")
    seen = (await site.client.get(back.headers["location"])).json()
    assert seen == {"subject": "mayor-clerk", "name": "甲经办", "mailbox": "mayor", "roles": ["clerk"]}


async def test_html_in_what_the_provider_tells_of_somebody_is_text_on_the_pages_of_signing_in(site: Site) -> None:
    evil = "</title>\"'><i class=evil onclick=hit()>甲"
    await site.sign_in_as(preferred_username="zhang", name=evil, groups=["duty"])
    refused = await site.client.get(f"/auth/callback?state={'x' * 43}&error={evil}&iss={evil}", headers=PAGE)
    shown = [await site.client.get(f"/auth/{name}", headers=PAGE) for name in ("me", "logout")]
    assert evil in html.document_fromstring(shown[0].text).text_content()
    for page in (refused, *shown):
        assert page.headers["content-type"].startswith("text/html")
        assert html.document_fromstring(page.text).xpath("//i | //*[@onclick]") == []


async def test_a_program_without_a_token_gets_a_401_and_no_redirect(site: Site) -> None:
    answer = await site.who()
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")


async def test_cookies_are_of_this_host_only_and_out_of_scripts_reach(site: Site) -> None:
    back = await site.sign_in_as(preferred_username="mayor-clerk")
    session = next(line for line in back.headers.get_list("set-cookie") if line.startswith("__Host-session="))
    attributes = {part.strip().lower() for part in session.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/", "max-age=28800"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)
    assert "mayor" not in session


async def test_each_sign_in_is_a_line_in_the_log_and_a_new_session_whatever_the_browser_had_before(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    found = set()
    site.client.cookies.set("__Host-session", "planted", domain="city.test")
    with caplog.at_level(logging.INFO, "shared.security.routes_sign_in"):
        for _ in range(2):
            await site.sign_in_as(preferred_username="mayor-clerk")
            (cookie,) = (one.value for one in site.client.cookies.jar if one.name == "__Host-session")
            found |= {cookie, (await site.client.get("/auth/me")).json()["csrf_token"]}
    assert len(found) == 4
    assert "planted" not in found
    assert [(line.levelname, line.message) for line in caplog.records] == [("INFO", "somebody signed in")] * 2
    assert "mayor-clerk" not in str([vars(line) for line in caplog.records])


async def test_signing_out_ends_it_here_and_leads_on_to_the_provider(site: Site) -> None:
    await site.sign_in_as(preferred_username="mayor-clerk")
    csrf = (await site.client.get("/auth/me")).json()["csrf_token"]
    answer = await site.client.post("/auth/logout", data={"csrf": csrf})
    address = urlsplit(answer.json()["provider"])
    asked = parse_qs(address.query)
    assert address.path == "/realms/city/logout"
    assert (asked["client_id"], asked["post_logout_redirect_uri"]) == ([CLIENT], ["https://city.test/auth/logout"])
    assert asked["id_token_hint"][0].count(".") == 2
    assert (await site.who()).status_code == 401


async def test_signing_out_works_while_the_provider_is_away_and_a_link_alone_does_not_do_it(site: Site) -> None:
    await site.sign_in_as(preferred_username="mayor-clerk")
    assert "退出登录" in (await site.client.get("/auth/logout", headers=PAGE)).text
    assert (await site.who()).status_code == 200
    csrf = (await site.client.get("/auth/me")).json()["csrf_token"]
    site.provider.away = True
    site.later(FRESH_SECONDS + STALE_SECONDS / 100)
    assert (await site.client.post("/auth/logout", data={"csrf": csrf}, headers=PAGE)).status_code == 200
    assert (await site.who()).status_code == 401


async def test_a_session_ends_after_its_hours(site: Site) -> None:
    await site.sign_in_as(preferred_username="mayor-clerk")
    site.later(8 * 3600 - 1)
    assert (await site.who()).status_code == 200
    site.later(2)
    assert (await site.who()).status_code == 401


# ── an answer that does not hold ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"change": {"nonce": "another"}}, "nonce"),
        ({"change": {"nonce": None}}, "nonce"),
        ({"change": {"aud": "another"}}, "audience"),
        ({"change": {"aud": [CLIENT, "another"]}}, "azp"),
        ({"change": {"aud": [CLIENT, "another"], "azp": "another"}}, "azp"),
        ({"change": {"iss": "https://evil.test"}}, "issuer"),
        ({"change": {"exp": 1}}, "expired"),
        ({"change": {"exp": None}}, "exp is missing"),
        ({"change": {"iat": 4_000_000_000, "exp": 4_000_000_300}}, "not valid yet"),
        ({"change": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}}, "at_hash"),
        ({"change": {"sub": None}}, "sub is missing"),
        ({"algorithm": "none"}, "must be signed"),
        ({"algorithm": "HS256"}, "must be signed"),
        ({"sign_as": "unknown"}, "not among the provider's"),
        ({"sign_with": "stranger"}, "signature"),
        ({"userinfo": {"sub": "somebody else"}}, "somebody else"),
    ],
    ids=str,
)
async def test_an_id_token_that_does_not_hold_signs_nobody_in(site: Site, wrong: dict[str, Any], told: str) -> None:
    for name, value in wrong.items():
        setattr(site.provider, name, value)
    answer = await site.client.get(await site.begin())
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/sign-in-failed")
    assert told in answer.json()["detail"]
    assert "__Host-session" not in site.client.cookies
    assert (await site.who()).status_code == 401


async def test_a_state_that_this_browser_did_not_begin_signs_nobody_in(site: Site) -> None:
    back = await site.begin()
    site.client.cookies.clear()
    answer = await site.client.get(back, headers=PAGE)
    assert answer.status_code == 400
    assert "这次登录不是从本浏览器开始的" in answer.text
    assert "/auth/login" in answer.text
    for other in ("state=x", "state="):
        swapped = (await site.begin()).replace("state=", other)
        swapped = swapped[:-1] + ("A" if swapped[-1] != "A" else "B") if other == "state=" else swapped
        assert (await site.client.get(swapped)).status_code == 400
    assert not any("code" in path or "token" in path for path in site.provider.asked)


async def test_coming_back_takes_place_once_and_within_ten_minutes(site: Site) -> None:
    back = await site.begin()
    assert (await site.client.get(back)).status_code == 303
    again = await site.client.get(back)
    assert again.status_code == 400
    assert "did not begin" in again.json()["detail"], "the browser has forgotten it; the provider is not even asked"
    late = await site.begin()
    site.later(601)
    assert (await site.client.get(late)).status_code == 400


async def test_a_code_that_was_taken_before_is_refused_by_the_provider(site: Site) -> None:
    back = await site.begin()
    kept = dict(site.client.cookies)
    assert (await site.client.get(back)).status_code == 303
    site.client.cookies.clear()
    answer = await site.client.get(back, headers={"Cookie": "; ".join(f"{n}={v}" for n, v in kept.items())})
    assert answer.status_code == 400
    assert "invalid_grant" in answer.json()["detail"]


async def test_a_code_without_the_verifier_of_its_own_sign_in_is_refused(site: Site) -> None:
    stolen = parse_qs(urlsplit(await site.begin()).query)["code"][0]
    mine = parse_qs(urlsplit(await site.begin()).query)["state"][0]
    answer = await site.client.get("/auth/callback", params={"code": stolen, "state": mine})
    assert "invalid_grant" in answer.json()["detail"]


async def test_an_answer_of_another_provider_or_a_refusal_is_told(site: Site) -> None:
    mixed = await site.client.get(await site.begin() + "&iss=https://evil.test")
    assert "another provider" in mixed.json()["detail"]
    state = parse_qs(urlsplit(await site.begin()).query)["state"][0]
    answer = await site.client.get("/auth/callback", params={"error": "access_denied", "state": state})
    assert (answer.status_code, "access_denied" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.test"},
        {"jwks_uri": "http://id.city.test/keys"},
        {"token_endpoint": "file:///etc/passwd"},
        {"code_challenge_methods_supported": ["plain"]},
        {"authorization_endpoint": None},
    ],
    ids=str,
)
async def test_a_discovery_document_that_does_not_hold_is_not_used(site: Site, document: dict[str, Any]) -> None:
    site.provider.document = document
    assert (await site.client.get("/auth/login")).status_code == 503


# ── the provider is away ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_while_the_provider_is_away_whoever_is_signed_in_goes_on_and_others_are_told_what_to_do(
    site: Site,
) -> None:
    await site.sign_in_as(preferred_username="mayor-clerk")
    token = site.provider.access_token()
    site.provider.away = True
    assert (await site.who()).status_code == 200
    assert (await site.who(Authorization=f"Bearer {token}")).status_code == 200
    begun = await site.begin()
    answer = await site.client.get(begun, headers=PAGE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "已经登录的工作人员不受影响" in answer.text
    site.later(STALE_SECONDS)
    site.provider.asked.clear()
    assert (await site.client.get("/auth/login")).status_code == 503
    assert (await site.client.get("/auth/login")).status_code == 503
    assert len(site.provider.asked) == 1, "it is not asked again and again"
    site.provider.away = False
    site.later(AGAIN_SECONDS)
    assert (await site.client.get("/auth/login")).status_code == 303


async def test_new_keys_of_the_provider_are_found_and_withdrawn_ones_forgotten(site: Site) -> None:
    old = site.provider.access_token()
    assert (await site.who(Authorization=f"Bearer {old}")).status_code == 200
    site.provider.keys = {"second": KEYS["second"]}
    site.provider.sign_with = site.provider.sign_as = "second"
    new = site.provider.access_token()
    assert (await site.who(Authorization=f"Bearer {new}")).status_code == 401, "just asked"
    asked = len(site.provider.asked)
    for _ in range(5):
        await site.who(Authorization=f"Bearer {new}")
    assert len(site.provider.asked) == asked, "unknown keys do not make us ask without end"
    site.later(AGAIN_SECONDS)
    assert (await site.who(Authorization=f"Bearer {new}")).status_code == 200
    assert (await site.who(Authorization=f"Bearer {old}")).status_code == 401


# ── tokens for the APIs ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"aud": CLIENT}, "audience"),
        ({"exp": 1}, "expired"),
        ({"nonce": "n"}, "ID token"),
        ({"iat": None}, "iat is missing"),
        ({"exp": True}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"iat": -(10**400)}, "iat"),
    ],
)
async def test_an_access_token_that_does_not_hold_is_a_401_that_says_why(
    site: Site, changes: dict[str, Any], told: str
) -> None:
    answer = await site.who(Authorization=f"Bearer {site.provider.access_token(**changes)}")
    assert answer.status_code == 401
    assert told in answer.json()["detail"]


async def test_a_token_of_nobodys_is_refused_and_asks_nobody(site: Site) -> None:
    assert (await site.who(Authorization="Bearer a.b.c")).status_code == 401
    assert (await site.who(Authorization=f"Bearer {'x.' * 3000}")).status_code == 401
    assert site.provider.asked == []


async def test_a_units_system_is_known_by_its_clients_token(site: Site) -> None:
    site.provider.person = {"sub": "service-7", "client_id": "yuzhong-system"}
    seen = (await site.who(Authorization=f"Bearer {site.provider.access_token()}")).json()
    assert (seen["subject"], seen["mailbox"], seen["roles"]) == ("service-7", "yuzhong", ["unit_system"])


async def test_a_machine_is_no_person_whatever_it_is_called(site: Site) -> None:
    site.provider.person = {"sub": "mayor-clerk", "groups": ["duty"]}
    answer = await site.who(Authorization=f"Bearer {site.provider.access_token()}")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/sign-in-no-mailbox")


async def test_a_token_beside_a_session_counts_alone(site: Site) -> None:
    await site.sign_in_as(preferred_username="mayor-clerk")
    assert (await site.who(Authorization="Bearer a.b.c")).status_code == 401


# ── requests that another site forges ────────────────────────────────────────────────────────────────────────────────


async def test_a_session_writes_only_with_its_token_and_from_this_site(site: Site) -> None:
    await site.sign_in_as(preferred_username="mayor-clerk")
    csrf = (await site.client.get("/auth/me")).json()["csrf_token"]

    async def written(**headers: str) -> int:
        return (await site.client.post("/test/who", headers=headers)).status_code

    assert await written() == 403
    assert await written(**{"X-CSRF-Token": "guess"}) == 403
    assert await written(**{"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}) == 403
    assert await written(**{"X-CSRF-Token": csrf, "Origin": "https://evil.test"}) == 403
    assert await written(**{"X-CSRF-Token": csrf, "Origin": "https://city.test"}) == 200
    assert await written(**{"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-origin"}) == 200
    assert (await site.client.post("/auth/logout", data={"csrf": "guess"})).status_code == 403


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.test",
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/\t/evil.test",
        "evil",
        "",
        "javascript:alert(1)",
        "/auth/logout",
        "/a" * 1500,
    ],
)
async def test_nobody_is_led_to_another_site_after_signing_in(site: Site, wanted: str) -> None:
    assert local_path(wanted) == "/auth/me"
    begun = await site.client.get("/auth/login", params={"return_to": wanted})
    back = await site.client.get(site.provider.agreed(begun.headers["location"]))
    assert back.headers["location"] == "/auth/me"


# ── who that is here ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_r10_2_whoever_has_no_mailbox_is_told_what_to_ask_for(site: Site) -> None:
    answer = await site.sign_in_as(preferred_username="stranger", groups=["DUTY", "duty2", "dut"])
    assert answer.status_code == 403
    assert "请联系本单位的系统管理员" in answer.text
    assert "stranger" in answer.text


async def test_groups_give_roles_exactly_and_conditions_together(site: Site) -> None:
    await site.sign_in_as(preferred_username="new-one", groups=["other", "duty"])
    assert (await site.who()).json()["roles"] == ["duty_officer"]
    half = await site.sign_in_as(preferred_username="x", realm_access={"roles": ["water-head"]})
    assert half.status_code == 403
    await site.sign_in_as(preferred_username="x", realm_access={"roles": ["water-head"]}, groups=["heads"])
    assert (await site.who()).json()["mailbox"] == "water"


async def test_r1_3_whoever_is_taken_off_the_staff_list_is_out_at_once(site: Site) -> None:
    await site.sign_in_as(preferred_username="water-clerk")
    assert (await site.who()).json()["mailbox"] == "water"
    without = [
        one.model_copy(update={"staff": tuple(p for p in one.staff if p.subject != "water-clerk")})
        for one in site.directory.mailboxes()
    ]
    site.directory.become(Directory(without, site.directory.all_domains(), site.directory.regions()))
    answer = await site.who()
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/sign-in-no-mailbox")


async def test_somebody_with_two_mailboxes_acts_for_one_and_may_change(site: Site) -> None:
    await site.sign_in_as(preferred_username="water-clerk", groups=["duty"])
    me = (await site.client.get("/auth/me")).json()
    assert (me["mailbox"], me["mailboxes"]) == ("water", {"water": ["clerk"], "mayor": ["duty_officer"]})
    chosen = {"mailbox": "mayor", "csrf": me["csrf_token"]}
    assert (await site.client.post("/auth/mailbox", data=chosen)).status_code == 303
    assert (await site.who()).json()["roles"] == ["duty_officer"]
    assert (await site.client.post("/auth/mailbox", data={**chosen, "mailbox": "yuzhong"})).status_code == 403
    with_session = dict(site.client.cookies)
    site.client.cookies.clear()
    over = await site.client.post("/auth/mailbox", data=chosen, headers={"Accept": "text/html"})
    assert (over.status_code, "location" in over.headers) == (200, False), "browsers let no form lead to the provider"
    assert "/auth/login" in over.text
    site.client.cookies.update(with_session)
    token = f"Bearer {site.provider.access_token()}"
    assert (await site.who(Authorization=token)).json()["type"] == "/problems/which-mailbox"
    assert (await site.who(Authorization=token, **{"Xinxiang-Mailbox": "mayor"})).json()["mailbox"] == "mayor"
    assert (await site.who(Authorization=token, **{"Xinxiang-Mailbox": "yuzhong"})).status_code == 403


async def test_an_address_that_the_provider_has_not_verified_is_nobodys(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "by_mail.yaml"
    file.write_text("subject: email\ndirectory: true", encoding="utf-8")
    site.sign_in.roles = Roles(file, site.directory)
    assert (await site.sign_in_as(email="mayor-clerk")).status_code == 403
    assert (await site.sign_in_as(email="mayor-clerk", email_verified=False)).status_code == 403
    assert (await site.sign_in_as(email="mayor-clerk", email_verified=True)).status_code == 303


async def test_claims_that_the_id_token_leaves_out_come_from_userinfo(site: Site) -> None:
    site.provider.userinfo = {"sub": "4711", "preferred_username": "mayor-head"}
    await site.sign_in_as()
    assert (await site.who()).json()["subject"] == "mayor-head"


def test_a_mapping_file_is_refused_with_every_problem(directory: Directory, tmp_path: Path) -> None:
    file = tmp_path / "roles.yaml"
    file.write_text(
        """
subjekt: sub
rules:
  - {when: [], mailbox: Mayor, roles: [emperor]}
  - {when: [{claim: groups, is: 7}], mailbox: mayor, roles: [clerk]}
""",
        encoding="utf-8",
    )
    with pytest.raises(RolesError) as refused:
        Roles(file, directory)
    text = "\n".join(refused.value.problems)
    for told in (
        "subjekt is not known",
        "rule 1: when",
        "rule 1: mailbox",
        "there is no such role",
        "rule 2: when.0.is",
    ):
        assert told in text
    file.write_text(
        """
directory: false
rules:
  - {when: [{claim: groups, is: "*-clerks"}], mailbox: mayor, roles: [unit_system, clerk]}
  - {when: [{claim: groups, is: a}], mailbox: nowhere, roles: [clerk]}
  - {when: [{claim: groups, is: a}], mailbox: nowhere, roles: [clerk]}
""",
        encoding="utf-8",
    )
    with pytest.raises(RolesError) as refused:
        Roles(file, directory)
    text = "\n".join(refused.value.problems)
    for told in ("looks like a pattern", "that role is for machines", "rule 3 is the same as rule 2"):
        assert told in text
    file.write_text(
        "rules: [{when: [{claim: g, is: a}], mailbox: nowhere, roles: [clerk]},"
        "{when: [{claim: g, is: b}], mailbox: water, roles: [duty_officer]}]",
        encoding="utf-8",
    )
    with pytest.raises(RolesError) as refused:
        Roles(file, directory).check_mailboxes()
    assert ["no mailbox nowhere" in refused.value.problems[0], "R1.2" in refused.value.problems[1]] == [True, True]


def test_the_sample_mapping_fits_the_sample_directory() -> None:
    Roles(Path("deploy/sample/roles.yaml"), load_directory(Path("deploy/sample/directory.yaml"))).check_mailboxes()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, False),
        ({"cookie": "form=x"}, False),
        ({"cookie": "__Host-session=x"}, True),
        ({"cookie": "session=x"}, True),
        ({"authorization": "x"}, True),
    ],
)
def test_says_who_tells_what_caches_on_the_way_may_not_keep(headers: dict[str, str], said: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert says_who(Request({"type": "http", "headers": raw})) is said
