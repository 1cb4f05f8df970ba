"""Writing a letter in the browser: fill in, check, send, receipt (R2.1, R2.2). Works without JavaScript.

Between the steps everything stands in the form itself: the server keeps nothing, and no address or log says what was typed. Each step
answers the POST at once, without a redirect: going back and sending again is harmless, since the form's key makes one letter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import segno
from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse, Response

from services.intake.attachments import KINDS
from services.intake.drafts import Draft, Wrong, check, files_of, in_order, told
from services.intake.floods import Attempt, Floods, TooMany
from services.intake.forms import ATTACHMENTS, Submission, takes_letters
from services.intake.front_door import FrontDoor
from services.intake.page_words import Words
from services.intake.posted import Counter
from services.intake.voice import OTHER
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.errors import BadInput
from shared.security.forms import Form, Forms
from shared.storage import StoreUnavailable
from shared.web.caller import host_asked
from shared.web.documented import also
from shared.web.languages import Lang, Language, language_of, link
from shared.web.problems import Busy, Problem, ServiceUnavailable
from shared.web.templates import Pages

FRESH: Final = {"Cache-Control": "private, no-cache"}
"""For the empty form, which holds nothing of anybody: whoever goes back to it finds what they typed, where the browser keeps it."""
NEVER_KEPT: Final = {"Cache-Control": "no-store"}
MOST_CHOSEN: Final = 20
"""Files of one form that are read, each in up to a megabyte of memory: more than are taken, so that the page can say which were not."""
_KEPT: Final = tuple(name for name in Draft.model_fields if name != "attachments")


@dataclass(frozen=True)
class Written:
    """A form that came back."""

    request: Request
    language: Language
    address: str
    form: Form
    asked: str
    """Which button was pressed."""
    draft: Draft
    wrong: Wrong
    """What is wrong with its files."""
    status: int = 200
    headers: Mapping[str, str] | None = None
    solution: str = ""
    ticket: str = ""


@dataclass(frozen=True)
class WritePages:
    """The pages, and what they need."""

    pages: Pages
    words: Words
    counter: Counter
    door: FrontDoor
    floods: Floods
    forms: Forms
    follow_forms: Forms
    calendar: WorkingCalendar
    reply_days: int
    trusted_proxies: int

    # ── the form ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def empty(self, request: Request, language: Language, to: str) -> Response:
        """Show the empty form, with a mailbox chosen where a link names one; a closed one's letters go to its successor (R1.5)."""
        say, directory = self.words.say(language), self.door.directory
        there, notice = directory.current(to), ""
        if to and (there not in directory or not takes_letters(directory.get(there))):
            there, notice = "", say("链接里的信箱不存在或者不直接接收来信，请另选。")
        elif there != to:
            notice = say("{old}已撤并，已为您改选{new}。").format(
                old=directory.get(to).name, new=directory.get(there).name
            )
        form = self.forms.new(request)
        page = self._form(language, form, Draft(to=there), headers=FRESH, notice=notice)
        return self.forms.keep(page, request, form)

    def _form(
        self,
        language: Language,
        form: Form,
        draft: Draft,
        wrong: Wrong | None = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        notice: str = "",
        typed: bool = False,
    ) -> Response:
        say = self.words.say(language)
        most = self.door.attachments.max_bytes
        kinds = "、".join(dict.fromkeys(KINDS.values()))
        hint = say("最多{count}个，每个不超过{size} MB；可以是 {kinds}。").format(
            count=ATTACHMENTS,
            size=f"{most / 1_000_000:g}",
            kinds=kinds if language == "zh" else kinds.replace("、", ", "),
        )
        return self.pages.render(
            "write.html",
            language=language,
            status=status,
            headers=headers or NEVER_KEPT,
            other=OTHER[language],
            form=form,
            draft=draft,
            wrong=wrong or Wrong(),
            notice=notice,
            typed=typed,
            choices=self.words.choices(self.door.directory, language),
            files=files_of(draft, self.door.attachments.verify),
            files_hint=hint,
            kinds=",".join(f".{kind}" for kind in KINDS.values()),
            most_bytes=most,
            most_mb=f"{most / 1_000_000:g}",
        )

    def _again(self, written: Written, wrong: Wrong | None = None, status: int = 200, notice: str = "") -> Response:
        """Show the form again with what was typed."""
        status = max(status, written.status)
        headers = {**NEVER_KEPT, **(written.headers or {})}
        page = self._form(
            written.language,
            written.form,
            written.draft,
            wrong,
            status=status,
            headers=headers,
            notice=notice,
            typed=written.draft != Draft(),
        )
        return self.forms.keep(page, written.request, written.form)

    # ── a form that comes back ───────────────────────────────────────────────────────────────────────────────────────

    async def take(self, request: Request, language: Language) -> Response:
        """Do what the button says that was pressed."""
        data = await self.counter.take(request, language, files=MOST_CHOSEN)
        if isinstance(data, Response):
            return data
        say, written = self.words.say(language), await self._read(request, language, data)
        await data.close()
        if not written.form.genuine:
            stale = say("这一页打开超过一天了。填写的内容都已保留，请再核对一次。")
            lost = say(
                "没能确认这封信是从本页发出的：可能浏览器没有接受本站的 Cookie，或者中途关闭过。填写的内容都已保留，请再按一次。"
            )
            notice = stale if written.form.stale else lost
            return self._again(replace(written, status=403), written.wrong, notice=notice)
        if written.wrong or written.asked in {"upload", "edit", "remove"}:
            return self._again(written, written.wrong)
        return await self._checked(written, send=written.asked == "send")

    async def _read(self, request: Request, language: Language, data: FormData) -> Written:
        """Take what was typed, and the files; those that cannot stay are said to be gone."""
        say, form = self.words.say(language), self.forms.returned(request, str(data.get("form", "")))
        asked, _, place = str(data.get("do", "")).partition(":")
        draft = _without(Draft.read(data), place) if asked == "remove" else Draft.read(data)
        kept = tuple(file.signed for file in files_of(draft, self.door.attachments.verify))
        wrong = list[str]()
        if len(kept) < len(draft.attachments):
            wrong.append(say("有附件上传已超过一天，没有保留，请重新选择"))
        files = [file for file in data.getlist("files") if isinstance(file, UploadFile) and file.filename]
        if files and not form.genuine:
            wrong.append(say("所选的文件没有保留，请重新选择"))
        written = Written(
            request,
            language,
            self.counter.address(request),
            form,
            asked,
            draft.model_copy(update={"attachments": kept}),
            _of_files(wrong, language),
            status=422 if wrong else 200,
            solution=str(data.get("solution", "")),
            ticket=str(data.get("ticket", "")),
        )
        return await self._uploaded(written, files) if files and form.genuine else written

    async def _uploaded(self, written: Written, files: list[UploadFile]) -> Written:
        """Store the files that came along; what is wrong with one keeps neither the others nor the text from staying."""
        say = self.words.say(written.language)
        signed, wrong, left_out = list(written.draft.attachments), list(written.wrong.values()), list[str]()
        status, headers = 200, dict[str, str]()
        for file in files:
            try:
                if len(signed) >= ATTACHMENTS:
                    left_out.append(file.filename or "")
                    continue
                self.floods.upload(written.address)
                signed.append((await self.door.attachments.upload(file))[1])
            except BadInput as error:
                why = self.words.one_language(str(error), written.language)
                wrong.append(say("“{name}”：{why}").format(name=file.filename, why=why))
                status = 422
            except TooMany as error:
                wrong.append(say("上传过于频繁，请在 {seconds} 秒后再上传").format(seconds=error.seconds))
                status, headers = 429, {"Retry-After": str(error.seconds)}
                break
            except StoreUnavailable:
                wrong.append(say("现在无法接收附件，请稍候再上传；其余内容都已保留"))
                status, headers = 503, {"Retry-After": "5"}
                break
        if left_out:
            names = ("、" if written.language == "zh" else ", ").join(left_out)
            wrong.append(say("最多{count}个附件，没有收下：{names}").format(count=ATTACHMENTS, names=names))
        return replace(
            written,
            draft=written.draft.model_copy(update={"attachments": tuple(signed)}),
            wrong=_of_files(wrong, written.language),
            status=max(status, 422 if wrong else 200),
            headers=headers,
        )

    # ── the summary, and sending ─────────────────────────────────────────────────────────────────────────────────────

    async def _checked(self, written: Written, *, send: bool) -> Response:
        letter, wrong = check(written.draft, self.words.say(written.language), written.language)
        if letter is not None:
            try:
                self.door.examine(letter)
            except Problem as problem:
                known = told(problem.errors, written.language)
                wrong = in_order(known | self.words.unknown(known, written.language))
        if letter is None or wrong:
            return self._again(written, wrong, 422)
        return await self._send(written, letter) if send else self._summary(written, letter)

    def _summary(
        self,
        written: Written,
        letter: Submission,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Response:
        directory, draft, say = self.door.directory, written.draft, self.words.say(written.language)
        files = files_of(draft, self.door.attachments.verify)
        apart = "、" if written.language == "zh" else ", "
        reported = directory.get(letter.reported_mailbox).name if letter.reported_mailbox else ""
        none = say("未填")
        shown = {
            "to": directory.get(letter.mailbox).name,
            "nature": say(letter.nature.label),
            "reported_mailbox": reported,
            "reported_names": apart.join(letter.reported_names),
            "domain": directory.domain(letter.domain).label,
            "region": directory.region(letter.region).name,
            "subject": letter.subject,
            "body": letter.body,
            "files": apart.join(f"{file.name} ({file.size_text})" for file in files) or say("没有"),
            "name": letter.sender.name,
            "phone": letter.sender.phone or none,
            "email": letter.sender.email or none,
            "address": letter.sender.address or none,
            "may_publish": say("同意公开") if letter.may_publish else say("不同意公开"),
        }
        values = {"hurdle": None, "notice": "", "again": "", "form": written.form, **more}
        kept = [(name, getattr(draft, name)) for name in _KEPT]
        kept += [("attachment", signed) for signed in draft.attachments]
        return self.pages.render(
            "check.html",
            language=written.language,
            status=status,
            headers={**NEVER_KEPT, **(headers or {})},
            other=OTHER[written.language],
            shown=shown,
            kept=kept,
            **values,
        )

    async def _send(self, written: Written, letter: Submission) -> Response:
        say, form = self.words.say(written.language), written.form
        attempt = Attempt(
            written.address, form.key, form.shown_at, written.draft.fingerprint(), written.solution, written.ticket
        )
        try:
            hurdle = self.floods.letter(attempt)
            if hurdle is not None:
                return self._summary(written, letter, 429, {"Retry-After": str(hurdle.wait)}, hurdle=hurdle)
            receipt, at = await self.door.accept(letter, form.key)
        except TooMany as error:
            notice = say("来自您的网络的来信过多。信还没有发出，内容都在下面，请在 {seconds} 秒后再按“发送”。")
            return self._summary(
                written, letter, 429, error.headers, notice=notice.format(seconds=error.seconds), again=say("再次发送")
            )
        except (ServiceUnavailable, Busy) as error:
            notice = say("系统暂时收不了信。您写的内容都在下面，什么也没有丢；请过几秒再按“再次发送”，不会收到两封。")
            return self._summary(written, letter, 503, error.headers, notice=notice, again=say("再次发送"))
        except Problem:  # the key was used for another text: the only thing left that can be wrong
            notice = say(
                "这一页上的信可能已经发出过，现在的内容与那时不同。如果您已经有查询码，不必再发；要把现在的内容作为另一封信发出，请按下面的按钮。"
            )
            other = self.forms.renewed(form)
            return self._summary(written, letter, 409, notice=notice, again=say("作为另一封信发送"), form=other)
        return self._receipt(written, letter, receipt, at)

    def _receipt(self, written: Written, letter: Submission, receipt: str, at: datetime) -> Response:
        return self.pages.render(
            "receipt.html",
            language=written.language,
            headers=NEVER_KEPT,
            receipt=receipt,
            qr=self._code_of(written.request, written.language, receipt),
            mailbox=self.door.directory.get(letter.mailbox).name,
            subject=letter.subject,
            received_at=at,
            reading_due=self.calendar.reading_due(at).at,
            reply_days=self.reply_days,
            follow_form=self.follow_forms.new(written.request),
        )

    def _code_of(self, request: Request, language: Language, receipt: str) -> str:
        """Return a QR code that leads to the page where letters are followed, as an image inside the page.

        The receipt stands behind the `#`, which browsers send to no server, so that it is in no log.
        """
        scheme = "https" if self.forms.over_https(request) else "http"
        host = host_asked(request, self.trusted_proxies)
        address = f"{scheme}://{host}{link('/follow', language)}#{receipt}" if host else receipt
        return str(segno.make(address, error="m").svg_data_uri(border=2, light="#fff"))


def _of_files(wrong: Sequence[str], language: Language) -> Wrong:
    """Return all that is wrong with files, at their input."""
    return Wrong({"files": ("；" if language == "zh" else "; ").join(wrong)} if wrong else {})


def _without(draft: Draft, place: str) -> Draft:
    """Return a draft without one of its files."""
    files = [signed for at, signed in enumerate(draft.attachments) if str(at) != place]
    return draft.model_copy(update={"attachments": tuple(files)})


def write_router(write: WritePages) -> APIRouter:
    """Return the routes of writing."""
    router = APIRouter(prefix="/write", tags=["来信 citizens"])

    @router.get("", response_class=HTMLResponse, summary="写信页面 The page to write a letter (R2.1, R2.2)")
    async def empty(
        request: Request, to: str = Query("", max_length=80, description="Code of a mailbox."), lang: Lang = ""
    ) -> Response:
        """Show the form; `to` chooses a mailbox (R1.5)."""
        return write.empty(request, language_of(lang), to)

    @router.post(
        "",
        response_class=HTMLResponse,
        responses=also(403, 429),
        summary="填写、核对、发送 The steps of writing a letter (R2.2)",
    )
    async def take(request: Request, lang: Lang = "") -> Response:
        """Take the form back: upload files, check, change, send. Only from the page itself."""
        return await write.take(request, language_of(lang))

    return router
