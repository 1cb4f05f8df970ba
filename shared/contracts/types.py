"""Words that every message uses: natures, reasons, channels, people and numbers.

The English terms are the ones of the regulation's table «Who is who»; `label` gives the Chinese one for pages and slips.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time must say its zone, e.g. 2026-03-02T09:00:00+08:00")
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"a time must lie between {EARLIEST.year} and {LATEST.year}")
    return moment


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(3000, 1, 1, tzinfo=UTC)
"""No letter is of another time, and whoever computes with a moment need not think of the ends of the calendar."""
Moment = Annotated[datetime, AfterValidator(_aware)]
"""An aware point in time between `EARLIEST` and `LATEST`; stored in UTC with millisecond precision."""


class Value(BaseModel):
    """An immutable part of a message or a state; unknown fields of a newer writer are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


MOST: Final = 2**53 - 1
"""The largest whole number that every reader of JSON has exactly (RFC 7493, 2.2); the store has it too."""
Whole = Annotated[int, Field(ge=0, le=MOST)]
"""So many of something, maybe none."""
Positive = Annotated[int, Field(ge=1, le=MOST)]


class Labelled(StrEnum):
    """An enumeration whose members carry the regulation's Chinese word."""

    label: str

    def __new__(cls, value: str, label: str) -> Self:
        """Make a member from its English code and its Chinese word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


class Nature(Labelled):
    """The six natures of a letter (R3.3)."""

    SUGGESTION = "suggestion", "建议"
    HELP = "help", "求助"
    COMPLAINT = "complaint", "投诉"
    REPORT = "report", "举报"
    INQUIRY = "inquiry", "咨询"
    OTHER = "other", "其他"


class InvalidReason(Labelled):
    """The five reasons for which a letter is not accepted, and no others (R3.0)."""

    OUTSIDE_GOVERNMENT = "outside_government", "属于党委、人大、政协、军队、法院、检察院职权范围的事项"
    OFFICIAL_DOCUMENT = "official_document", "公文"
    MALICIOUS = "malicious", "恶意攻击"
    REPEATED_OR_EMPTY = "repeated_or_empty", "重复、空白或无实际内容的邮件"
    ADVERTISING = "advertising", "广告"


class TurnTo(Labelled):
    """Whose matter it is that a letter outside government is about (R3.0 (1)), so that the citizen is told whom to turn to."""

    PARTY_COMMITTEE = "party_committee", "党委"
    PEOPLES_CONGRESS = "peoples_congress", "人大"
    CPPCC = "cppcc", "政协"
    ARMED_FORCES = "armed_forces", "军队"
    COURT = "court", "法院"
    PROCURATORATE = "procuratorate", "检察院"


class Way(Labelled):
    """The ways of disposition that hand a letter on (R4.1–R4.4); noting is intake's."""

    DIRECT = "direct", "直办"
    ASSIGN = "assign", "交办"
    FORWARD = "forward", "转阅"
    SUBMIT_UP = "submit_up", "呈办"


class Medium(Labelled):
    """How a hand-off travels (R4.2); by fax or post the sender records receipt and reply by hand."""

    SYSTEM = "system", "系统"
    FAX = "fax", "传真"
    POST = "post", "邮寄"


class ExtensionOutcome(Labelled):
    """What became of an application for more time (R6.4)."""

    GRANTED = "granted", "同意延期"
    PARTLY = "partly", "同意部分延期"
    REFUSED = "refused", "不同意延期"


class AnswerBy(Labelled):
    """Who answers the citizen on an assigned letter (R8.3)."""

    ASSIGNEE = "assignee", "承办单位直接回复来信人"
    ASSIGNER = "assigner", "承办单位回复交办单位，由交办单位答复来信人"


class Channel(Labelled):
    """How an answer reached the citizen (R8.3)."""

    ONLINE = "online", "网上回复"
    PHONE = "phone", "电话答复"
    EMAIL = "email", "电子邮件答复"


class WithholdingGround(Labelled):
    """The four grounds on which a finished letter is not published (R9.1)."""

    STATE_SECRET = "state_secret", "涉及国家秘密"
    TRADE_SECRET = "trade_secret", "涉及依法受保护的商业秘密"
    PRIVACY = "privacy", "涉及个人隐私"
    HIGHLY_SENSITIVE = "highly_sensitive", "高度敏感事项"


class WithdrawalGround(Labelled):
    """Why a publication was withdrawn (R9.1): one of the grounds against publishing, or what only showed afterwards."""

    STATE_SECRET = "state_secret", "涉及国家秘密"
    TRADE_SECRET = "trade_secret", "涉及依法受保护的商业秘密"
    PRIVACY = "privacy", "涉及个人隐私"
    HIGHLY_SENSITIVE = "highly_sensitive", "高度敏感事项"
    CONSENT_WITHDRAWN = "consent_withdrawn", "来信人撤回公开同意"
    INACCURATE = "inaccurate", "公开内容有误"


class Actor(Value):
    """Who did something: a member of staff or a unit's system, never a citizen."""

    subject: Annotated[str, Field(min_length=1, max_length=100)]
    """The `sub` claim of the caller's token."""
    name: Annotated[str, Field(max_length=100)] = ""
    mailbox: Annotated[str, Field(min_length=1, max_length=80)]
    """The code of the mailbox for which they acted."""


def subject_key(subject: str) -> str:
    """Return a token subject so that spellings of one person are equal: upper and lower case are the same (R1.3)."""
    return subject.strip().casefold()


def same_person(one: Actor, other: Actor) -> bool:
    """Whether two actors are one person."""
    return subject_key(one.subject) == subject_key(other.subject)


class Number(Value):
    """A letter's number for ever (R3.6, R3.8), e.g. `渝府信〔2026〕17号`, ASCII `YFX-2026-17`."""

    mailbox: str
    """Code of the first-receiving mailbox."""
    prefix: str
    """Chinese prefix, e.g. `渝府信`."""
    ascii_prefix: str
    """The prefix for links and file names, e.g. `YFX`."""
    year: Annotated[int, Field(ge=2000, le=9999)]
    """Calendar year of registration, Asia/Shanghai."""
    serial: Positive

    @property
    def text(self) -> str:
        """The printed form after GB/T 9704: year in 〔〕, no leading zeros."""
        return f"{self.prefix}〔{self.year}〕{self.serial}号"

    @property
    def ascii(self) -> str:
        """The form for links and files."""
        return f"{self.ascii_prefix}-{self.year}-{self.serial}"


class Attachment(Value):
    """A file the citizen sent; the bytes live in intake's store under `id`."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    media_type: str
    size: Positive
    """Bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PublishedFile(Value):
    """A file that the public may have: renamed and without metadata (R9.1); the bytes live in publication's store under `id`."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    name: Annotated[str, Field(min_length=1, max_length=40)]
    """Given by the system, such as `附件1.pdf`; never the citizen's."""
    media_type: str
    size: Positive
    """Bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class MarkCount(Value):
    """How often a preparer agreed with what was marked as personal data of one kind (R9.1): counts, never the text itself."""

    kind: Annotated[str, Field(min_length=1, max_length=40)]
    """What it seemed to be, such as `phone`."""
    proposed: Whole = 0
    """Marks that the system made."""
    kept: Whole = 0
    """Of these, left in the text: no personal data, or harmless here."""
    changed: Whole = 0
    """Of these, replaced by something else than was proposed."""
    added: Whole = 0
    """Pieces that the preparer marked and the system did not."""


class FormalDocument(Value):
    """A reply by formal document (正式行文, R6.2): what is recorded instead of its text."""

    number: Annotated[str, Field(min_length=1, max_length=100)]
    """Document number (发文字号)."""
    dated: date
    scan: Attachment | None = None


class Contact(Value):
    """The citizen's name and ways to reach them (R2.2). Personal data: never enters the topic `letters`."""

    name: str
    phone: str | None = None
    email: str | None = None
    address: str | None = None


class Classification(Value):
    """What a letter is about: nature (R3.3), domain (R3.4) and region (R3.5)."""

    nature: Nature
    domain: str
    """Code in the directory's list of domains."""
    region: str
    """GB/T 2260 code of a district or county."""
    reported_mailbox: str | None = None
    """For a report (举报): the mailbox it is about, which never gets to see it."""
    reported_people: tuple[str, ...] = ()
    """For a report: the token subjects of staff or leaders of the directory whom it is about, and who never get to see it."""
