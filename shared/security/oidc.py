"""The city's identity provider, by OpenID Connect: found by discovery, signed in at by authorization code with PKCE, trusted by its keys.

Any provider that keeps to the standard will do. Its metadata and keys are fetched when they are first needed and kept; while it is away
what was fetched stays good for a day, and whoever is signed in goes on (their session needs no provider).
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import httpx
import jwt
from authlib.common.urls import add_params_to_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from cachetools import LRUCache
from joserfc.errors import JoseError
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.security.sessions import Beginning
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import is_time, why_wrong
from shared.web.problems import Problem

ALGORITHMS: Final = {"EdDSA": "OKP", "ES256": "EC", "PS256": "RSA", "RS256": "RSA"}
"""What may sign a token → the kind of key that does. Nothing symmetric, and never none."""
LEEWAY_SECONDS: Final = 5
FRESH_SECONDS: Final = 3600.0
"""For so long metadata and keys are not asked for again; then a key that the provider has withdrawn is forgotten."""
STALE_SECONDS: Final = 24 * 3600.0
"""For so long they stay good while the provider is away."""
AGAIN_SECONDS: Final = 10.0
"""Keys are asked for at most so often, whatever unknown keys tokens name."""
TIMEOUT_SECONDS: Final = 5.0
LONGEST_ANSWER: Final = 1_000_000
LONGEST_TOKEN: Final = 8192
log = logging.getLogger(__name__)


class ProviderAway(Problem):
    """503: the provider does not answer, or not as the standard says."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "统一身份认证暂时不可用 / The identity provider is away",
            "暂时无法登录。已经登录的工作人员不受影响，可以继续办理。请过几分钟再试；仍然不行，请告知系统管理员：统一身份认证没有响应。 / "
            "Nobody can sign in at the moment; whoever is signed in goes on working. Try again in a few minutes; if it lasts, tell your "
            "administrator that the identity provider does not answer.",
            slug="sign-in-provider-away",
            headers={"Retry-After": "30"},
        )


class Refused(Exception):
    """A token or an answer of the provider is not good; the text says why, for the log and for programs."""


class Metadata(BaseModel):
    """What of the provider's discovery document is used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    code_challenge_methods_supported: list[str] | None = None
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]


class Provider:
    """The provider that the settings name.

    Args:
        settings: with an issuer.
        now: real seconds since 1970, by which tokens expire.
        monotonic: by which what was fetched ages.
        transport: for tests.
    """

    def __init__(
        self,
        settings: SignInSettings,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.issuer = settings.oidc_issuer
        self._settings = settings
        self._now = now
        self._monotonic = monotonic
        self._transport = transport
        self._trust = ssl.create_default_context(cafile=settings.oidc_ca_file and str(settings.oidc_ca_file))
        self._metadata: Metadata | None = None
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -STALE_SECONDS
        self._lock = asyncio.Lock()
        self._verified: LRUCache[str, Mapping[str, Any]] = LRUCache(4096)

    # ── signing in ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def address(self, begun: Beginning, *, again: bool) -> str:
        """Return where the browser is sent to sign in; `again`: whoever is signed in there must show it anew, or be another.

        Raises:
            ProviderAway: 503.
        """
        parameters = [
            ("response_type", "code"),
            ("client_id", self._settings.oidc_client_id),
            ("redirect_uri", begun.redirect_uri),
            ("scope", self._settings.oidc_scopes),
            ("state", begun.state),
            ("nonce", begun.nonce),
            ("code_challenge", create_s256_code_challenge(begun.verifier)),
            ("code_challenge_method", "S256"),
            *([("prompt", "login")] if again else []),
        ]
        return str(add_params_to_uri((await self._known()).authorization_endpoint, parameters))

    async def redeem(self, begun: Beginning, code: str) -> tuple[dict[str, Any], str]:
        """Give the code back for who it is; return all claims and the ID token.

        Raises:
            Refused: the provider did not take the code, or its tokens are not good.
            ProviderAway: 503.
        """
        metadata = await self._known()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect_uri,
            "code_verifier": begun.verifier,
            "client_id": self._settings.oidc_client_id,
        }
        secret = self._settings.oidc_client_secret.get_secret_value()
        auth = None
        if secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            auth = httpx.BasicAuth(quote_plus(self._settings.oidc_client_id), quote_plus(secret))  # RFC 6749, 2.3.1
        elif secret:
            form["client_secret"] = secret
        answer = await self._asked("POST", metadata.token_endpoint, data=form, auth=auth, may_refuse=True)
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str):
            raise Refused(
                f"the provider gave no ID token for the code ({str(answer.get('error', 'no error named'))[:60]})"
            )
        claims = await self._id_claims(id_token, begun.nonce, access_token if isinstance(access_token, str) else None)
        if metadata.userinfo_endpoint and isinstance(access_token, str):
            headers = {"Authorization": f"Bearer {access_token}"}
            more = await self._asked("GET", metadata.userinfo_endpoint, headers=headers)
            if more.get("sub") != claims["sub"]:
                raise Refused("the provider's userinfo is about somebody else than its ID token")
            claims = {**more, **claims}
        return claims, id_token

    async def _id_claims(self, token: str, nonce: str, access_token: str | None) -> dict[str, Any]:
        claims = await self._claims(token, self._settings.oidc_client_id)
        checked = CodeIDToken(
            claims,
            jwt.get_unverified_header(token),
            {},
            {"nonce": nonce, "client_id": self._settings.oidc_client_id, "access_token": access_token},
        )
        try:
            checked.validate(now=int(self._now()), leeway=LEEWAY_SECONDS)
        except JoseError as error:
            raise Refused(f"the ID token is not for this sign-in: {str(error)[:100]}") from None
        return claims

    async def leaving(self, id_token: str | None, back_to: str) -> str | None:
        """Return where the browser signs out at the provider, too (RP-initiated logout); None: the provider knows no such place.

        Raises:
            ProviderAway: 503.
        """
        endpoint = (await self._known()).end_session_endpoint
        if endpoint is None:
            return None
        parameters = [("client_id", self._settings.oidc_client_id), ("post_logout_redirect_uri", back_to)]
        if id_token is not None:
            parameters.insert(0, ("id_token_hint", id_token))
        return str(add_params_to_uri(endpoint, parameters))

    async def signs_out(self) -> bool:
        """Whether the provider knows where to sign out."""
        return (await self._known()).end_session_endpoint is not None

    # ── tokens for the APIs ──────────────────────────────────────────────────────────────────────────────────────────

    async def access_claims(self, token: str) -> Mapping[str, Any]:
        """Return what an access token says; tokens are remembered until they expire or the keys change.

        Raises:
            Refused: it is not good.
            ProviderAway: 503, its key is not known and cannot be asked for.
        """
        await self._keys_fresh()
        known = self._verified.get(token)
        if known is not None and self._now() < known["exp"]:
            return known
        claims = await self._claims(token, self._settings.oidc_audience)
        if "nonce" in claims:
            raise Refused("it is an ID token, which is for signing in only; send the access token")
        self._verified[token] = claims
        return claims

    async def _claims(self, token: str, audience: str) -> dict[str, Any]:
        if len(token) > LONGEST_TOKEN:
            raise Refused(f"it is longer than {LONGEST_TOKEN} characters")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise Refused(f"it must be signed with {', '.join(ALGORITHMS)}")
            key = await self._key(header.get("kid"))
            if key.key_type != ALGORITHMS[algorithm] or key._jwk_data.get("alg", algorithm) != algorithm:  # noqa: SLF001 - PyJWK guesses where alg is missing
                raise Refused("its algorithm does not belong to the key that it names")
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key.key,
                algorithms=[algorithm],
                audience=audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECONDS,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            now = self._now()
            for name in ("exp", "iat", "nbf"):
                if name in claims and not is_time(claims[name]):
                    raise Refused(f"{name} is no number of seconds since 1970")
            if now >= claims["exp"] + LEEWAY_SECONDS:
                raise jwt.ExpiredSignatureError
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Refused(why_wrong(error, audience, self.issuer)) from None
        if max(claims["iat"], claims.get("nbf", 0)) > now + LEEWAY_SECONDS:
            raise Refused("it is not valid yet; compare the clocks of the provider and of this system")
        return claims

    # ── what the provider tells of itself ────────────────────────────────────────────────────────────────────────────

    async def _key(self, key_id: Any) -> jwt.PyJWK:
        await self._keys_fresh()
        found = self._find(key_id)
        if found is None and self._monotonic() - self._tried_at >= AGAIN_SECONDS:
            await self._fetch()
            found = self._find(key_id)
        if found is None:
            raise Refused("the key that signed it (kid) is not among the provider's")
        return found

    def _find(self, key_id: Any) -> jwt.PyJWK | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id) if isinstance(key_id, str) else None

    async def _known(self) -> Metadata:
        await self._keys_fresh()
        assert self._metadata is not None
        return self._metadata

    async def _keys_fresh(self) -> None:
        """Have metadata and keys: fetched within the hour, or within the day while the provider is away."""
        age = self._monotonic() - self._fetched_at
        if age < FRESH_SECONDS:
            return
        if self._monotonic() - self._tried_at >= AGAIN_SECONDS:
            await self._fetch()
            age = self._monotonic() - self._fetched_at
        if age >= STALE_SECONDS or self._metadata is None:
            raise ProviderAway

    async def _fetch(self) -> None:
        """Ask for metadata and keys; where that fails, what there is stays, and the log says why."""
        seen = self._tried_at
        async with self._lock:
            if self._tried_at != seen:  # somebody else has just asked
                return
            try:
                metadata = self._checked(
                    await self._asked("GET", self.issuer.rstrip("/") + "/.well-known/openid-configuration")
                )
                keys = _signing_keys(await self._asked("GET", metadata.jwks_uri))
            except (ProviderAway, Refused) as error:
                log.warning("the identity provider could not be asked", extra={"reason_code": str(error)})
                return
            finally:
                self._tried_at = self._monotonic()
            if _described(keys) != _described(self._keys):
                self._verified.clear()
            self._metadata, self._keys, self._fetched_at = metadata, keys, self._tried_at

    def _checked(self, document: Mapping[str, Any]) -> Metadata:
        try:
            metadata = Metadata.model_validate(document)
        except ValidationError as error:
            names = ", ".join(sorted({str(item["loc"][0]) for item in error.errors()}))
            raise Refused(f"its discovery document is not as the standard says: {names}") from None
        if metadata.issuer != self.issuer:
            raise Refused(
                f"its discovery document names another issuer, {metadata.issuer[:200]}: set OIDC_ISSUER to that"
            )
        if (
            metadata.code_challenge_methods_supported is not None
            and "S256" not in metadata.code_challenge_methods_supported
        ):
            raise Refused("it does not do PKCE with S256")
        secure = self.issuer.startswith("https://")
        for address in (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.jwks_uri,
            metadata.userinfo_endpoint,
            metadata.end_session_endpoint,
        ):
            if address is not None and urlsplit(address).scheme not in (("https",) if secure else ("http", "https")):
                raise Refused("its discovery document names an address that is not https")
        return metadata

    async def _asked(
        self,
        method: str,
        address: str,
        *,
        headers: Mapping[str, str] | None = None,
        may_refuse: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        """Ask the provider; return the JSON object that it answers. `may_refuse`: also what it says with 4xx."""
        try:
            async with (
                httpx.AsyncClient(
                    timeout=TIMEOUT_SECONDS, verify=self._trust, trust_env=False, transport=self._transport
                ) as client,
                client.stream(
                    method, address, headers={"Accept": "application/json", **(headers or {})}, **more
                ) as answer,
            ):
                content = b""
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > LONGEST_ANSWER:
                        raise Refused("the identity provider's answer is too long")
            if answer.status_code != 200 and not (may_refuse and 400 <= answer.status_code < 500):
                log.warning("the identity provider answers with an error", extra={"status": answer.status_code})
                raise ProviderAway
            found = httpx.Response(200, content=content).json()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            reason = "its certificate is of no authority known here: set OIDC_CA_FILE" if untrusted else ""
            log.warning("the identity provider does not answer", extra={"reason_code": reason or type(error).__name__})
            raise ProviderAway from None
        except ValueError:
            raise Refused("the identity provider's answer is not JSON") from None
        if not isinstance(found, dict):
            raise Refused("the identity provider's answer is not a JSON object")
        return found


def _described(keys: Mapping[str, jwt.PyJWK]) -> dict[str, Any]:
    return {name: key._jwk_data for name, key in keys.items()}  # noqa: SLF001 - PyJWK has no comparison


def _signing_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the keys that may sign tokens; others, and those of kinds that are not known here, are left out."""
    keys: dict[str, jwt.PyJWK] = {}
    described = document.get("keys")
    for number, item in enumerate(described if isinstance(described, list) else []):
        if not isinstance(item, dict) or item.get("use", "sig") != "sig" or item.get("kty") not in ALGORITHMS.values():
            continue
        try:
            key = jwt.PyJWK(item)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if item["kty"] == "RSA" and key.key.key_size < 2048:
            log.warning("the identity provider has an RSA key of fewer than 2048 bits; it is left out")
            continue
        keys[str(item.get("kid") or f"key-{number}")] = key
    if not keys:
        raise Refused("the identity provider has no key that could sign tokens")
    return keys
