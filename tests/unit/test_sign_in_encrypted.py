"""Signing in at a provider whose certificate is from the city's own authority: by `OIDC_CA_FILE`, and not without it."""

import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from shared.directory import Directory
from shared.observability.logs import JsonFormatter
from shared.security.claims import Roles
from shared.security.oidc import Provider
from shared.security.sessions import Sessions
from shared.security.sign_in import SignIn
from shared.security.sign_in_settings import SignInSettings
from tests.e2e.guarded import new_certificate
from tests.provider import CLIENT, FakeProvider, served_over_tls
from tests.unit.test_sign_in import PAGE, ROLES, SECRET, SEED, Site, _app


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[FakeProvider]:
    """It speaks TLS; who signed its certificate is in `ca.pem` of the test's folder."""
    provider = FakeProvider()
    async with served_over_tls(provider, new_certificate(tmp_path)):
        yield provider


async def site(provider: FakeProvider, folder: Path, monkeypatch: pytest.MonkeyPatch, ca_file: str) -> Site:
    """A small application with the settings of an environment, `OIDC_CA_FILE` among them where it is not empty."""
    given = {
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT,
        "OIDC_CA_FILE": ca_file and str(folder / ca_file),
    }
    for name, value in given.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    (folder / "roles.yaml").write_text(ROLES, encoding="utf-8")
    directory = Directory(SEED.mailboxes(), SEED.all_domains(), SEED.regions())
    roles = Roles(folder / "roles.yaml", directory)
    sign_in = SignIn(Provider(SignInSettings()), Sessions([SECRET], 3600, time.time), roles)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(_app(sign_in)), base_url="https://city.test")
    return Site(provider, client, sign_in, directory, [])


async def test_staff_sign_in_at_a_provider_whose_authority_is_named_in_oidc_ca_file(
    provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await site(provider, tmp_path, monkeypatch, "ca.pem")
    async with here.client:
        back = await here.sign_in_as(preferred_username="mayor-clerk")
        assert (back.status_code, back.headers["location"]) == (303, "/auth/me")
        assert (await here.who()).json()["subject"] == "mayor-clerk"
        here.client.cookies.clear()
        provider.person |= {"client_id": "yuzhong-system", "preferred_username": None}
        told = await here.who(Authorization=f"Bearer {provider.access_token()}")
        assert told.json()["mailbox"] == "yuzhong"
    assert {path.rpartition("/")[2] for path in provider.asked} == {"openid-configuration", "keys", "token"}


@pytest.mark.parametrize("ca_file", ["", "other/ca.pem"])
async def test_a_provider_whose_authority_nobody_named_signs_nobody_in_and_the_log_says_which_setting_is_missing(
    provider: FakeProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ca_file: str,
) -> None:
    new_certificate(tmp_path / "other")
    here = await site(provider, tmp_path, monkeypatch, ca_file)
    async with here.client:
        with caplog.at_level(logging.WARNING):
            refused = await here.client.get("/auth/login", headers=PAGE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        assert "统一身份认证没有响应" in refused.text
        token = provider.access_token()
        assert (await here.who(Authorization=f"Bearer {token}")).status_code == 503
    assert "set OIDC_CA_FILE" in str([JsonFormatter("routing").format(record) for record in caplog.records])
    assert provider.asked == [], "nothing was said to whoever is there"


@pytest.mark.parametrize("content", ["no certificate", None])
def test_a_file_of_authorities_that_cannot_be_read_stops_the_start_by_its_setting_s_name(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    settings = SignInSettings(oidc_issuer="https://id.city.test", oidc_client_id=CLIENT, oidc_ca_file=file)
    (told,) = [problem for problem in settings.problems() if problem.startswith("OIDC_CA_FILE")]
    assert f"{file} holds no certificates that can be read" in told
