"""What a citizen sends, or another site in their name (R1.5, R2.1, R2.2): every field checked, each error naming the field and the rule."""

import re
import unicodedata
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from shared.contracts.types import Classification, Contact, Nature
from shared.directory import Directory, Mailbox, MailboxKind, UnknownEntry
from shared.web.problems import FieldError

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_INVISIBLE = re.compile(
    r"[\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
    r"|(?<![\u200d\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d"  # joiners are kept inside emoji, which fall apart without
)
"""What is pasted along from web pages and takes no room, and marks that turn the direction of writing: taken out, not complained about."""
_NEW_LINE = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SEEN = frozenset("LNPS")
"""Letters, numbers, punctuation and symbols: what a reader sees. Marks that combine and white space do not count."""
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that nobody sees."""
ATTACHMENTS = 5
_EXTENSION = re.compile(r"转|分机")
REPORTED = 5
"""People whom one report may name."""


def _rule(rule: str) -> dict[str, str]:
    return {"rule": rule}


def _plain(text: str) -> bool:
    """Whether a text has nothing that needs a second look, as most have: this costs a hundredth of looking."""
    return text.replace("\n", "").replace("\u3000", "").isprintable()


def _cleaned(value: Any) -> Any:
    """Return text without what nobody sees, and with one kind of line end."""
    if not isinstance(value, str) or _plain(value):
        return value
    return _NEW_LINE.sub("\n", _INVISIBLE.sub("", value))


def _on_one_line(value: Any) -> Any:
    return " ".join(_cleaned(value).split()) if isinstance(value, str) else value


def _if_any(value: Any) -> Any:
    """Return none for a field that a form sends empty."""
    return None if isinstance(value, str) and not _cleaned(value).strip() else value


def _printable(text: str) -> str:
    if not _plain(text) and _CONTROL.search(text):
        raise PydanticCustomError(
            "control_character",
            "Control characters cannot be printed; remove them",
            {"zh": "含有无法显示的控制字符，请删去", "rule": "R2.2"},
        )
    return text


def _substantial(text: str) -> str:
    if not any(character.isalnum() and character not in _FILLERS for character in text):
        raise PydanticCustomError(
            "empty_text", "Write words, not only marks", {"zh": "请写明内容，不能只有符号", "rule": "R2.2"}
        )
    return text


def _seen(minimum: int) -> Any:
    """Return a check that a reader sees at least so many characters."""

    def check(text: str) -> str:
        seen = (c for c in text if unicodedata.category(c)[0] in _SEEN and c not in _FILLERS)
        if sum(1 for _ in islice(seen, minimum)) < minimum:
            raise PydanticKnownError("string_too_short", {"min_length": minimum})
        return text

    return AfterValidator(check)


def _text(minimum: int, maximum: int, clean: Any = _on_one_line) -> Any:
    """Return the type of a text that a person wrote; its length is counted without what nobody sees."""
    return Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=minimum, max_length=maximum),
        BeforeValidator(clean),
        _seen(minimum),
        AfterValidator(_printable),
        AfterValidator(_substantial),
    ]


@lru_cache(maxsize=1024)
def _phone(text: str) -> str:
    """Return a phone number in its international form, with its extension if it has one: `+862363850000 转 8001`."""
    try:
        number = phonenumbers.parse(_EXTENSION.sub(" ext. ", unicodedata.normalize("NFKC", text)), "CN")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise PydanticCustomError(
            "phone",
            "No such phone number can exist; give one number and check the digits and the area code",
            {"zh": "电话号码不存在，请只填一个号码并核对号码和区号", "rule": "R2.2"},
        )
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain} 转 {number.extension}" if number.extension else plain


def _email(text: str) -> str:
    try:
        return validate_email(unicodedata.normalize("NFKC", text).strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        raise PydanticCustomError(
            "email", "No such e-mail address can exist", {"zh": "电子邮箱地址不正确，请核对", "rule": "R2.2"}
        ) from None


class Sender(BaseModel):
    """The citizen, and at least one way to reach them."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[_text(1, 50), Field(json_schema_extra=_rule("R2.2"), examples=["李明"])]  # type: ignore[valid-type]
    phone: Annotated[
        Annotated[str, Field(max_length=30), AfterValidator(_phone)] | None,
        BeforeValidator(_if_any),
        Field(json_schema_extra=_rule("R2.2"), examples=["023-63850000"]),
    ] = None
    email: Annotated[
        Annotated[str, Field(max_length=254), AfterValidator(_email)] | None,
        BeforeValidator(_if_any),
        Field(json_schema_extra=_rule("R2.2")),
    ] = None
    address: Annotated[_text(4, 200) | None, BeforeValidator(_if_any), Field(json_schema_extra=_rule("R2.2"))] = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _reachable(self) -> "Sender":
        if not (self.phone or self.email or self.address):
            raise PydanticCustomError(
                "unreachable",
                "Give at least one of phone, email and address",
                {"zh": "电话、电子邮箱、地址至少填写一项", "rule": "R2.2"},
            )
        return self

    def contact(self) -> Contact:
        """Return the contact data as it is kept."""
        return Contact(name=self.name, phone=self.phone, email=self.email, address=self.address)


EXAMPLE: dict[str, Any] = {
    "mailbox": "mayor",
    "subject": "小区门口路灯不亮",
    "body": "我们小区门口的路灯坏了半个多月，晚上老人孩子出行很不安全，希望尽快修好。",
    "sender": {"name": "李明", "phone": "13800138000"},
    "nature": "help",
    "domain": "utilities-power",
    "region": "500103",
    "may_publish": True,
}


class Submission(BaseModel):
    """A letter as a citizen writes it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    mailbox: Annotated[str, Field(max_length=80, json_schema_extra=_rule("R2.1"))]
    """Code of the mayor's mailbox or a unit's."""
    subject: Annotated[_text(4, 60), Field(json_schema_extra=_rule("R2.2"))]  # type: ignore[valid-type]
    body: Annotated[_text(10, 5000, _cleaned), Field(json_schema_extra=_rule("R2.2"))]  # type: ignore[valid-type]
    sender: Annotated[Sender, Field(json_schema_extra=_rule("R2.2"))]
    nature: Annotated[Nature, Field(json_schema_extra=_rule("R3.3"))]
    domain: Annotated[str, Field(max_length=80, json_schema_extra=_rule("R3.4"))]
    region: Annotated[str, Field(max_length=6, json_schema_extra=_rule("R3.5"))]
    may_publish: Annotated[bool, Field(strict=True, json_schema_extra=_rule("R2.2"))]
    """Whether the letter may be published."""
    reported_mailbox: Annotated[str | None, Field(max_length=80, json_schema_extra=_rule("R3.3"))] = None
    """For a report (举报): the mailbox it is about; that mailbox never gets to see it."""
    reported_names: Annotated[
        list[Annotated[_text(1, 50), Field(json_schema_extra=_rule("R3.3"))]],  # type: ignore[valid-type]
        Field(max_length=REPORTED, json_schema_extra=_rule("R3.3"), examples=[["王某某"]]),
    ] = []
    """For a report: names of the people it is about. Whoever of the mailboxes' staff has such a name never gets to see it."""
    attachments: Annotated[
        list[Annotated[str, Field(max_length=2000)]], Field(max_length=ATTACHMENTS, json_schema_extra=_rule("R2.2"))
    ] = []
    """Up to five `attachment` values from `POST /intake/attachments`."""

    @model_validator(mode="after")
    def _only_a_report_names_people(self) -> "Submission":
        if self.reported_names and self.nature is not Nature.REPORT:
            raise PydanticCustomError(
                "not_a_report",
                "Only a report (nature: report) names the people it is about: leave `reported_names` out",
                {"zh": "只有举报才填写被举报人", "rule": "R3.3"},
            )
        return self

    def classification(self, directory: Directory) -> Classification:
        """Return what the citizen says the letter is about.

        Citizens know names, not subjects: everybody of that name counts, in the reported unit if there is one. Most officials are
        no staff of a mailbox; then the name is just part of the letter.
        """
        about = self.reported_mailbox
        unit = None if about is None else directory.same_unit(about)
        subjects = {subject for name in self.reported_names for subject in directory.people(name, unit)}
        return named(
            Classification(
                nature=self.nature,
                domain=self.domain,
                region=self.region,
                reported_mailbox=about,
                reported_people=tuple(sorted(subjects)),
            ),
            directory,
        )


def named(about: Classification, directory: Directory) -> Classification:
    """Return a classification with the unit of the first reported person as the reported one, where none is given.

    So the unit stays kept from it when the person leaves. The mayor's mailbox cannot be: none stands above it.
    """
    if about.reported_mailbox is not None or about.nature is not Nature.REPORT:
        return about
    units = (code for one in about.reported_people for code in sorted(directory.works_in(one)) if directory.above(code))
    return about.model_copy(update={"reported_mailbox": next(units, None)})


def takes_letters(mailbox: Mailbox) -> bool:
    """Whether citizens may choose a mailbox: the mayor's and the units', not departments inside units or closed ones (R2.1)."""
    return mailbox.kind is not MailboxKind.DEPARTMENT and mailbox.closed is None


def check_mailbox(code: str, directory: Directory) -> list[FieldError]:
    """Return what is wrong with a citizen's choice of mailbox (R2.1)."""
    successor = directory.current(code)
    if successor != code and directory.get(code).kind is not MailboxKind.DEPARTMENT:
        name = directory.get(successor).name
        return [
            FieldError(
                "/mailbox",
                f"该信箱已撤并，请写给{name}（{successor}）",
                f"That mailbox is closed; write to {successor} ({name}) in its place",
                "R2.1",
            )
        ]
    if code not in directory or not takes_letters(directory.get(code)):
        return [
            FieldError(
                "/mailbox",
                "没有这个信箱；可选的信箱见 /intake/mailboxes",
                "There is no such mailbox; GET /intake/mailboxes lists them",
                "R2.1",
            )
        ]
    return []


def check_classification(classification: Classification, directory: Directory) -> list[FieldError]:
    """Return what is wrong with a classification: domain, region, reported mailbox (R3.3–R3.5)."""
    wrong: list[FieldError] = []
    try:
        directory.domain(classification.domain)
    except UnknownEntry:
        wrong.append(
            FieldError(
                "/domain",
                "没有这个领域；可选的领域见 /intake/domains",
                "There is no such domain; GET /intake/domains lists them",
                "R3.4",
            )
        )
    try:
        directory.region(classification.region)
    except UnknownEntry:
        wrong.append(
            FieldError(
                "/region",
                "没有这个区县；请用 GB/T 2260 代码，见 /intake/regions",
                "There is no such region; use a GB/T 2260 code, listed at GET /intake/regions",
                "R3.5",
            )
        )
    if classification.reported_people and classification.nature is not Nature.REPORT:
        wrong.append(
            FieldError(
                "/reported_people",
                "只有举报才填写被举报人",
                "Only a report (nature: report) names the people it is about",
                "R3.3",
            )
        )
    wrong += [
        FieldError(
            f"/reported_people/{place}",
            "信箱名录中没有这个人；不是信箱工作人员的，不用填写",
            "The directory has nobody with this subject; leave out who is no staff of a mailbox",
            "R3.3",
        )
        for place, subject in enumerate(classification.reported_people)
        if not directory.works_in(subject)
    ]
    about = classification.reported_mailbox
    if about is not None:
        if classification.nature is not Nature.REPORT:
            wrong.append(
                FieldError(
                    "/reported_mailbox",
                    "只有举报才填写被举报单位",
                    "Only a report (nature: report) names a reported mailbox",
                    "R3.3",
                )
            )
        else:
            try:
                if directory.unit_of(about).parent is None:
                    wrong.append(
                        FieldError(
                            "/reported_mailbox",
                            "举报市长信箱工作机构的，本系统没有上级信箱可以受理，请向纪检监察机关反映",
                            "No mailbox stands above the mayor's own office; report it to the discipline inspection authority",
                            "R3.0",
                        )
                    )
            except UnknownEntry:
                wrong.append(
                    FieldError("/reported_mailbox", "没有这个单位", "There is no such mailbox to report", "R2.1")
                )
    return wrong
