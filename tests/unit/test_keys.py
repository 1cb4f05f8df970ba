"""Keys and secrets are rotated without anybody being thrown out, and production takes nothing that is for demonstrations."""

import json
from itertools import pairwise
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import Response

from services.settings import WrongSettings, load_settings
from shared.security import issue, keys
from shared.security.forms import Forms
from shared.security.sessions import Sessions
from shared.security.tokens import KeySetError, TokenVerifier
from shared.web.problems import Problem

GOOD = {
    "PROFILE": "production",
    "RECEIPT_SECRET": "r" * 40,
    "SESSION_SECRETS": "s" * 40,
    "OIDC_ISSUER": "https://id.city.example/realms/city",
    "OIDC_CLIENT_ID": "mailboxes",
    "ROLES_FILE": "/etc/xinxiang/roles.yaml",
    "DIRECTORY_FILE": "/etc/xinxiang/directory.yaml",
    "SITE_URL": "https://mail.city.example",
    "LETTER_URL": "https://mail.city.example/routing/letters/{letter_id}",
    "PORTAL_LIMIT": "60/3600",
    "TRUSTED_PROXIES": "1",
    "KAFKA_SECURITY_PROTOCOL": "SSL",
    "MONGO_URL": "mongodb://mailboxes:secret@store.city.example/?tls=true",
    "JWKS_FILE": "/etc/xinxiang/none.json",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refused() -> str:
    with pytest.raises(WrongSettings) as caught:
        load_settings(serving=True)
    return str(caught.value)


def provider_jwk(kid: str) -> dict[str, str]:
    key: dict[str, str] = jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True)
    return {**key, "kid": kid, "alg": "EdDSA"}


def key_set(file: Path, *kids: str) -> Path:
    file.write_text(json.dumps({"keys": [provider_jwk(kid) for kid in kids]}), encoding="utf-8")
    return file


# ── production ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_that_are_for_production_are_taken(production: pytest.MonkeyPatch) -> None:
    assert load_settings(serving=True).profile == "production"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECEIPT_SECRET", None),
        ("RECEIPT_SECRET", "a" * 20),
        ("CLOCK_FILE", "clock.json"),
        ("OIDC_ISSUER", "http://id.city.example"),
        ("OIDC_ISSUER", None),
        ("OIDC_CLIENT_ID", None),
        ("OIDC_AUDIENCE", "mailboxes"),
        ("SESSION_SECRETS", None),
        ("SESSION_SECRETS", "short"),
        ("ROLES_FILE", None),
        ("DIRECTORY_FILE", None),
        ("SITE_URL", "http://mail.city.example"),
        ("LETTER_URL", None),
        ("PORTAL_LIMIT", None),
        ("TRUSTED_PROXIES", None),
        ("KAFKA_SECURITY_PROTOCOL", None),
        ("MONGO_URL", None),
    ],
)
def test_each_setting_that_is_for_demonstrations_is_refused_by_name(
    production: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    if value is None:
        production.delenv(name)
    else:
        production.setenv(name, value)
    lines = refused().splitlines()[1:]
    assert [line.strip().split(":")[0] for line in lines] == [name]


def test_all_that_is_for_demonstrations_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE", "production")
    monkeypatch.setenv("CLOCK_FILE", "clock.json")
    monkeypatch.setenv("PORT", "99999999")
    assert "PORT" in refused()
    monkeypatch.delenv("PORT")
    monkeypatch.setenv("JWKS_FILE", "/nowhere.json")
    told = refused()
    for name in (
        "RECEIPT_SECRET",
        "CLOCK_FILE",
        "OIDC_ISSUER",
        "DIRECTORY_FILE",
        "SITE_URL",
        "LETTER_URL",
        "PORTAL_LIMIT",
    ):
        assert f"\n  {name}: " in told


def test_production_takes_no_key_of_the_token_command(production: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = issue.ensure_keys(tmp_path / "demo")
    production.setenv("JWKS_FILE", str(made))
    assert "JWKS_FILE: " in refused()
    production.setenv("JWKS_FILE", made.read_text())
    assert "JWKS_FILE: the inline key set" in refused()
    elsewhere = tmp_path / "jwks.json"
    elsewhere.write_text(made.read_text())
    with pytest.raises(KeySetError, match="PROFILE is production"):
        TokenVerifier(elsewhere, demonstrations=False)


def test_a_key_set_that_becomes_the_demonstrations_while_running_is_not_taken(tmp_path: Path) -> None:
    file, moment = key_set(tmp_path / "jwks.json", "city"), [0.0]
    verifier = TokenVerifier(file, demonstrations=False, monotonic=lambda: moment[0])
    token = issue.issue_token("zhang", "mayor", ["admin"], keys_dir=tmp_path / "demo")
    file.write_text((tmp_path / "demo" / "jwks.json").read_text())
    moment[0] = 2
    with pytest.raises(Problem, match="401"):
        verifier.verify(token)


def test_the_token_command_does_not_work_in_production(
    production: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        issue.main(["--subject", "a", "--mailbox", "mayor", "--role", "clerk", "--keys-dir", str(tmp_path)])
    assert "PROFILE is production" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert keys.main(["rotate", "signing", "--keys-dir", str(tmp_path)]) == 1


# ── rotation ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def browser(**cookies: str) -> Request:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = [(b"host", b"city.test"), (b"cookie", header.encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "scheme": "http"}
    return Request({**scope, "server": ("city.test", 80)})


def cookies_of(response: Response) -> dict[str, str]:
    return dict(line.split(";")[0].split("=", 1) for line in response.headers.getlist("set-cookie"))


def test_sessions_and_forms_outlive_the_rotation_of_their_secret_at_every_step() -> None:
    """Between two steps some services have the value before and some the one after: each must read what any of them made."""
    steps = ["a" * 40]
    rotation = keys.rotated(steps[0])
    steps += [rotation.announced, rotation.used]
    for before, after in pairwise(steps):
        for maker, reader in ((before, after), (after, before)):
            assert _session_passes(maker, reader)
            assert _form_passes(maker, reader)
    assert _session_passes(rotation.used, rotation.retired)
    assert not _session_passes(steps[0], rotation.retired)
    assert not _form_passes(steps[0], rotation.retired)


def _secrets(value: str) -> list[bytes]:
    return [part.encode() for part in value.split(",")]


def _session_passes(maker: str, reader: str) -> bool:
    made, response = Sessions(_secrets(maker), 3600), Response()
    made.keep(response, browser(), made.new("zhang", "", {}, "mayor"))
    return Sessions(_secrets(reader), 3600).of(browser(**cookies_of(response))) is not None


def _form_passes(maker: str, reader: str) -> bool:
    form = Forms(_secrets(maker), "write", lambda: 1_800_000_000.0).new(browser())
    returned = Forms(_secrets(reader), "write", lambda: 1_800_000_000.0).returned(browser(form=form.cookie), form.token)
    return returned.genuine


def test_a_sealed_cookie_of_one_purpose_is_no_good_for_another() -> None:
    sessions, response = Sessions([b"a" * 40], 3600), Response()
    sessions.keep_hint(response, browser(), "id.token.x", sessions.new("zhang", "", {}, "mayor"))
    (value,) = cookies_of(response).values()
    assert sessions.of(browser(session=value)) is None
    assert sessions.hint(browser(hint=value)) == "id.token.x"


def test_what_the_old_key_signed_stays_good_until_that_is_retired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jwks, moment = issue.ensure_keys(tmp_path), [0.0]
    verifier = TokenVerifier(jwks, monotonic=lambda: moment[0])
    old = issue.issue_token("zhang", "mayor", ["clerk"], keys_dir=tmp_path)
    first = json.loads(jwks.read_text())["keys"][0]["kid"]
    assert keys.main(["rotate", "signing", "--keys-dir", str(tmp_path)]) == 0
    new = issue.issue_token("zhang", "mayor", ["clerk"], keys_dir=tmp_path)
    moment[0] = 2
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    assert verifier.verify(old) == verifier.verify(new)
    monkeypatch.setenv("JWKS_FILE", str(jwks))
    assert keys.main(["retire", first]) == 0
    moment[0] = 4
    with pytest.raises(Problem, match="401"):
        verifier.verify(old)
    assert verifier.verify(new).mailbox == "mayor"


def test_a_provider_s_new_keys_are_added_to_the_key_set_and_old_ones_retired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = key_set(tmp_path / "jwks.json", "2026")
    monkeypatch.setenv("JWKS_FILE", str(file))
    assert keys.main(["retire", "2026"]) == 1
    assert "the only key" in capsys.readouterr().err
    assert keys.main(["add", str(key_set(tmp_path / "new.json", "2027"))]) == 0
    assert keys.main(["add", str(key_set(tmp_path / "forged.json", "2027"))]) == 1, "another key under a known id"
    assert keys.main(["retire", "2026"]) == 0
    assert [key["kid"] for key in json.loads(file.read_text())["keys"]] == ["2027"]
    assert keys.main(["retire", "2026"]) == 1


def test_what_is_in_use_is_listed_without_any_secret(
    production: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    production.setenv("JWKS_FILE", str(issue.ensure_keys(tmp_path)))
    assert keys.main(["list"]) == 0
    told = capsys.readouterr().out
    assert "[DEMONSTRATION]" in told
    assert "s" * 40 not in told
    assert "r" * 40 not in told
    assert keys.fingerprint("s" * 40) in told


def test_the_receipts_secret_never_changes_and_the_command_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["rotate", "receipt"]) == 1
    assert "no citizen's code would find their letter" in capsys.readouterr().err
