"""Sessions of staff in the browser, kept by the browser alone: encrypted, authenticated cookies that any service of the city can read.

Encryption is `cryptography`'s Fernet (AES-128-CBC with HMAC-SHA-256); keys follow from `SESSION_SECRETS` by HKDF, others for each purpose,
so that what was made for one is no good for another. The first secret makes, all of them read: that is how they are rotated.
"""

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.requests import Request
from starlette.responses import Response

from shared.directory import Role
from shared.web.caller import host_asked, is_https
from shared.web.problems import Problem

SIGN_IN_SECONDS: Final = 600
"""How long somebody may take to sign in at the provider."""
COOKIES: Final = ("__Host-session", "session")
"""What a session's cookie is called over HTTPS, and without it."""
_LONGEST_COOKIE: Final = 3900
"""What browsers keep is 4096 bytes with the name and attributes."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in."""

    subject: str
    name: str
    by_claims: dict[str, frozenset[Role]]
    """Mailbox → roles that the provider's claims gave; what the directory's staff lists give is asked at each request."""
    mailbox: str
    """The one of theirs that they act for now."""
    expires_at: int
    """Real seconds since 1970."""
    csrf: str
    """What a writing request must bring along in `X-CSRF-Token`; another site cannot know it."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A sign-in that has begun and not yet come back from the provider."""

    state: str
    nonce: str
    verifier: str
    """PKCE's, RFC 7636."""
    redirect_uri: str
    return_to: str


class Sessions:
    """Makes and reads the cookies.

    Args:
        secrets: the first makes, all read; each at least 32 bytes.
        seconds: how long a session lives.
        now: real time since 1970.
        always_https: browsers come over HTTPS only, whatever this process sees of it.
    """

    def __init__(
        self,
        secrets: Sequence[bytes],
        seconds: float,
        now: Callable[[], float] = time.time,
        trusted_proxies: int = 0,
        *,
        always_https: bool = False,
    ) -> None:
        self._boxes = {purpose: _box(secrets, purpose) for purpose in ("session", "signin", "hint")}
        self._life = round(seconds)
        self._now = now
        self._trusted_proxies = trusted_proxies
        self._always_https = always_https

    def over_https(self, request: Request) -> bool:
        """Whether the browser came over HTTPS."""
        return self._always_https or is_https(request, self._trusted_proxies)

    def origin(self, request: Request) -> str:
        """Return the address of this site as the browser asked for it, such as ``https://mail.example.gov.cn``."""
        return f"{'https' if self.over_https(request) else 'http'}://{host_asked(request, self._trusted_proxies)}"

    def is_from_elsewhere(self, request: Request) -> bool:
        """Whether the browser says that another site made it send this; ``Origin: null`` says nothing."""
        fetched = request.headers.get("sec-fetch-site")
        if fetched is not None:
            return fetched not in {"same-origin", "none"}
        origin = request.headers.get("origin", "null")
        return origin != "null" and origin.lower().partition("://")[2] != host_asked(request, self._trusted_proxies)

    # ── somebody who is signed in ────────────────────────────────────────────────────────────────────────────────────

    def new(self, subject: str, name: str, by_claims: dict[str, frozenset[Role]], mailbox: str) -> Session:
        """Return a fresh session."""
        return Session(subject, name, by_claims, mailbox, int(self._now()) + self._life, token_urlsafe(18))

    def keep(self, response: Response, request: Request, session: Session) -> None:
        """Give the browser its session until it expires."""
        content = {
            "sub": session.subject,
            "name": session.name,
            "claims": {mailbox: sorted(roles) for mailbox, roles in session.by_claims.items()},
            "mailbox": session.mailbox,
            "csrf": session.csrf,
        }
        sealed = self._sealed("session", content, session.expires_at)
        if len(sealed) > _LONGEST_COOKIE:
            raise Problem(
                403,
                "信箱过多 / Too many mailboxes",
                f"统一身份认证给了您 {len(session.by_claims)} 个信箱的权限，超出浏览器能保存的数量。请联系系统管理员减少所属的组。 / "
                f"Your groups give you {len(session.by_claims)} mailboxes, more than a browser keeps. Ask for fewer groups.",
                slug="sign-in-too-many-mailboxes",
            )
        self._set(response, request, "session", sealed, max(0, session.expires_at - int(self._now())))

    def of(self, request: Request) -> Session | None:
        """Return who is signed in at this browser; None: nobody, or no longer."""
        content = self._opened("session", request.cookies.get(self._name(request, "session"), ""))
        if content is None:
            return None
        by_claims = {mailbox: frozenset(map(Role, roles)) for mailbox, roles in content["claims"].items()}
        return Session(
            content["sub"], content["name"], by_claims, content["mailbox"], content["until"], content["csrf"]
        )

    def end(self, response: Response, request: Request) -> None:
        """Let the browser forget its session."""
        for what in ("session", "hint"):
            self._set(response, request, what, "", 0)

    # ── what the provider is told at signing out ─────────────────────────────────────────────────────────────────────

    def keep_hint(self, response: Response, request: Request, id_token: str, session: Session) -> None:
        """Keep the ID token for signing out at the provider; one that is too long for a cookie is left out."""
        sealed = self._sealed("hint", {"id_token": id_token}, session.expires_at)
        if len(sealed) <= _LONGEST_COOKIE:
            self._set(response, request, "hint", sealed, self._life)

    def hint(self, request: Request) -> str | None:
        """Return the ID token that the browser signed in with."""
        content = self._opened("hint", request.cookies.get(self._name(request, "hint"), ""))
        return None if content is None else content["id_token"]

    # ── a sign-in on its way ─────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, response: Response, request: Request, begun: Beginning) -> None:
        """Remember a sign-in until it comes back; each has its own cookie, so that two windows do not disturb each other."""
        content = {
            "state": begun.state,
            "nonce": begun.nonce,
            "verifier": begun.verifier,
            "redirect_uri": begun.redirect_uri,
            "return_to": begun.return_to,
        }
        sealed = self._sealed("signin", content, int(self._now()) + SIGN_IN_SECONDS)
        self._set(response, request, _signin(begun.state), sealed, SIGN_IN_SECONDS)

    def begun(self, request: Request, state: str) -> Beginning | None:
        """Return the sign-in that this browser began with this `state`; None: it did not, or too long ago."""
        content = self._opened("signin", request.cookies.get(self._name(request, _signin(state)), ""))
        if content is None or content["state"] != state:
            return None
        return Beginning(state, content["nonce"], content["verifier"], content["redirect_uri"], content["return_to"])

    def done(self, response: Response, request: Request, state: str) -> None:
        """Let the browser forget a sign-in that came back, so that it cannot come back again."""
        self._set(response, request, _signin(state), "", 0)

    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _name(self, request: Request, what: str) -> str:
        """`__Host-`: only this very host can have set it, over HTTPS, for all of its paths."""
        return f"__Host-{what}" if self.over_https(request) else what

    def _set(self, response: Response, request: Request, what: str, value: str, seconds: int) -> None:
        response.set_cookie(
            self._name(request, what),
            value,
            max_age=seconds,
            path="/",
            secure=self.over_https(request),
            httponly=True,
            samesite="lax",  # the way back from the provider is a link from another site, which "strict" would leave without cookies
        )

    def _sealed(self, purpose: str, content: dict[str, Any], until: int) -> str:
        return self._boxes[purpose].encrypt(json.dumps({**content, "until": until}).encode()).decode()

    def _opened(self, purpose: str, text: str) -> dict[str, Any] | None:
        if not text or len(text) > _LONGEST_COOKIE:
            return None
        try:
            content: dict[str, Any] = json.loads(self._boxes[purpose].decrypt(text.encode()))
        except (InvalidToken, ValueError):
            return None
        return content if self._now() < content["until"] else None


def _signin(state: str) -> str:
    return f"signin-{state[:8]}"


def _box(secrets: Sequence[bytes], purpose: str) -> MultiFernet:
    def key(secret: bytes) -> Fernet:
        derived = HKDF(hashes.SHA256(), 32, salt=None, info=f"xinxiang {purpose}".encode()).derive(secret)
        return Fernet(base64.urlsafe_b64encode(derived))

    return MultiFernet([key(secret) for secret in secrets])
