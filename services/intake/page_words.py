"""The words of the citizens' pages that stand in no template: in the page's language, and the pages that only say why something stopped."""

from collections.abc import Mapping
from pathlib import Path

from starlette.responses import Response

from services.intake.choices import Choices
from services.intake.voice import Say
from shared.directory import Directory
from shared.web.languages import LANGUAGES, Language, catalogue
from shared.web.templates import Pages

FOLDER = Path(__file__).parent / "pages"


class Words:
    """Says things in the page's language."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._say = {language: catalogue(language, [FOLDER]).gettext for language in LANGUAGES}
        self._choices: dict[Language, tuple[int, Choices]] = {}

    def say(self, language: Language) -> Say:
        """Return what gives a Chinese text in a language."""
        return self._say[language]

    def choices(self, directory: Directory, language: Language) -> Choices:
        """Return the form's lists; made anew when the directory has changed."""
        version, choices = self._choices.get(language, (-1, None))
        if choices is None or version != directory.version:
            choices = Choices.of(directory, self.say(language))
            self._choices[language] = (directory.version, choices)
        return choices

    def one_language(self, text: str, language: Language) -> str:
        """Return the half of `中文 / English` that is in a language."""
        chinese, _, english = text.partition(" / ")
        return english if language == "en" and english else chinese

    def unknown(self, errors: Mapping[str, str], language: Language) -> dict[str, str]:
        """Return the errors of what the directory does not have, without the addresses of lists that the page shows itself."""
        say = self.say(language)
        words = {
            "to": say("没有这个信箱，请重新选择"),
            "domain": say("没有这个领域，请重新选择"),
            "region": say("没有这个区县，请重新选择"),
        }
        return {name: words[name] for name, text in errors.items() if name in words and "/intake/" in text}

    def forged(self, language: Language, back: str) -> Response:
        """Refuse what another site made the browser send."""
        say = self.say(language)
        text = say("这个请求来自别的网站，没有处理。如果是您自己要写信或者查询，请从本站的页面开始。")
        return self._stopped(language, back, 403, say("没有处理这个请求"), text)

    def too_many(self, language: Language, back: str, seconds: int) -> Response:
        """Refuse what was not even read, since too much comes from the address."""
        say = self.say(language)
        text = say("来自您的网络的请求过多。请在 {seconds} 秒后刷新这一页，浏览器会把刚才的内容重新提交，不会丢失。")
        more = {"Retry-After": str(seconds)}
        return self._stopped(language, back, 429, say("操作过于频繁"), text.format(seconds=seconds), more)

    def unreadable(self, language: Language, back: str, status: int) -> Response:
        """Refuse what is too large, or no form at all."""
        say = self.say(language)
        if status == 413:
            text = say(
                "所选的文件合起来太大，没有收下。请按浏览器的“后退”回到刚才的页面，去掉一些文件，或者分几次上传。"
            )
            return self._stopped(language, back, 413, say("文件太大"), text)
        text = say("没能读懂提交的内容。请按浏览器的“后退”回到刚才的页面再试。")
        return self._stopped(language, back, 400, say("没能读懂"), text)

    def _stopped(
        self,
        language: Language,
        back: str,
        status: int,
        title: str,
        text: str,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        kept = {"Cache-Control": "no-store", **(headers or {})}
        return self._pages.render(
            "stopped.html", language=language, status=status, headers=kept, title=title, text=text, back=back
        )
