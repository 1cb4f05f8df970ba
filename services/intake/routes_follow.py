"""Following a letter in the browser: its receipt code in, its standing out (R8.3). The code is in no address, no log and no referrer."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from services.intake.drafts import Wrong
from services.intake.floods import Floods, TooMany
from services.intake.following import Following
from services.intake.page_words import Words
from services.intake.posted import Counter
from services.intake.voice import OTHER, Voice
from shared.contracts.errors import NotFound
from shared.security.forms import Form, Forms
from shared.security.receipts import parse_receipt
from shared.storage import StoreUnavailable
from shared.web.documented import also
from shared.web.languages import Lang, Language, language_of
from shared.web.problems import Problem
from shared.web.templates import Pages

NEVER_KEPT = {"Cache-Control": "no-store"}
_LONGEST = 100


@dataclass(frozen=True)
class FollowPages:
    """The pages, and what they need."""

    pages: Pages
    words: Words
    counter: Counter
    following: Following
    floods: Floods
    forms: Forms

    def empty(self, request: Request, language: Language) -> Response:
        """Ask for the code."""
        return self._form(request, language, self.forms.new(request))

    async def take(self, request: Request, language: Language) -> Response:
        """Show where the letter stands, or what is wrong with the code."""
        data = await self.counter.take(request, language)
        if isinstance(data, Response):
            return data
        say = self.words.say(language)
        form, code = self.forms.returned(request, str(data.get("form", ""))), str(data.get("code", ""))[:_LONGEST]
        if not form.genuine:
            lost = say(
                "没能确认这次查询是从本页发出的：可能浏览器没有接受本站的 Cookie，或者页面打开太久了。请再按一次“查询”。"
            )
            return self._form(request, language, form, code, status=403, notice=lost)
        if not code.strip():
            return self._form(request, language, form, code, say("请输入查询码"), 422)
        try:
            return await self._looked_up(request, language, form, code)
        except (NotFound, StoreUnavailable, Problem) as error:
            return self._refused(request, language, form, code, error)

    async def _looked_up(self, request: Request, language: Language, form: Form, code: str) -> Response:
        address = self.counter.address(request)
        self.floods.follow(address)
        letter = await self.following.standing(code, address, Voice(language, self.words.say(language)))
        return self.pages.render(
            "standing.html",
            language=language,
            headers=NEVER_KEPT,
            letter=letter,
            form=form,
            code=parse_receipt(code),
            refused=letter.not_accepted,
            other=OTHER[language],
        )

    def _refused(self, request: Request, language: Language, form: Form, code: str, why: Exception) -> Response:
        """Say what is wrong with the code, how long to wait after too many wrong ones, or that it cannot be looked up now."""
        say = self.words.say(language)
        if isinstance(why, StoreUnavailable):
            text = say("现在查不了，请过几秒再按“查询”。")
            return self._form(request, language, form, code, status=503, notice=text, headers={"Retry-After": "5"})
        if not isinstance(why, Problem):
            text = say("没有找到这个查询码的来信。请核对；刚发出的信请等几秒再查")
            return self._form(request, language, form, code, text, 404)
        text = self.words.one_language(why.detail, language)
        if why.status == 429:
            often = say("查询过于频繁，请在 {seconds} 秒后再查")
            text = often if isinstance(why, TooMany) else say("输错的次数过多，请在 {seconds} 秒后再查")
            text = text.format(seconds=(why.headers or {}).get("Retry-After", "1"))
        return self._form(request, language, form, code, text, why.status, headers=why.headers)

    def _form(
        self,
        request: Request,
        language: Language,
        form: Form,
        code: str = "",
        wrong: str = "",
        status: int = 200,
        *,
        notice: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        page = self.pages.render(
            "follow.html",
            language=language,
            status=status,
            headers={**NEVER_KEPT, **(headers or {})},
            form=form,
            code=code,
            wrong=Wrong({"code": wrong} if wrong else {}),
            notice=notice,
        )
        return self.forms.keep(page, request, form)


def follow_router(follow: FollowPages) -> APIRouter:
    """Return the routes of following."""
    router = APIRouter(prefix="/follow", tags=["来信 citizens"])

    @router.get("", response_class=HTMLResponse, summary="查询页面 The page to follow a letter (R8.3)")
    async def empty(request: Request, lang: Lang = "") -> Response:
        """Ask for the receipt code. Behind `#` an address may hold it, which no server gets to see."""
        return follow.empty(request, language_of(lang))

    @router.post(
        "",
        response_class=HTMLResponse,
        responses=also(403, 429),
        summary="查询来信 Where a letter stands, as a page (R8.3)",
    )
    async def take(request: Request, lang: Lang = "") -> Response:
        """Show where the letter of a receipt code stands."""
        return await follow.take(request, language_of(lang))

    return router
