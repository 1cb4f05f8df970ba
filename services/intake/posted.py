"""Taking a form back from a browser: not from another site, not too often, not too large; else a page that says why not."""

from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.intake.floods import Floods, TooMany
from services.intake.page_words import Words
from shared.security.forms import Forms
from shared.web.caller import caller_address
from shared.web.languages import Language


@dataclass(frozen=True)
class Counter:
    """Where the forms of one page come back."""

    path: str
    forms: Forms
    floods: Floods
    words: Words
    trusted_proxies: int

    def address(self, request: Request) -> str:
        """Return who sends."""
        return caller_address(request, self.trusted_proxies)

    async def take(self, request: Request, language: Language, files: int = 0) -> FormData | Response:
        """Return what was sent; or the page that refuses it before it is read, or when it cannot be."""
        if self.forms.is_from_elsewhere(request):
            return self.words.forged(language, self.path)
        try:
            self.floods.form(self.address(request))
            return await request.form(max_files=files, max_fields=100)
        except TooMany as error:
            return self.words.too_many(language, self.path, error.seconds)
        except HTTPException as error:
            return self.words.unreadable(language, self.path, error.status_code)
