"""An identity provider that does wrong on purpose, which a real one cannot be made to: it signs whatever it is told to.

It stands behind the HTTP client, so that no port is needed; `served_over_tls` gives it one. `tests/component/test_sign_in.py` signs in at a
real one, Dex.
"""

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deploy.engines.guard import Certificate
from tests.served import served

ISSUER = "https://id.city.test/realms/city"
CLIENT = "mailboxes"
KEYS = {name: generate_private_key(65537, 2048) for name in ("first", "second", "stranger")}


@dataclass
class FakeProvider(httpx.AsyncBaseTransport):
    """What it has, and how it does wrong."""

    keys: dict[str, RSAPrivateKey] = field(default_factory=lambda: {"first": KEYS["first"]})
    issuer: str = ISSUER
    away: bool = False
    """It does not answer."""
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "4711", "preferred_username": "mayor-clerk", "name": "甲经办"}
    )
    """The claims of who signs in next."""
    change: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that are not as they should be; None: left out."""
    sign_with: str = "first"
    sign_as: str = "first"
    algorithm: str = "RS256"
    document: dict[str, Any] = field(default_factory=dict)
    """What in its discovery document is not as it should be."""
    userinfo: dict[str, Any] | None = None
    asked: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as a provider."""
        self.asked.append(request.url.path)
        if self.away:
            raise httpx.ConnectError("nobody there")
        if request.url.path.endswith("/openid-configuration"):
            return httpx.Response(200, json=self._document())
        if request.url.path.endswith("/keys"):
            return httpx.Response(200, json={"keys": [self._public(kid) for kid in self.keys]})
        if request.url.path.endswith("/userinfo"):
            return httpx.Response(200, json=self.userinfo)
        return self._redeemed({name: values[0] for name, values in parse_qs((await request.aread()).decode()).items()})

    def agreed(self, address: str) -> str:
        """Sign the person in at the address that the browser was sent to; return where the browser is sent back."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = token_urlsafe(16)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def access_token(self, **changes: Any) -> str:
        """A token for the APIs."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": ["xinxiang"], "iat": now, "exp": now + 300, **self.person, **changes}
        return self.signed({name: value for name, value in claims.items() if value is not None})

    def signed(self, claims: dict[str, Any]) -> str:
        """A token as the provider signs now."""
        if self.algorithm == "none":
            return jwt.encode(claims, "", algorithm="none", headers={"kid": self.sign_as})
        if self.algorithm == "HS256":  # the classic confusion: the public key used as a shared secret
            return _by_hand(claims, {"alg": "HS256", "kid": self.sign_as}, json.dumps(self._public("first")).encode())
        return jwt.encode(claims, KEYS[self.sign_with], algorithm=self.algorithm, headers={"kid": self.sign_as})

    def _redeemed(self, form: dict[str, str]) -> httpx.Response:
        asked = self._codes.pop(form["code"], None)  # good once
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        )
        if asked is None or asked["redirect_uri"] != form["redirect_uri"] or asked["code_challenge"] != challenge:
            return httpx.Response(400, json={"error": "invalid_grant"})
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
            **self.person,
        }
        claims = {name: value for name, value in (claims | self.change).items() if value is not None}
        return httpx.Response(
            200, json={"id_token": self.signed(claims), "access_token": "opaque", "token_type": "Bearer"}
        )

    def _document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            "code_challenge_methods_supported": ["S256"],
            **({"userinfo_endpoint": f"{self.issuer}/userinfo"} if self.userinfo is not None else {}),
            **self.document,
        }

    def _public(self, kid: str) -> dict[str, Any]:
        described: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.keys[kid].public_key(), as_dict=True)
        return {**described, "kid": kid, "use": "sig"}


@asynccontextmanager
async def served_over_tls(provider: FakeProvider, certificate: Certificate) -> AsyncIterator[None]:
    """Serve a provider at a port of its own over TLS; its issuer is that address."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked = Request(scope, receive)
        content = await asked.body()
        given = await provider.handle_async_request(httpx.Request(asked.method, str(asked.url), content=content))
        await Response(given.content, given.status_code, media_type="application/json")(scope, receive, send)

    key = str(certificate.key_file)
    config = uvicorn.Config(
        answer, port=0, lifespan="off", log_config=None, ssl_certfile=certificate.file, ssl_keyfile=key
    )
    async with served(config) as port:
        provider.issuer = f"https://127.0.0.1:{port}/realms/city"
        yield


def _by_hand(claims: dict[str, Any], header: dict[str, Any], secret: bytes) -> str:
    import hmac  # noqa: PLC0415 - for this forgery alone

    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    mac = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()
