"""What a proposal says of one piece of a text: where it is, what it seems to be, why, and what could stand there instead."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.contracts.types import Labelled


class Kind(Labelled):
    """What a mark says a piece of text is (R9.1)."""

    NAME = "name", "姓名"
    PHONE = "phone", "电话"
    EMAIL = "email", "邮箱"
    ID_NUMBER = "id_number", "身份证号"
    CREDIT_CODE = "credit_code", "统一社会信用代码"
    PLATE = "plate", "车牌号"
    BANK_CARD = "bank_card", "银行卡号"
    ADDRESS = "address", "住址"
    MESSENGER = "messenger", "微信/QQ号"
    REFERENCE = "reference", "案号、户号等编号"


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of a text that should not become public as it is.

    Attributes:
        start: offset of its first character in exactly the text that was looked at (characters, not bytes).
        end: offset after its last character.
        kind: what it seems to be.
        why: the rule that found it, in Chinese and English; never the text itself.
        replacement: what is proposed to stand there, such as `王某` or `[电话]`.
    """

    start: int
    end: int
    kind: Kind
    why: str
    replacement: str


_ORDER = (
    Kind.EMAIL,
    Kind.ID_NUMBER,
    Kind.CREDIT_CODE,
    Kind.BANK_CARD,
    Kind.PLATE,
    Kind.PHONE,
    Kind.MESSENGER,
    Kind.REFERENCE,
    Kind.ADDRESS,
    Kind.NAME,
)
_RANK = {kind: rank for rank, kind in enumerate(_ORDER)}


def merged(marks: Iterable[Mark]) -> list[Mark]:
    """Return marks in order and without overlaps.

    Of two that overlap, the one that contains the other stays; else the more certain kind, stretched over both: nothing that was
    found is left uncovered.
    """
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda one: (one.start, -one.end, _RANK[one.kind])):
        if not kept or kept[-1].end <= mark.start:
            kept.append(mark)
            continue
        before = kept[-1]
        if mark.end <= before.end:
            continue
        if mark.start == before.start or _RANK[mark.kind] < _RANK[before.kind]:
            kept[-1] = replace(mark, start=before.start)
        else:
            kept[-1] = replace(before, end=mark.end)
    return kept
