"""`/auth`: signing in at the city's identity provider and out again. Every service has these routes; a session is good in all of them."""

import logging
import re
from secrets import token_urlsafe
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from shared.security.oidc import ProviderAway, Refused
from shared.security.sessions import Beginning, Session
from shared.security.sign_in import Forged, SignIn, SignInFirst
from shared.web.languages import Lang, Language, language_of, link
from shared.web.problems import Problem
from shared.web.templates import Pages

HOME: Final = "/auth/me"
_LONGEST_PATH: Final = 2000
_STATE: Final = re.compile(r"[\w-]{43}")
_LONGEST_CODE: Final = 4096
_LONGEST_FORM: Final = 4096
log = logging.getLogger(__name__)

ReturnTo = Annotated[str, Query(description="The page to come back to: a path of this site.")]


class NotSignedIn(Problem):
    """400: coming back from the provider did not sign anybody in."""

    def __init__(self, reason_zh: str, reason: str, status: int = 400) -> None:
        super().__init__(
            status,
            "登录没有完成 / Signing in was not completed",
            f"{reason_zh}。请从 /auth/login 重新登录。 / {reason} Sign in again at /auth/login.",
            slug="sign-in-failed",
        )


def local_path(wanted: str) -> str:
    """Return a path of this site: `wanted`, or who is signed in where that leads elsewhere.

    Browsers read ``//x`` and ``/\\x`` as another site and leave out control characters, so none of these pass.
    """
    if not wanted.startswith("/") or len(wanted) > _LONGEST_PATH or "\\" in wanted or not wanted.isprintable():
        return HOME
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return HOME
    if wanted.startswith("//") or parts.scheme or parts.netloc or parts.path.startswith("/auth/"):
        return HOME
    return wanted


class Ways:
    """The ways in and out."""

    def __init__(self, sign_in: SignIn, pages: Pages, site_url: str) -> None:
        self._sign_in = sign_in
        self._sessions = sign_in.sessions
        self._pages = pages
        self._site_url = site_url

    def _address(self, request: Request, path: str) -> str:
        return (self._site_url or self._sessions.origin(request)) + path

    async def login(self, request: Request, return_to: ReturnTo = HOME, prompt: str = "") -> Response:
        """Send the browser to the provider, from where it comes back to `/auth/callback`."""
        begun = Beginning(
            state=token_urlsafe(32),
            nonce=token_urlsafe(32),
            verifier=token_urlsafe(48),
            redirect_uri=self._address(request, "/auth/callback"),
            return_to=local_path(return_to),
        )
        response = _redirect(await self._sign_in.provider.address(begun, again=prompt == "login"))
        self._sessions.begin(response, request, begun)
        return response

    async def callback(
        self, request: Request, state: str = "", code: str = "", error: str = "", iss: str = ""
    ) -> Response:
        """Give the provider's code back for who it is, and begin the session."""
        begun = self._sessions.begun(request, state) if _STATE.fullmatch(state) else None
        if begun is None:
            log.warning("a sign-in came back that this browser did not begin, or too late")
            raise NotSignedIn(
                "这次登录不是从本浏览器开始的，或者已经超过 10 分钟，或者浏览器没有接受 Cookie",
                "This browser did not begin this sign-in (state), or more than 10 minutes ago, or it does not keep cookies.",
            )
        try:
            session, id_token = await self._finish(begun, code, error, iss)
            response = _redirect(begun.return_to)
            self._sessions.keep(response, request, session)
            if await self._sign_in.provider.signs_out():
                self._sessions.keep_hint(response, request, id_token, session)
        except Problem as problem:
            # What came back once cannot come back again, whatever became of it.
            problem.headers = {**(problem.headers or {}), "Set-Cookie": self._forgetting(request, state)}
            raise
        self._sessions.done(response, request, state)
        log.info("somebody signed in")  # who, the provider's own log says
        return response

    async def _finish(self, begun: Beginning, code: str, error: str, iss: str) -> tuple[Session, str]:
        if iss and iss != self._sign_in.provider.issuer:
            log.warning("a sign-in came back from another provider")
            raise NotSignedIn("回应来自另一个身份提供方", "The answer comes from another provider (iss).")
        if error:
            log.warning("the identity provider refused a sign-in", extra={"reason_code": _plain(error)})
            raise NotSignedIn(
                "统一身份认证没有同意登录", f"The identity provider did not agree ({_plain(error)}).", 403
            )
        if not code or len(code) > _LONGEST_CODE:
            raise NotSignedIn("统一身份认证的回应不完整", "The identity provider's answer has no code.")
        try:
            claims, id_token = await self._sign_in.provider.redeem(begun, code)
        except Refused as refused:
            log.warning("a sign-in was refused", extra={"reason_code": str(refused)})
            raise NotSignedIn(
                "统一身份认证的回应未能通过检查", f"The identity provider's answer does not hold: {refused}."
            ) from None
        return self._sign_in.session_of(self._sign_in.roles.known(claims)), id_token

    def _forgetting(self, request: Request, state: str) -> str:
        gone = Response()
        self._sessions.done(gone, request, state)
        return gone.headers["set-cookie"]

    async def me(self, request: Request, lang: Lang = "") -> Response:
        """Who is signed in at this browser: a page for people, JSON for programs."""
        session = self._sessions.of(request)
        if session is None:
            if _wants_page(request):
                raise SignInFirst(link("/auth/login", language_of(lang)))
            raise Problem(
                401,
                "需要登录 / Authentication required",
                "Nobody is signed in at this browser; sign in at /auth/login.",
                slug="unauthenticated",
            )
        caller, posts = self._sign_in.caller(session), self._sign_in.posts(session)
        if not _wants_page(request):
            return JSONResponse(
                {
                    "subject": caller.subject,
                    "name": caller.name,
                    "mailbox": caller.mailbox,
                    "roles": sorted(caller.roles),
                    "mailboxes": {code: sorted(roles) for code, roles in posts.items()},
                    "expires_at": session.expires_at,
                    "csrf_token": session.csrf,
                },
                headers={"Vary": "Accept, Cookie"},
            )
        shown = [(code, self._sign_in.roles.title(code), sorted(roles)) for code, roles in posts.items()]
        return self._page(language_of(lang), "me", caller=caller, posts=shown, session=session)

    async def choose(self, request: Request) -> Response:
        """Act for another of one's mailboxes from now on."""
        session, form = await self._ours(request)
        wanted = form.get("mailbox", "")
        if session is None:
            if _wants_page(request):
                # Not a redirect to the provider: the page's own policy (form-action) would stop a form from leading there.
                return self._page(language_of(form.get("lang", "")), "left")
            raise SignInFirst("/auth/login")
        if wanted not in self._sign_in.posts(session):
            raise Problem(
                403,
                "没有权限 / Not allowed",
                "您在这个信箱没有角色。 / You have no role at this mailbox.",
                slug="which-mailbox",
                rule="R10.2",
            )
        response = _redirect(link(HOME, language_of(form.get("lang", ""))))
        chosen = Session(session.subject, session.name, session.by_claims, wanted, session.expires_at, session.csrf)
        self._sessions.keep(response, request, chosen)
        return response

    async def leave(self, request: Request, lang: Lang = "") -> Response:
        """Ask whether to sign out, so that no link can do it; or say that nobody is signed in."""
        session = self._sessions.of(request)
        return self._page(language_of(lang), "left" if session is None else "leave", session=session, going_on="")

    async def left(self, request: Request) -> Response:
        """Sign out here, and go on to sign out at the provider, if it can."""
        session, form = await self._ours(request)
        going_on = None
        if session is not None:
            try:
                going_on = await self._sign_in.provider.leaving(
                    self._sessions.hint(request), self._address(request, "/auth/logout")
                )
            except ProviderAway:
                log.warning("somebody signed out here while the identity provider is away")
        if _wants_page(request):
            # Not a redirect: the page's own policy (form-action) would stop a form from leading to another site.
            response = self._page(language_of(form.get("lang", "")), "left", session=None, going_on=going_on or "")
        else:
            response = JSONResponse({"signed_out": True, "provider": going_on})
        self._sessions.end(response, request)
        return response

    async def _ours(self, request: Request) -> tuple[Session | None, dict[str, str]]:
        """Return the session and the form of a request that our own page sent."""
        session, form = self._sessions.of(request), await _form(request)
        if session is not None:
            self._sign_in.check_ours(request, session, form.get("csrf", request.headers.get("x-csrf-token", "")))
        elif self._sessions.is_from_elsewhere(request):
            raise Forged("Another site made the browser send it.")
        return session, form

    def _page(self, language: Language, state: str, **values: Any) -> Response:
        empty: dict[str, Any] = {"caller": None, "posts": [], "session": None, "going_on": ""}
        headers = {"Cache-Control": "no-store", "Vary": "Accept, Cookie"}
        return self._pages.render(
            "sign_in.html", language=language, headers=headers, state=state, **{**empty, **values}
        )


def router(sign_in: SignIn, pages: Pages, site_url: str) -> APIRouter:
    """Return the routes.

    Args:
        sign_in: who is known.
        pages: for people.
        site_url: public address of the site; empty: as the request says.
    """
    ways = Ways(sign_in, pages, site_url)
    routes = APIRouter(prefix="/auth", include_in_schema=False)
    routes.get("/login")(ways.login)
    routes.get("/callback")(ways.callback)
    routes.get("/me")(ways.me)
    routes.post("/mailbox")(ways.choose)
    routes.get("/logout")(ways.leave)
    routes.post("/logout")(ways.left)
    return routes


def unset() -> APIRouter:
    """Return the routes of a system that has no provider: each says how to get one."""
    routes = APIRouter(prefix="/auth", include_in_schema=False)

    @routes.get("/{path:path}")
    async def none() -> Response:
        raise Problem(
            404,
            "没有设置统一身份认证 / No identity provider is set",
            "本系统没有接入统一身份认证，不能在网页登录。请系统管理员设置 OIDC_ISSUER。 / "
            "Nobody can sign in with a browser here: set OIDC_ISSUER and its neighbours (docs/operating.md, Signing in).",
            slug="sign-in-unset",
        )

    return routes


async def on_sign_in_first(_: Request, error: Exception) -> Response:
    """Send a browser to sign in."""
    assert isinstance(error, SignInFirst)
    return _redirect(error.address)


def _redirect(address: str) -> Response:
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})


def _wants_page(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and "application/json" not in accepted


async def _form(request: Request) -> dict[str, str]:
    if int(request.headers.get("content-length", "0")) > _LONGEST_FORM:
        raise Problem(413, "请求过大 / Body too large", "This form is short.", slug="body-too-large")
    async with request.form(max_files=0, max_fields=10) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _plain(error: str) -> str:
    return "".join(character for character in error[:60] if character.isalnum() or character in "_-") or "no reason"
