"""A letter as it stands in the page's form: kept word for word between the steps, in the form itself and nowhere else (R2.2)."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import FormData

from services.intake.forms import REPORTED, Submission
from services.intake.voice import Say
from shared.contracts.types import Attachment, Nature
from shared.web.languages import Language
from shared.web.problems import FieldError
from shared.web.validation import field_errors

FIELDS: Final = ("to", "nature", "domain", "region", "subject", "body", "name", "phone", "email", "address")
"""Inputs in the order of the page; then reported_mailbox, reported_names, files and may_publish."""
_POINTERS: Final[Sequence[tuple[str, str]]] = (
    ("/sender/name", "name"),
    ("/sender/phone", "phone"),
    ("/sender/email", "email"),
    ("/sender/address", "address"),
    ("/sender", "phone"),
    ("/mailbox", "to"),
    ("/reported_people", "reported_names"),
    ("/attachments", "files"),
)
"""Where an error is → the input it is shown at; any other is at the input of its name."""
ORDER: Final = (
    *("to", "nature", "reported_mailbox", "reported_names", "domain", "region", "subject", "body", "files"),
    *("name", "phone", "email", "address", "may_publish"),
)
_BETWEEN_NAMES = re.compile(r"[\r\n,，、;；]+")
_LONGEST = 60_000
"""Characters of one field that are kept; far more than any may have."""


class Draft(BaseModel):
    """What was typed, as it was typed."""

    model_config = ConfigDict(frozen=True)

    to: str = ""
    nature: str = ""
    domain: str = ""
    region: str = ""
    subject: str = ""
    body: str = ""
    name: str = ""
    phone: str = ""
    email: str = ""
    address: str = ""
    reported_mailbox: str = ""
    reported_names: str = ""
    may_publish: str = ""
    """`yes`, `no` or not chosen yet."""
    attachments: tuple[str, ...] = ()
    """Signed descriptions of files that were uploaded."""

    @classmethod
    def read(cls, form: FormData) -> "Draft":
        """Read the form's texts; line ends are the browser's and become one kind."""
        texts = {
            name: "\n".join(value[:_LONGEST].splitlines())
            for name in cls.model_fields
            if name != "attachments" and isinstance(value := form.get(name, ""), str)
        }
        files = dict.fromkeys(value for value in form.getlist("attachment") if isinstance(value, str) and value)
        return cls(**texts, attachments=tuple(files))

    def fingerprint(self) -> str:
        """Return what changes with every change of what was typed."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def names(self) -> list[str]:
        """Return the people that a report names, one per line or with marks between them."""
        return [name.strip() for name in _BETWEEN_NAMES.split(self.reported_names) if name.strip()]

    def submission(self) -> dict[str, Any]:
        """Return it as the front door takes letters."""
        return {
            "mailbox": self.to,
            "subject": self.subject,
            "body": self.body,
            "sender": {name: getattr(self, name) for name in ("name", "phone", "email", "address")},
            "nature": self.nature,
            "domain": self.domain,
            "region": self.region,
            "may_publish": self.may_publish == "yes",
            "reported_mailbox": self.reported_mailbox or None,
            "reported_names": self.names(),
            "attachments": list(self.attachments),
        }


class Wrong(dict[str, str]):
    """What is wrong with a draft: input → message, in the order of the page; nothing at any other."""

    def __missing__(self, name: str) -> str:
        return ""


def check(draft: Draft, say: Say, language: Language) -> tuple[Submission | None, Wrong]:
    """Return the letter that a draft makes, or what is wrong with it by itself; what it names is the front door's to check."""
    wrong = dict(_missing(draft, say))
    try:
        letter = Submission.model_validate_json(orjson.dumps(draft.submission()))
    except ValidationError as error:
        found: list[Any] = error.errors(include_url=False, include_input=False)
        for one in found:
            one["loc"] = ("body", *one["loc"])
        for name, text in told(field_errors(found, {"body": Submission}), language).items():
            wrong.setdefault(name, text)
        letter = None
    return (None if wrong else letter), in_order(wrong)


def _missing(draft: Draft, say: Say) -> Iterator[tuple[str, str]]:
    """Say what was left open in the words of the page, which has choices where the interface has codes."""
    left_open = {
        "to": (not draft.to, say("请选择写给哪个信箱")),
        "nature": (draft.nature not in set(Nature), say("请选择来信的性质")),
        "domain": (not draft.domain, say("请选择来信反映的领域")),
        "region": (not draft.region, say("请选择来信反映的区县")),
        "subject": (not draft.subject.strip(), say("请填写标题，4到60个字")),
        "body": (not draft.body.strip(), say("请填写正文，10到5000个字")),
        "name": (not draft.name.strip(), say("请填写您的姓名")),
        "phone": (
            not (draft.phone.strip() or draft.email.strip() or draft.address.strip()),
            say("请在电话、电子邮箱、地址中至少填写一项，以便答复您"),
        ),
        "may_publish": (draft.may_publish not in {"yes", "no"}, say("请选择是否同意公开")),
    }
    yield from ((name, text) for name, (is_open, text) in left_open.items() if is_open)
    yield from _of_reports(draft, say)


def _of_reports(draft: Draft, say: Say) -> Iterator[tuple[str, str]]:
    """Never drop whom a letter is about because its nature is another: it would go to them (R3.3)."""
    names = draft.names()
    if draft.nature in set(Nature) and draft.nature != Nature.REPORT:
        only = say("只有举报才填写被举报的单位和人员。如果是举报，请把来信性质改为举报；如果不是，请清空此项")
        yield from (
            (at, only) for at, it in (("reported_mailbox", draft.reported_mailbox), ("reported_names", names)) if it
        )
    elif len(names) > REPORTED:
        yield "reported_names", say("最多填写5人")


def told(errors: Sequence[FieldError], language: Language) -> dict[str, str]:
    """Return the front door's errors at the inputs that they are about, the first for each."""
    texts: dict[str, str] = {}
    for error in errors:
        name = next((place for start, place in _POINTERS if error.field.startswith(start)), "")
        name = name or error.field.strip("/").partition("/")[0]
        texts.setdefault(name, error.message_en if language == "en" and error.message_en else error.message)
    return texts


def in_order(wrong: Mapping[str, str]) -> Wrong:
    """Return errors in the order of the page."""
    return Wrong({name: wrong[name] for name in sorted(wrong, key=lambda name: (*ORDER, name).index(name))})


class File(BaseModel):
    """An uploaded file, as the form lists it."""

    signed: str
    name: str
    size: int
    """Bytes."""

    @property
    def size_text(self) -> str:
        """The size for people."""
        return f"{self.size / 1_000_000:.1f} MB" if self.size >= 1_000_000 else f"{max(1, self.size // 1000)} kB"


def files_of(draft: Draft, verify: Callable[[str], Attachment | None]) -> list[File]:
    """Return the files of a draft that can still be named."""
    known = ((signed, verify(signed)) for signed in draft.attachments)
    return [File(signed=signed, name=file.name, size=file.size) for signed, file in known if file is not None]
