"""Bearer tokens of staff and unit systems: JSON Web Tokens, verified against a key set.

Claims: ``sub``, ``mailbox`` (a code of the directory), ``roles`` (list), ``iss``, ``aud`` = "xinxiang", ``iat``, ``exp``
and optionally ``name``.
Signed with EdDSA (Ed25519) or RS256. Expiry is real time, never the simulated clock. Citizens need no token.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

import jwt
from cachetools import LRUCache
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings

from shared.directory.models import Role
from shared.security.sessions import COOKIES
from shared.web.problems import Problem

__all__ = [
    "Authenticated",
    "Caller",
    "KeySetError",
    "NoKeySet",
    "Role",
    "TokenSettings",
    "TokenVerifier",
    "authenticated",
    "forbidden",
    "is_time",
    "require",
    "says_who",
    "unauthenticated",
    "why_wrong",
]

AUDIENCE = "xinxiang"
ALGORITHMS = ("EdDSA", "RS256")
DEMONSTRATION = "demonstration-"
"""How the ids of keys begin that `shared.security.issue` makes."""
_LEEWAY_SECONDS = 5
_LONGEST_TOKEN = 4096
_REREAD_SECONDS = 1.0
_YEAR_10000 = 253_402_300_800
_WRONG: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired; get a new one",
    jwt.ImmatureSignatureError: "it is not valid yet; check the clock of the issuer",
    jwt.InvalidAudienceError: "its audience (aud) must be {audience}",
    jwt.InvalidIssuerError: "its issuer (iss) must be {issuer}",
    jwt.MissingRequiredClaimError: "the claim {error.claim} is missing",
    jwt.InvalidSignatureError: "its signature is wrong",
}
logger = logging.getLogger(__name__)


class Caller(BaseModel):
    """Who sent a request, as its token says."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    subject: Annotated[str, Field(alias="sub", min_length=1, max_length=100)]
    name: Annotated[str, Field(max_length=100)] = ""
    mailbox: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,79}$")]
    roles: Annotated[frozenset[Role], Field(min_length=1)]

    @property
    def is_duty_officer(self) -> bool:
        """Whether the caller belongs to the duty office, which sees all mailboxes (R1.2)."""
        return Role.DUTY_OFFICER in self.roles


class TokenSettings(BaseSettings):
    """Settings of token verification, from the environment."""

    jwks_file: str = Field(
        default=".local/keys/jwks.json", description="JWKS_FILE: path of the key set, or the key set itself as JSON"
    )
    token_issuer: str = Field(default="xinxiang", description="TOKEN_ISSUER: the `iss` that tokens must carry")


class KeySetError(ValueError):
    """The key set cannot be used; the text says where it was looked for and why."""


class TokenVerifier:
    """Turns tokens into callers. ``jwks`` is a path or inline JSON; a file that changes is read again within a second.

    Verified tokens are remembered (the ``remember`` most recently used), their expiry is still checked at each use.
    Raises :class:`KeySetError` if the key set is unusable at the start; a later bad file is logged, and the keys stay.
    """

    def __init__(
        self,
        jwks: str | Path,
        issuer: str = "xinxiang",
        *,
        demonstrations: bool = True,
        remember: int = 4096,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = str(jwks)
        self._issuer = issuer
        self._demonstrations = demonstrations
        self._now = now
        self._monotonic = monotonic
        self._known: LRUCache[str, tuple[float, Caller]] = LRUCache(remember)
        self._stamp = self._stamp_of_file()
        self._looked_at = monotonic()
        self._keys = read_keys(self._source, demonstrations=demonstrations)

    @classmethod
    def from_settings(cls, settings: TokenSettings, *, demonstrations: bool = True) -> "TokenVerifier":
        """The verifier that ``settings`` describe; ``demonstrations``: whether keys of the built-in token command count."""
        return cls(settings.jwks_file, settings.token_issuer, demonstrations=demonstrations)

    def verify(self, token: str) -> Caller:
        """The caller that ``token`` proves; raises a 401 problem that says what is wrong with it."""
        self._reread_if_changed()
        known = self._known.get(token)
        if known is not None and self._now() < known[0]:
            return known[1]
        claims = self._claims(token)
        try:
            caller = Caller.model_validate(claims)
        except ValidationError as error:
            wrong = ", ".join(sorted({str(item["loc"][0]) for item in error.errors()}))
            allowed = ", ".join(Role)
            raise unauthenticated(f"its claims are not as agreed ({wrong}); roles is a list of: {allowed}") from None
        self._known[token] = (float(claims["exp"]), caller)
        return caller

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > _LONGEST_TOKEN:
            raise unauthenticated(f"it is longer than {_LONGEST_TOKEN} characters")
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key_id = header.get("alg"), header.get("kid")
            if algorithm not in ALGORITHMS:
                raise unauthenticated(f"it must be signed with {' or '.join(ALGORITHMS)}")
            key = self._keys.get(key_id) if key_id is not None else next(iter(self._keys.values()), None)
            if key is None or (key_id is None and len(self._keys) > 1):
                raise unauthenticated("the key that signed it (kid) is not in the key set")
            if key.algorithm_name != algorithm:
                raise unauthenticated("its algorithm does not belong to the key that it names")
            claims = jwt.decode(
                token,
                key=key,
                algorithms=[algorithm],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
            return _with_times(claims)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise unauthenticated(why_wrong(error, AUDIENCE, self._issuer)) from None

    def _stamp_of_file(self) -> tuple[int, int, int] | None:
        if is_inline(self._source):
            return None
        try:
            found = Path(self._source).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _reread_if_changed(self) -> None:
        if self._monotonic() - self._looked_at < _REREAD_SECONDS:
            return
        self._looked_at = self._monotonic()
        stamp = self._stamp_of_file()
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(self._source, demonstrations=self._demonstrations)
        except KeySetError:
            logger.exception("the changed key set cannot be used; the keys before it stay in force")
            return
        self._known.clear()


class NoKeySet:
    """Instead of a verifier where tokens come from the provider alone."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def verify(self, token: str) -> Caller:  # noqa: ARG002 - as a verifier
        """Raise a 401 problem that says whose tokens are taken."""
        raise unauthenticated(f"its issuer (iss) must be {self._issuer}")


def why_wrong(error: Exception, audience: str, issuer: str) -> str:
    """Return what is wrong with a token (it …), of the error that decoding it raised; who may know, knows what it must carry."""
    told = (text for kind, text in _WRONG.items() if isinstance(error, kind))
    return next(told, "it cannot be read as a JSON Web Token").format(error=error, audience=audience, issuer=issuer)


def is_time(claim: object) -> bool:
    """Whether a claim is a time as RFC 7519 writes it: a JSON number of seconds since 1970, before the year 10000.

    Texts, NaN, infinite numbers and those beyond any calendar are none; libraries take some of them, or fail on them.
    """
    return isinstance(claim, int | float) and not isinstance(claim, bool) and 0 <= claim < _YEAR_10000


def _with_times(claims: dict[str, Any]) -> dict[str, Any]:
    for name in ("exp", "iat", "nbf"):
        if name in claims and not is_time(claims[name]):
            raise unauthenticated(f"{name} is no number of seconds since 1970")
    return claims


def is_inline(source: str) -> bool:
    """Whether a key set is given itself, rather than where it is."""
    return source.lstrip().startswith("{")


def is_for_demonstrations(jwk: Mapping[str, Any]) -> bool:
    """Whether a public key is of the built-in token command: whoever can run that can be anybody, so production takes none of these."""
    return str(jwk.get("kid", "")).startswith(DEMONSTRATION)


def read_keys(source: str, *, demonstrations: bool = True) -> dict[str, jwt.PyJWK]:
    """Return the keys of a key set, a path or inline JSON, by their ids.

    Raises:
        KeySetError: it cannot be used; or has a key for demonstrations, where these are not taken.
    """
    where = "the key set given inline in JWKS_FILE" if is_inline(source) else f"the key set {source} (JWKS_FILE)"
    try:
        text = source if is_inline(source) else Path(source).read_text("utf-8")
        described = json.loads(text)["keys"]
        keys = {}
        for number, item in enumerate(described):
            if item.get("use", "sig") != "sig":
                continue
            if not demonstrations and is_for_demonstrations(item):
                raise KeySetError(
                    f"{where}: key {number} is of the token command for demonstrations, and PROFILE is production"
                )
            key = jwt.PyJWK(item)
            if key.algorithm_name not in ALGORITHMS or hasattr(key.key, "private_bytes"):
                raise KeySetError(f"{where}: key {number} must be a public key for {' or '.join(ALGORITHMS)}")
            if isinstance(key.key, RSAPublicKey) and key.key.key_size < 2048:
                raise KeySetError(f"{where}: RSA key {number} has {key.key.key_size} bits; at least 2048 are needed")
            keys[key.key_id or f"key-{number}"] = key
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise KeySetError(
            f"{where} cannot be read: {reason}. `python -m shared.security.issue` makes one for demonstrations."
        ) from None
    except (KeyError, TypeError, AttributeError, ValueError, jwt.PyJWTError) as error:
        if isinstance(error, KeySetError):
            raise
        raise KeySetError(
            f'{where} is not a JWKS: expected {{"keys": [...]}} with Ed25519 or RSA public keys'
        ) from None
    if not keys:
        raise KeySetError(f"{where} has no signing key")
    return keys


def unauthenticated(reason: str) -> Problem:
    """Return the 401 problem of a token that is not good, and why."""
    return Problem(
        401,
        "身份凭证无效 / The token is not valid",
        f"The bearer token was refused: {reason}.",
        slug="invalid-token",
        headers={"WWW-Authenticate": 'Bearer realm="xinxiang", error="invalid_token"'},
    )


class Known(Protocol):
    """Who is known by more than the key set: staff who signed in at the provider, and holders of its tokens (`shared.security.sign_in`)."""

    def issued(self, token: str) -> bool:
        """Whether a bearer token says that it is the provider's."""

    async def bearer(self, token: str, request: Request) -> Caller:
        """Return whom a token of the provider proves; raises a 401 or 403 problem."""

    def signed_in(self, request: Request) -> Caller | None:
        """Return who is signed in at this browser; raises a 403 problem where they may not send this."""

    def wanted(self, request: Request) -> Exception | None:
        """What to raise instead of the 401, where a browser can be sent to sign in."""


class _BearerToken(HTTPBearer):
    """The FastAPI dependency behind ``authenticated``; being an HTTPBearer, it also puts "Authorize" on ``/docs``."""

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]
        """The caller: who the token proves, without one who is signed in at this browser. Raises a 401 problem.

        ``app.state.verifier`` is the :class:`TokenVerifier`; ``app.state.sign_in`` a :class:`Known`, where there is a provider.
        """
        sign_in: Known | None = getattr(request.app.state, "sign_in", None)
        sent = request.headers.get("authorization")
        if sent is None and sign_in is not None:
            caller = sign_in.signed_in(request)
            if caller is not None:
                return caller
            instead = sign_in.wanted(request)
            if instead is not None:
                raise instead
        scheme, _, token = (sent or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Problem(
                401,
                "需要登录 / Authentication required",
                "Send the header 'Authorization: Bearer <token>'"
                + (", or sign in at /auth/login." if sign_in is not None else "."),
                slug="unauthenticated",
                headers={"WWW-Authenticate": 'Bearer realm="xinxiang"'},
            )
        if sign_in is not None and sign_in.issued(token):
            return await sign_in.bearer(token, request)
        verifier: TokenVerifier | NoKeySet = request.app.state.verifier
        return verifier.verify(token)

    async def if_any(self, request: Request) -> Caller | None:
        """The caller, or None where nobody says who they are: for what anybody may see, and somebody more of."""
        if "authorization" in request.headers:
            return await self(request)
        sign_in: Known | None = getattr(request.app.state, "sign_in", None)
        try:
            return sign_in.signed_in(request) if sign_in is not None else None
        except Problem:
            return None  # whoever has no part here any more may still see what anybody may


def says_who(request: Request) -> bool:
    """Whether a request says who sends it, so that no cache on the way may keep the answer."""
    return "authorization" in request.headers or any(name in request.cookies for name in COOKIES)


authenticated = _BearerToken(
    description="A JSON Web Token; `python -m shared.security.issue` makes one for demonstrations."
)
Authenticated = Annotated[Caller, Depends(authenticated)]
"""As a parameter's type: the endpoint needs a valid token and gets the caller."""


def require(caller: Caller, *, roles: Collection[Role] = (), mailbox: str | Collection[str] | None = None) -> None:
    """Raise a 403 problem unless ``caller`` has one of ``roles`` and belongs to ``mailbox`` (or one of several).

    The duty office passes for every mailbox (R1.2, R10.2), but needs the role like everybody else.
    """
    if roles and caller.roles.isdisjoint(roles):
        needed = " or ".join(sorted(roles))
        raise forbidden(f"This needs the role {needed}; the token has: {', '.join(sorted(caller.roles))}.", None)
    if mailbox is None or caller.is_duty_officer:
        return
    if caller.mailbox not in ((mailbox,) if isinstance(mailbox, str) else mailbox):
        raise forbidden(
            f"This belongs to another mailbox than {caller.mailbox}, the one in the token. A unit sees its own letters and those "
            "handed to it; the duty office sees all.",
            "R10.2",
        )


def forbidden(detail: str, rule: str | None) -> Problem:
    """Return the 403 problem of somebody who is known and may not."""
    return Problem(403, "没有权限 / Not allowed", detail, slug="forbidden", rule=rule)
