"""Staff sign in at a real identity provider, Dex, and work on services. What Dex cannot be made to do: `tests/unit/test_sign_in.py`."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
from playwright.async_api import Browser, expect

from deploy.demo_provider import AUDIENCE, PASSWORD, SYSTEM, Dex, environment, provider
from deploy.engines import Engines
from deploy.engines.ports import free
from services.reporting.app import build as build_reporting
from services.routing.app import build as build_routing
from shared.directory import load_directory
from tests.browser import Look, opened, origin, picture
from tests.conftest import DATA, World, new_world

PAGE = {"Accept": "text/html"}


@dataclass
class City:
    """Routing and reporting, each at an address of its own, and the provider."""

    world: World
    routing: str
    reporting: str
    dex: Dex

    def browser(self) -> httpx.AsyncClient:
        """A client that keeps cookies and follows redirects, as browsers do."""
        return httpx.AsyncClient(follow_redirects=True, headers=PAGE, trust_env=False)


@pytest.fixture(scope="module")
async def city(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    folder = tmp_path_factory.mktemp("dex")
    ports = free(3)  # the provider must know the addresses of the services before these start
    routing, reporting = (f"http://127.0.0.1:{port}" for port in ports[:2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWKS_FILE", str(keys / "jwks.json"))
        for name, value in environment(f"http://127.0.0.1:{ports[2]}/dex", folder).items():
            patch.setenv(name, value)
        with provider(folder, ports[2], [routing, reporting], load_directory(DATA / "directory.yaml")) as dex:
            async with (
                new_world(engines.urls(), keys, folder) as world,
                world.running(build_routing(world.kit())) as one,
                world.running(build_reporting(world.kit(bulletin_public=False))) as two,
                origin(one, ports[0]),
                origin(two, ports[1]),
            ):
                yield City(world, routing, reporting, dex)


async def sign_in(
    client: httpx.AsyncClient, login_page: httpx.Response, subject: str, password: str = PASSWORD
) -> httpx.Response:
    """Fill in the provider's own form."""
    action = re.search(r'<form[^>]*action="([^"]+)"', login_page.text)
    assert action is not None, login_page.text
    address = urljoin(str(login_page.url), html.unescape(action[1]))
    return await client.post(address, data={"login": f"{subject}@city.test", "password": password})


async def test_a_clerk_signs_in_at_the_provider_works_in_two_services_and_signs_out(city: City) -> None:
    async with city.browser() as client:
        wanted = f"{city.routing}/routing/mailboxes/mayor/register.html?from=2026-03-01&to=2026-03-08"
        login_page = await client.get(wanted)
        assert str(login_page.url).startswith(city.dex.issuer)
        wrong = await sign_in(client, login_page, "mayor-clerk", "guess")
        assert str(wrong.url).startswith(city.dex.issuer), "a wrong password stays with the provider"

        page = await sign_in(client, login_page, "mayor-clerk")
        assert (page.status_code, str(page.url)) == (200, wanted)
        assert "处理情况登记表" in page.text

        client.headers["Accept"] = "application/json"
        own = await client.get(f"{city.routing}/routing/mailboxes/mayor/letters?list=all")
        assert own.status_code == 200, own.text
        other = await client.get(f"{city.routing}/routing/mailboxes/water/letters?list=all")
        assert (other.status_code, other.json()["rule"]) == (403, "R10.2")
        figures = f"{city.reporting}/reporting/mailboxes/mayor/figures?from=2026-03-02&to=2026-03-09"
        assert (await client.get(figures)).status_code == 200, "one session for all services"

        directory = f"{city.routing}/routing/directory/mailboxes"
        assert (await client.post(directory, json={})).json()["type"] == "/problems/sign-in-forged"
        csrf = (await client.get(f"{city.reporting}/auth/me")).json()["csrf_token"]
        written = await client.post(directory, json={}, headers={"X-CSRF-Token": csrf})
        assert written.json()["type"] != "/problems/sign-in-forged"

        assert (await client.post(f"{city.routing}/auth/logout", data={"csrf": csrf})).json()["signed_out"] is True
        assert (await client.get(figures)).status_code == 401


async def test_r10_2_a_bulletin_that_is_not_public_opens_to_whoever_signed_in_and_stays_out_of_caches(
    city: City,
) -> None:
    async with city.browser() as client:
        page = await client.get(f"{city.reporting}/bulletins")
        assert str(page.url).startswith(city.dex.issuer)
        page = await sign_in(client, page, "water-head")
        assert (page.status_code, page.url.path) == (200, "/bulletins")
        assert "public" not in page.headers["cache-control"]


async def test_the_provider_refuses_a_code_that_was_taken_or_has_another_verifier(city: City) -> None:
    async with city.browser() as client:
        await sign_in(client, await client.get(f"{city.routing}/auth/login"), "mayor-head")
        client.follow_redirects = False

        async def coming_back() -> httpx.URL:
            """Sign in as far as the provider's answer, and do not follow it."""
            answer = await client.get(f"{city.routing}/auth/login")
            while not answer.headers.get("location", "").startswith("http"):
                answer = await client.get(urljoin(str(answer.url), answer.headers["location"]))
            page = await httpx_followed(client, answer.headers["location"])
            answer = await sign_in(client, page, "mayor-head")
            return httpx.URL(answer.headers["location"])

        first, second = await coming_back(), await coming_back()
        stolen, state = (parse_qs(urlsplit(str(url)).query) for url in (first, second))
        client.headers["Accept"] = "application/json"
        wrong = await client.get(
            f"{city.routing}/auth/callback", params={"code": stolen["code"][0], "state": state["state"][0]}
        )
        assert wrong.status_code == 400
        assert "invalid_" in wrong.json()["detail"]

        third = await coming_back()
        kept = dict(client.cookies)
        assert (await client.get(third)).status_code == 303
        client.cookies.update(kept)
        again = await client.get(third)
        assert again.status_code == 400


async def httpx_followed(client: httpx.AsyncClient, address: str) -> httpx.Response:
    answer = await client.get(address)
    while answer.is_redirect:
        answer = await client.get(urljoin(str(answer.url), answer.headers["location"]))
    return answer


async def test_an_access_token_of_the_provider_opens_the_apis_and_an_id_token_does_not(city: City) -> None:
    form = {
        "grant_type": "password",
        "username": "water-clerk@city.test",
        "password": PASSWORD,
        "scope": f"openid profile audience:server:client_id:{AUDIENCE}",
    }
    async with city.browser() as client:
        tokens = (await client.post(f"{city.dex.issuer}/token", data=form, auth=(SYSTEM, SYSTEM))).json()
        client.headers["Accept"] = "application/json"

        async def asked(mailbox: str, token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            return await client.get(f"{city.routing}/routing/mailboxes/{mailbox}/letters?list=all", headers=headers)

        assert (await asked("water", tokens["access_token"])).status_code == 200
        assert (await asked("mayor", tokens["access_token"])).status_code == 403
        form["scope"] = "openid profile"
        narrow = (await client.post(f"{city.dex.issuer}/token", data=form, auth=(SYSTEM, SYSTEM))).json()
        refused = await asked("water", narrow["access_token"])
        assert (refused.status_code, "audience" in refused.json()["detail"]) == (401, True)
        assert (await asked("mayor", city.world.token("a", "mayor", "clerk")["Authorization"][7:])).status_code == 200


async def test_a_clerk_signs_in_with_a_browser_and_sees_who_they_are(city: City, browser: Browser) -> None:
    async with opened(browser, Look(360)) as page:
        await page.goto(f"{city.routing}/auth/me")
        await page.fill("#login", "education-clerk@city.test")
        await page.fill("#password", PASSWORD)
        await page.click("button[type=submit]")
        await expect(page.locator("h1")).to_have_text("工作人员登录信息")
        await expect(page.locator("dl.facts")).to_contain_text("重庆市教育委员会")
        await expect(page.locator("dl.facts")).to_contain_text("丙经办")
        await picture(page, "signed-in")
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text))
        cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
        assert cookies["session"]["httpOnly"]
        await page.get_by_role("button", name="退出登录").click()
        await expect(page.locator("h1")).to_have_text("您已退出登录")
        await picture(page, "signed-out")
        assert complaints == [], "the page's policy refused something"
        await page.goto(f"{city.routing}/auth/me")
        await expect(page.locator("#login")).to_be_visible()


async def test_while_the_provider_is_down_whoever_is_signed_in_goes_on_and_signing_in_says_what_to_do(
    city: City,
) -> None:
    async with city.browser() as client, city.browser() as late:
        begun = await late.get(f"{city.routing}/auth/login")
        await sign_in(client, await client.get(f"{city.routing}/auth/login"), "mayor-head")
        action = re.search(r'action="([^"]+)"', begun.text)
        assert action is not None
        late.follow_redirects = False
        answer = await late.post(
            urljoin(str(begun.url), html.unescape(action[1])),
            data={"login": "mayor-head@city.test", "password": PASSWORD},
        )
        city.dex.stop()
        client.headers["Accept"] = "application/json"
        assert (await client.get(f"{city.routing}/auth/me")).json()["subject"] == "mayor-head"
        assert (await client.get(f"{city.reporting}/auth/me")).status_code == 200
        page = await late.get(answer.headers["location"])
        assert page.status_code == 503
        assert "已经登录的工作人员不受影响" in page.text
