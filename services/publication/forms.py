"""What staff send on a publication case (R9.1)."""

from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from services.publication.redaction import Kind
from shared.contracts.types import MarkCount, WithdrawalGround, WithholdingGround

MOST_MARKS = 1_000


def _printable(text: str) -> str:
    if any(ord(character) < 32 and character not in "\n\r\t" for character in text):
        raise PydanticCustomError(
            "control_character", "Remove the control characters", {"zh": "请删去不可见的控制字符", "rule": "R9.1"}
        )
    return text


def _once(ids: list[str]) -> list[str]:
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("named_twice", "Name each file once", {"zh": "同一附件只能列出一次", "rule": "R9.1"})
    return ids


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]
_Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000), AfterValidator(_printable)
]
_FileId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_RULE: JsonDict = {"rule": "R9.1"}


class MarkDecision(_Request):
    """How the preparer decided on one piece that was marked as personal data."""

    kind: Annotated[Kind, Field(json_schema_extra=_RULE)]
    decision: Annotated[Literal["replaced", "changed", "kept", "added"], Field(json_schema_extra=_RULE)]
    """`replaced` as proposed, `changed` to something else, `kept` in the text, or `added` by the preparer."""


class PrepareRequest(_Request):
    """The public text as it shall be shown, and the four questions, each answered by a person (R9.1)."""

    subject: _Line = Field(json_schema_extra=_RULE, description="Subject as the public shall read it.")
    body: _Text = Field(json_schema_extra=_RULE, description="The letter as the public shall read it.")
    reply: _Text = Field(json_schema_extra=_RULE, description="The answer as the public shall read it.")
    attachments: Annotated[list[_FileId], AfterValidator(_once), Field(max_length=10, json_schema_extra=_RULE)] = []
    """Ids of uploaded files that shall be shown with it, in this order."""
    marks: Annotated[list[MarkDecision], Field(max_length=MOST_MARKS, json_schema_extra=_RULE)] = []
    """How each mark was decided; only counts per kind are kept."""
    state_secret: StrictBool = Field(json_schema_extra=_RULE, description="涉及国家秘密?")
    trade_secret: StrictBool = Field(json_schema_extra=_RULE, description="涉及依法受保护的商业秘密?")
    privacy: StrictBool = Field(json_schema_extra=_RULE, description="涉及个人隐私?")
    highly_sensitive: StrictBool = Field(json_schema_extra=_RULE, description="高度敏感事项?")

    @property
    def grounds(self) -> list[WithholdingGround]:
        """The questions answered with yes."""
        return [ground for ground in WithholdingGround if getattr(self, ground.value)]

    @property
    def mark_counts(self) -> list[MarkCount]:
        """The decisions on marks, counted per kind."""
        counts = Counter((mark.kind, mark.decision) for mark in self.marks)
        return [
            MarkCount(
                kind=kind.value,
                proposed=sum(counts[kind, decision] for decision in ("replaced", "changed", "kept")),
                kept=counts[kind, "kept"],
                changed=counts[kind, "changed"],
                added=counts[kind, "added"],
            )
            for kind in Kind
            if any(kind is marked for marked, _ in counts)
        ]


class ApproveRequest(_Request):
    """Approval is of one text with its files, named by its hash."""

    text_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", json_schema_extra=_RULE)]
    """`prepared.text_hash` of the case as it was read."""
    confirm_marks: Annotated[StrictBool, Field(json_schema_extra=_RULE)] = False
    """True: the approver saw each of `prepared.marks`, and those in its files, and finds that they may be public."""


class WithholdRequest(_Request):
    """Grounds that the approver adds to those prepared; there must be one in all."""

    grounds: Annotated[list[WithholdingGround], Field(max_length=4, json_schema_extra=_RULE)] = []


class WithdrawRequest(_Request):
    """Why a publication is withdrawn."""

    ground: Annotated[WithdrawalGround, Field(json_schema_extra=_RULE)]
    """The public reads it."""
    remark: Annotated[
        str,
        StringConstraints(strip_whitespace=True, max_length=2_000),
        AfterValidator(_printable),
        Field(json_schema_extra=_RULE),
    ] = ""
    """For staff; the public never sees it."""
