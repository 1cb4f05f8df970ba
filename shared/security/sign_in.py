"""Who signed in at the city's identity provider: in a browser, by a session; in a program, by the provider's access tokens.

`Known` of `shared.security.tokens` is what endpoints see of it. The ways in and out are in `shared.security.routes_sign_in`.
"""

import binascii
import json
import logging
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from typing import Final
from urllib.parse import quote

from starlette.requests import Request

from shared.directory import Role
from shared.security.claims import Known, NotKnown, Post, Roles
from shared.security.oidc import Provider, Refused
from shared.security.sessions import Session, Sessions
from shared.security.tokens import Caller, unauthenticated
from shared.web.problems import Problem

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER: Final = "x-csrf-token"
MAILBOX_HEADER: Final = "xinxiang-mailbox"
log = logging.getLogger(__name__)


class SignInFirst(Exception):
    """A browser asked for a page that needs somebody who is signed in: send it to `address`, from where it comes back."""

    def __init__(self, address: str) -> None:
        super().__init__("sign in first")
        self.address = address


class Forged(Problem):
    """403: a request that writes, with a session and without what only our own pages can send along."""

    def __init__(self, why: str) -> None:
        super().__init__(
            403,
            "没能确认请求来自本站 / The request is not known to come from this site",
            f"请从本站页面重新操作。 / {why} A program in the browser sends X-CSRF-Token: the csrf_token of GET /auth/me.",
            slug="sign-in-forged",
        )


class SignIn:
    """Puts together what the provider says, the session, and who that is here."""

    def __init__(self, provider: Provider, sessions: Sessions, roles: Roles) -> None:
        self.provider = provider
        self.sessions = sessions
        self.roles = roles

    # ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def issued(self, token: str) -> bool:
        """Whether a bearer token says that it is the provider's; nothing of it is believed yet."""
        try:
            content = token.split(".")[1]
            claims = json.loads(urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        except (IndexError, ValueError, binascii.Error, RecursionError):
            return False
        return isinstance(claims, dict) and claims.get("iss") == self.provider.issuer

    async def bearer(self, token: str, request: Request) -> Caller:
        """Return whom an access token of the provider proves.

        Raises:
            Problem: 401, the token is not good; 403, nobody here, or not at the mailbox that is asked for; 503, the provider is away.
        """
        try:
            claims = await self.provider.access_claims(token)
        except Refused as error:
            raise unauthenticated(str(error)) from None
        known = self.roles.known(claims)
        together = merged(known.posts)
        wanted = request.headers.get(MAILBOX_HEADER)
        if wanted is None and len(together) > 1:
            raise Problem(
                403,
                "请指明信箱 / Say which mailbox",
                f"You have roles at several mailboxes. Name yours in the header Xinxiang-Mailbox: {', '.join(together)}.",
                slug="which-mailbox",
                rule="R10.2",
            )
        mailbox = next(iter(together)) if wanted is None else wanted
        return _caller(known.subject, known.name, mailbox, together)

    # ── browsers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def signed_in(self, request: Request) -> Caller | None:
        """Return who is signed in at this browser, with the roles that they have now.

        Raises:
            Problem: 403, the request writes and may be forged, or they have no part here any more.
        """
        session = self.sessions.of(request)
        if session is None:
            return None
        if request.method not in SAFE:
            self.check_ours(request, session, request.headers.get(CSRF_HEADER, ""))
        return self.caller(session)

    def caller(self, session: Session) -> Caller:
        """Return who that is at the mailbox of the session; staff lists are asked anew, so that who was taken off is out at once.

        Raises:
            NotKnown: 403, they have no part here any more.
        """
        together = self.posts(session)
        if not together:
            raise NotKnown(
                f"账号 {session.subject} 已不在任何信箱的工作人员名单中",
                f"no mailbox lists the account {session.subject} among its staff any more",
            )
        mailbox = session.mailbox if session.mailbox in together else next(iter(together))
        return _caller(session.subject, session.name, mailbox, together)

    def posts(self, session: Session) -> dict[str, frozenset[Role]]:
        """Return mailbox → roles of somebody who is signed in, as of now."""
        by_claims = (Post(code, roles) for code, roles in session.by_claims.items() if self.roles.is_open(code))
        return merged([*self.roles.listed_now(session.subject), *by_claims])

    def check_ours(self, request: Request, session: Session, token: str) -> None:
        """Check that a request which writes comes from our own pages.

        Raises:
            Forged: 403.
        """
        if self.sessions.is_from_elsewhere(request):
            raise Forged("Another site made the browser send it.")
        if not compare_digest(token.encode(), session.csrf.encode()):
            raise Forged("It lacks the token that belongs to the session.")

    def session_of(self, known: Known) -> Session:
        """Return a new session for somebody whom the provider vouches for; they act for their first mailbox until they choose another."""
        by_claims = {post.mailbox: post.roles for post in known.posts if not post.listed}
        return self.sessions.new(known.subject, known.name, by_claims, known.posts[0].mailbox)

    def wanted(self, request: Request) -> Exception | None:
        """Send a browser that asks for a page to sign in; programs get the 401."""
        if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
            return None
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return SignInFirst(f"/auth/login?return_to={quote(here, safe='')}")


def merged(posts: Iterable[Post]) -> dict[str, frozenset[Role]]:
    """Return mailbox → all roles there."""
    together: dict[str, frozenset[Role]] = {}
    for post in posts:
        together[post.mailbox] = together.get(post.mailbox, frozenset()) | post.roles
    return together


def _caller(subject: str, name: str, mailbox: str, together: Mapping[str, frozenset[Role]]) -> Caller:
    if mailbox not in together:
        raise Problem(
            403,
            "没有权限 / Not allowed",
            f"You have no role at the mailbox {mailbox[:80]}; you have at: {', '.join(together)}.",
            slug="which-mailbox",
            rule="R10.2",
        )
    return Caller(subject=subject, name=name, mailbox=mailbox, roles=together[mailbox])
