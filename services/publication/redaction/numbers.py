"""Numbers that lead to a person: telephones, identity and bank card numbers, plates, accounts, cases (R9.1).

Validated by libraries where there is something to validate; what has no check digit is taken by the word before it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneNumberType
from stdnum import luhn, numdb
from stdnum.cn import ric, uscc

from services.publication.redaction.marks import Kind, Mark
from services.publication.redaction.rules import Rules, any_of

_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}(?:@|[ ]?\(at\)[ ]?)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}",
    re.IGNORECASE,
)
_PLATE: Final = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使][ ]?[A-HJ-Z][ ·.-]{0,2}"
    r"(?=[A-Z ]{0,6}\d)(?:[A-HJ-NP-Z0-9]{5,6}|[A-HJ-NP-Z0-9]{4}[挂学警港澳])(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_RUN: Final = r"[+(]?\d[0-9A-Za-z ().-]*"
_GROUP: Final = re.compile(r"[0-9A-Za-z]+")
_BETWEEN: Final = r"[ ._/~|-]{0,3}"
_GLUED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?<!\d\.)(?P<letters>[A-Za-z]{0,20})"
    rf"(?P<number>(?:(?:00)?86{_BETWEEN})?1[3-9]\d{_BETWEEN}\d{{4}}{_BETWEEN}\d{{4}}|\d{{6}}{_BETWEEN}\d{{8}}{_BETWEEN}\d{{3}}[\dXx])"
    r"(?!\d)(?![A-Za-z]{1,12}\d{5})(?P<more>[A-Za-z]?)"
)
"""A mobile or an identity number, also between letters; letters and digits that take turns are a code and none."""
_CODE: Final = r"[A-Za-z0-9](?:[A-Za-z0-9]|[-_/.](?=[A-Za-z0-9])|[ ](?=\d)){2,39}"
_FILLER: Final = r"(?:另一个|抄在上面|分别[为是]|号码|账号|编号|尾号|\((?!\d{4}\))[^\d()\n]{0,4}\)|[号群]|[:为是在上 #“\"「(我的]){0,4}"
_DOCUMENT: Final = re.compile(
    r"[㐀-鿿]{0,12}(?:\([㐀-鿿]{1,6}\))?[㐀-鿿]{0,6}[\[(〔【](?:19|20)\d\d[\])〕】][㐀-鿿]{0,10}\d{0,6}[㐀-鿿]{0,8}第?\d{1,14}号"
    r"|[㐀-鿿]{1,6}第\d{2,12}号"
    r"|[㐀-鿿]{2,6}\d{4}-\d{3,8}"
    r"|(?:19|20)\d\d(?!年)[㐀-鿿]{1,4}(?:\d{4}[㐀-鿿]{1,4})?第?\d{3,8}号?"
)
_ACCOUNT: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:wxid_[A-Za-z0-9]{4,20}|wx[-_][A-Za-z0-9]{4,18})(?![A-Za-z0-9])", re.IGNORECASE
)
_NUMBERED: Final = re.compile(
    r"[\[(〔【](?:19|20)\d\d[\])〕】][㐀-鿿]{0,10}\d{0,6}[㐀-鿿]{0,8}第?\d{1,14}号|第\d{2,12}号|(?<!\d)(?:19|20)\d\d(?!年)[㐀-鿿]{1,4}第\d{3,8}号"
)
_HEAD: Final = re.compile(r"[㐀-鿿()]{1,14}$")
_CASE: Final = re.compile(
    r"[\[(〔]?(?:19|20)\d\d[\])〕]?[ ]?[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼兵最军]\d{0,4}[㐀-鿿]{1,4}\d{1,7}号"
)
_GOVERNMENT: Final = re.compile(r"[㐀-鿿]{1,60}[\[(〔【]\d{4}[\])〕】]\d{1,20}号")
_LIST: Final = re.compile(r"[ ]?(?:[、,;/和及与或]|抄送)[ ]?(?:号码)?")
_CLAUSE: Final = re.compile(r"[。！？!?；\n]")
_MOBILE: Final = re.compile(r"1[3-9]\d{9}")
_WITH_AREA: Final = re.compile(r"0[1-9]\d{8,10}")
_MOST_DIGITS: Final = 21
_BANK_CARD = range(16, 20)
_What = tuple[Kind, str, str]
"""Kind, why, replacement."""
_LANDLINE: Final = "[座机]"
"""Set while it is not decided whose it is."""


@dataclass(frozen=True, slots=True)
class _Label:
    word: str
    kind: Kind | None
    """None: what follows is public."""
    start: int
    end: int


class Numbers:
    """Finds numbers by the rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._kind_of: dict[str, Kind | None] = {word: kind for kind, words in rules.labels.items() for word in words}
        self._kind_of |= dict.fromkeys(rules.public_labels)
        self._labels = re.compile(_labels(self._kind_of))
        self._case_marks = re.compile(any_of(rules.case_marks))
        self._beside = re.compile(f"({any_of(rules.persons)})|({any_of(rules.offices)})")
        latin = [word for word, kind in self._kind_of.items() if word.isascii() and kind is not Kind.MESSENGER]
        after = "".join(f"|(?<={re.escape(word)})" for word in sorted(latin))
        self._run = re.compile(rf"(?:(?<![A-Za-z0-9])(?<!\d\.){after}){_RUN}")

    def find(self, folded: str, *, by_office: bool = False) -> Iterator[Mark]:
        """Yield marks, which may overlap.

        Args:
            folded: the text as `fold` returns it.
            by_office: it was written by an office: a landline in it is the office's own, unless a person is named beside it.
        """
        labels = [_Label(m[0], self._kind_of[m[0]], m.start(), m.end()) for m in self._labels.finditer(folded)]
        yield from self._emails(folded)
        yield from self._plates(folded)
        yield from self._cases(folded)
        yield from self._labelled(folded, labels)
        yield from self._digits(folded, labels, by_office=by_office)
        yield from self._glued(folded)

    def _emails(self, folded: str) -> Iterator[Mark]:
        for found in _EMAIL.finditer(folded):
            address = re.sub(r"[ ]?\(at\)[ ]?", "@", found[0], flags=re.IGNORECASE).rstrip(".-")
            if any(address.lower().endswith(("@" + domain, "." + domain)) for domain in self._rules.public_domains):
                continue
            try:
                validate_email(address, check_deliverability=False)
                why = "可用的电子邮箱地址 / a valid e-mail address"
            except EmailNotValidError:
                why = "像电子邮箱地址 / looks like an e-mail address"
            yield Mark(found.start(), found.end(), Kind.EMAIL, why, "[邮箱]")

    def _plates(self, folded: str) -> Iterator[Mark]:
        for found in _PLATE.finditer(folded):
            plain = re.sub(r"[ ·.-]", "", found[0])
            new = len(plain) == 8
            why = "新能源车牌号 / a plate of a new-energy vehicle" if new else "机动车号牌 / a vehicle's plate (GA 36)"
            yield Mark(found.start(), found.end(), Kind.PLATE, why, "[车牌号]")

    def _cases(self, folded: str) -> Iterator[Mark]:
        for found in _CASE.finditer(folded):
            yield Mark(found.start(), found.end(), Kind.REFERENCE, "法院案号 / a court's case number", "[案号]")
        for found in _NUMBERED.finditer(folded):
            if _CASE.match(folded, found.start()):
                continue
            head = _HEAD.search(folded, max(0, found.start() - 14), found.start())
            lead = head[0] if head else ""
            lead = lead[_lead(lead) :]
            if self._case_marks.search(lead + found[0]):
                why = "含案件用字的文号 / a document number with the mark of a case"
                yield Mark(found.start() - len(lead), found.end(), Kind.REFERENCE, why, "[案号]")
        for found in _ACCOUNT.finditer(folded):
            yield Mark(
                found.start(), found.end(), Kind.MESSENGER, "微信号的写法 / written as WeChat ids are", "[微信/QQ号]"
            )

    def _labelled(self, folded: str, labels: list[_Label]) -> Iterator[Mark]:
        """Yield what stands after a word such as 户号 or 微信, and what is listed after that."""
        for place, label in enumerate(labels):
            if label.kind not in _VALUE_OF or (place + 1 < len(labels) and labels[place + 1].start < label.end):
                continue
            value, check, why, replacement = _VALUE_OF[label.kind]
            found, listed = value.match(folded, label.end), None
            while found is not None:
                start, end = found.span("value")
                end = start + len(folded[start:end].rstrip(" -"))
                if not check(folded[start:end]) or (listed is not None and end - start < 6):
                    break
                if end - start < (5 if label.word == "编号" else 4 if label.word[-1] in "号码" else 6):
                    break
                if label.word == "编号" and _GOVERNMENT.fullmatch(folded, start, end):
                    break
                if folded[end : end + 1] == "@":
                    break
                yield Mark(start, end, label.kind, why, replacement)
                listed = _LIST.match(folded, end)
                found = value.match(folded, listed.end()) if listed else None

    def _digits(self, folded: str, labels: list[_Label], *, by_office: bool) -> Iterator[Mark]:
        before: _Label | None = None
        last = 0
        place = 0
        for run in self._run.finditer(folded):
            while place < len(labels) and labels[place].end <= run.start():
                place += 1
            label = labels[place - 1] if place else None
            if label is not None and (
                label.end < last or run.start() - label.end > 24 or _CLAUSE.search(folded, label.end, run.start())
            ):
                label = None
            if label is None and before is not None and _LIST.fullmatch(folded, last, run.start()):
                label = before
            near_by = label is not None and (run.start() - label.end <= 8 or label is before)
            marked = list(self._in_run(folded, run, label if near_by else None, label))
            for mark in marked:
                if mark.replacement != _LANDLINE or not self._is_an_office(folded, mark.start, by_office=by_office):
                    yield replace(mark, replacement="[电话]") if mark.replacement == _LANDLINE else mark
            if marked or label is not None:
                before, last = label, run.start() + len(run[0].rstrip(" .-("))

    def _in_run(self, folded: str, run: re.Match[str], label: _Label | None, far: _Label | None) -> Iterator[Mark]:
        """Yield the numbers in digits that only spaces, dots, dashes and brackets divide: at each group the longest that is a number."""
        groups = [(run.start() + m.start(), run.start() + m.end()) for m in _GROUP.finditer(run[0])]
        first = 0
        while first < len(groups):
            taken = first + 1
            for last in range(min(len(groups), first + 12), first, -1):
                number = "".join(folded[a:b] for a, b in groups[first:last])
                if not 7 <= len(number) <= _MOST_DIGITS:
                    continue
                start, end = groups[first][0], groups[last - 1][1]
                found = self._what(number, start - label.end if label else 0, label, far)
                if found is not None:
                    if start and folded[start - 1] in "+(":
                        start -= 1
                    yield Mark(start, end, *found)
                    taken = last
                    break
            first = taken

    def _glued(self, folded: str) -> Iterator[Mark]:
        """Yield the numbers that letters stand right beside, or that are divided as few are: Tel13900001234, 139_0000_1234."""
        for found in _GLUED.finditer(folded):
            number = re.sub(r"[^0-9A-Za-z]", "", found["number"])
            divided = any(sign in found["number"] for sign in "_/~|")
            if (found["letters"] or found["more"] or divided) and number not in self._rules.public_numbers:
                what = _of_eighteen(number, None) if len(number) == 18 else _of_phone(number, labelled=False)
                if what is not None:
                    yield Mark(found.start("number"), found.end("number"), *what)

    def _what(self, number: str, gap: int, label: _Label | None, far: _Label | None) -> _What | None:
        """Return what a number is: kind, why, replacement; `gap`: characters between it and its label."""
        kind = label.kind if label else None
        found = _of_eighteen(number, kind) if len(number) == 18 else None
        if found is None and number.isdigit():
            found = _of_fifteen(number, kind) if len(number) == 15 else None
            found = found or _of_bank(number, kind, gap)
            if found is None and not (kind is Kind.REFERENCE and gap <= 2) and number not in self._rules.public_numbers:
                found = _of_phone(number, labelled=far is not None and far.kind is Kind.PHONE)
        return found

    def _is_an_office(self, folded: str, start: int, *, by_office: bool) -> bool:
        """Whether the nearest word before a landline, within 40 characters, is one of an office rather than of a person."""
        beside = list(self._beside.finditer(folded, max(0, start - 40), start))
        return beside[-1][2] is not None if beside else by_office


def _labels(words: Iterable[str]) -> str:
    """Return a pattern of labels; one in Latin letters is a word of its own."""
    latin = [word for word in words if word[0].isascii()]
    return f"(?:(?<![A-Za-z0-9])(?:{any_of(latin)})|{any_of(set(words) - set(latin))})"


def _of_eighteen(number: str, kind: Kind | None) -> _What | None:
    if _is_id(number):
        return Kind.ID_NUMBER, "18位且校验码正确 / 18 digits with a valid check digit (GB 11643)", "[身份证号]"
    if uscc.is_valid(number):
        why = "18位且校验码正确的统一社会信用代码 / a credit code with a valid check character (GB 32100)"
        return Kind.CREDIT_CODE, why, "[统一社会信用代码]"
    if kind is Kind.ID_NUMBER and number[:17].isdigit():
        why = "“身份证”后的18位号码，校验码不符 / 18 digits after 身份证, though the check digit is wrong"
        return Kind.ID_NUMBER, why, "[身份证号]"
    if kind is Kind.CREDIT_CODE:
        why = "“信用代码”后的18位代码，校验码不符 / 18 characters after 信用代码, though the check character is wrong"
        return Kind.CREDIT_CODE, why, "[统一社会信用代码]"
    return None


def _of_fifteen(number: str, kind: Kind | None) -> _What | None:
    if kind in {None, Kind.ID_NUMBER} and _is_old_id(number):
        why = "15位旧身份证号，地区和生日存在 / an old 15-digit number whose area and birthday exist"
        return Kind.ID_NUMBER, why, "[身份证号]"
    if kind is Kind.ID_NUMBER:
        return Kind.ID_NUMBER, "“身份证”后的15位号码 / 15 digits after 身份证", "[身份证号]"
    return None


def _of_bank(number: str, kind: Kind | None, gap: int) -> _What | None:
    size = len(number)
    plausible = size in _BANK_CARD and number[0] in "3456" and luhn.is_valid(number)
    if plausible and (kind is Kind.BANK_CARD or (kind is not Kind.REFERENCE and number.startswith("62"))):
        why = f"{size}位且校验位正确的银行卡号 / {size} digits with a valid check digit (Luhn)"
        return Kind.BANK_CARD, why, "[银行卡号]"
    if kind is Kind.BANK_CARD and size >= 12 and gap <= 4:
        return (
            Kind.REFERENCE,
            "“账号、卡号”后的号码，不是银行卡的校验位 / digits after a word for an account, not a bank card's",
            "[账号]",
        )
    return None


def _of_phone(number: str, *, labelled: bool) -> _What | None:
    local = number.removeprefix("0086")
    local = local[2:] if local.startswith("86") and len(local) == 13 else local
    local = (
        local[1:] if local.startswith("01") and len(local) == 12 else local
    )  # the 0 once dialled before a mobile number
    if _MOBILE.fullmatch(local):
        is_mobile = _type_of(local) is PhoneNumberType.MOBILE
        return (Kind.PHONE, "11位手机号 / a mobile number of 11 digits", "[电话]") if is_mobile else None
    whole = _WITH_AREA.fullmatch(local) and _type_of(local) is PhoneNumberType.FIXED_LINE
    if whole or (labelled and len(local) in {7, 8} and local[0] in "2345678"):
        return Kind.PHONE, "固定电话，前后不像单位公开电话 / a landline, not beside words of an office", _LANDLINE
    return None


@lru_cache(maxsize=4096)
def _type_of(number: str) -> int | None:
    try:
        parsed = phonenumbers.parse(number, "CN")
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.number_type(parsed) if phonenumbers.is_valid_number(parsed) else None


def _is_id(number: str) -> bool:
    try:
        return ric.is_valid(number)
    except KeyError:  # the library knows the province of the area and no county
        return False


def _is_old_id(number: str) -> bool:
    """Whether 15 digits can be an identity number of before 1999: an area that existed, a birthday that exists."""
    whole = f"{number[:6]}19{number[6:]}"
    try:
        ric.get_birth_date(whole + "0")
    except ric.InvalidComponent:
        return False
    return bool(numdb.get("cn/loc").info(number[:6])[0][1])


def _lead(head: str) -> int:
    """Return how many characters before a document number belong to the sentence rather than to the number."""
    return max((head.rfind(word) + len(word) for word in _SENTENCE if word in head), default=0)


_SENTENCE: Final = ("号", "书", "为", "是", "的", "证", "据", "按照", "依据", "编", "件")


def _is_reference(value: str) -> bool:
    return sum(character.isdigit() for character in value) >= 3 and len(value) >= 4


def _is_messenger(value: str) -> bool:
    plain = value.replace(" ", "")
    if plain.isdigit():
        return 5 <= len(plain) <= 11
    return 5 <= len(plain) <= 20


_VALUE_OF: Final = {
    Kind.REFERENCE: (
        re.compile(rf"{_FILLER}(?P<value>{_DOCUMENT.pattern}|{_CODE})"),
        _is_reference,
        "“户号、编号、合同”等词后的编号 / a number after a word for an account, a case or a contract",
        "[编号]",
    ),
    Kind.MESSENGER: (
        re.compile(rf"{_FILLER}(?P<value>[A-Za-z0-9](?:[A-Za-z0-9]|[-_](?=[A-Za-z0-9])|[ ](?=\d)){{4,23}})"),
        _is_messenger,
        "“微信、QQ”后的账号 / an account after a word for a messenger",
        "[微信/QQ号]",
    ),
}
"""Kind → value after a label, what it must be like, why, replacement."""
