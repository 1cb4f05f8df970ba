"""What search engines read of a published letter: a question with its answer, as JSON-LD in the words of schema.org."""

import json
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from services.publication.public_views import LetterPage

_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def in_script(data: Any) -> Markup:
    """Return JSON that can stand inside a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPED))  # noqa: S704 - no character is left that means anything in HTML


def question(letter: LetterPage, whole: Callable[[str], str]) -> dict[str, Any]:
    """Return a letter as QAPage; `whole` makes an address on this site a whole one where that is known."""
    address = whole(letter.address)
    asked = {"dateCreated": letter.month} if letter.month else {}
    return {
        "@context": "https://schema.org",
        "@type": "QAPage",
        "url": address,
        "inLanguage": "zh-CN",
        "mainEntity": {
            "@type": "Question",
            "name": letter.subject,
            "text": letter.body,
            **asked,
            "author": {"@type": "Person", "name": "来信人"},
            "answerCount": 1,
            "acceptedAnswer": {
                "@type": "Answer",
                "text": letter.reply,
                "url": f"{address}#reply",
                "datePublished": letter.published_at.isoformat(),
                "author": {"@type": "GovernmentOrganization", "name": letter.unit},
            },
        },
    }
