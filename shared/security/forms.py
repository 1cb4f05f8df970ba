"""Forms that only the site itself can send: against forged requests (CSRF), without a session on the server.

A form carries a signed text that is bound to a cookie of the browser: another site can neither read the cookie nor make the text
(signed double submit). Browsers also say from which site a request comes (`Sec-Fetch-Site`, older ones `Origin`); one that comes from
elsewhere is refused whatever it carries. The signed text holds the form's own key and when it was first shown: the key makes one
letter of however many times it is sent (R2.2).
"""

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from shared.web.caller import host_asked, is_https

GOOD_FOR: Final = 24 * 3600
"""Seconds for which a form may stay open; as long as its uploads may be named."""
_COOKIE = re.compile(r"[\w-]{24}")
_TOKEN = re.compile(r"([0-9a-f-]{36})\.(\d{10,11})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class Form:
    """One form that a browser holds."""

    key: str
    """A UUID of its own: the Idempotency-Key of what is sent with it."""
    shown_at: int
    """When it was first shown, real seconds since 1970."""
    token: str
    """For its hidden field."""
    cookie: str
    """What the browser must bring along."""
    genuine: bool = True
    """Whether it came back with a token of ours, for this browser, and in time; if not, this is a fresh one."""
    stale: bool = False
    """It was genuine but open for too long; it has the same key again."""


class Forms:
    """Makes and checks forms.

    Args:
        secrets: the first signs, all are known; each at least 16 bytes, the same for all replicas.
        purpose: what the forms are for; those of one purpose are no good for another.
        seconds: real time since 1970.
        always_https: browsers come over HTTPS only, whatever this process sees of it.
    """

    def __init__(
        self,
        secrets: Sequence[bytes],
        purpose: str,
        seconds: Callable[[], float],
        trusted_proxies: int = 0,
        *,
        always_https: bool = False,
    ) -> None:
        self._secrets = tuple(secrets)
        self._purpose = purpose
        self._seconds = seconds
        self._trusted_proxies = trusted_proxies
        self._always_https = always_https

    def over_https(self, request: Request) -> bool:
        """Whether the browser came over HTTPS."""
        return self._always_https or is_https(request, self._trusted_proxies)

    def new(self, request: Request) -> Form:
        """Return a fresh form for the browser that asks."""
        return self._made(self._cookie(request) or token_urlsafe(18), str(uuid4()), int(self._seconds()))

    def renewed(self, form: Form) -> Form:
        """Return the form with another key, for another letter."""
        return self._made(form.cookie, str(uuid4()), form.shown_at)

    def returned(self, request: Request, token: str) -> Form:
        """Return the form that came back; if it is not genuine, or too old, a fresh one that says so."""
        cookie, found = self._cookie(request), _TOKEN.fullmatch(token)
        if cookie is None or found is None:
            return self._refused(request)
        key, shown, signature = found.groups()
        if not any(hmac.compare_digest(signature, one) for one in self._signatures(cookie, key, shown)):
            return self._refused(request)
        if self._seconds() - int(shown) > GOOD_FOR:
            made = self._made(cookie, key, int(self._seconds()))
            return Form(made.key, made.shown_at, made.token, cookie, genuine=False, stale=True)
        return Form(key, int(shown), token, cookie)

    def is_from_elsewhere(self, request: Request) -> bool:
        """Whether the browser says that another site made it send this.

        `Origin: null` says nothing: browsers send it from our own pages too, since these tell nobody where they come from.
        """
        fetched = request.headers.get("sec-fetch-site")
        if fetched is not None:
            return fetched not in {"same-origin", "none"}
        origin = request.headers.get("origin", "null")
        return origin != "null" and origin.lower().partition("://")[2] != host_asked(request, self._trusted_proxies)

    def keep(self, response: Response, request: Request, form: Form) -> Response:
        """Give the browser its cookie, if it has none. It lasts until the browser is closed and says nothing about anybody."""
        if self._cookie(request) != form.cookie:
            response.set_cookie(
                self._cookie_name(request),
                form.cookie,
                path="/",
                secure=self.over_https(request),
                httponly=True,
                samesite="lax",
            )
        return response

    def _made(self, cookie: str, key: str, shown_at: int) -> Form:
        token = f"{key}.{shown_at}.{self._signatures(cookie, key, str(shown_at))[0]}"
        return Form(key, shown_at, token, cookie)

    def _refused(self, request: Request) -> Form:
        fresh = self.new(request)
        return Form(fresh.key, fresh.shown_at, fresh.token, fresh.cookie, genuine=False)

    def _cookie_name(self, request: Request) -> str:
        return "__Host-form" if self.over_https(request) else "form"

    def _cookie(self, request: Request) -> str | None:
        value = request.cookies.get(self._cookie_name(request), "")
        return value if _COOKIE.fullmatch(value) else None

    def _signatures(self, cookie: str, key: str, shown_at: str) -> list[str]:
        signed = f"form\x00{self._purpose}\x00{cookie}\x00{key}\x00{shown_at}"
        return [hmac.digest(secret, signed.encode(), "sha256").hex() for secret in self._secrets]
