"""Personal names (R9.1): a surname, a given name of one or two characters, and something beside them that says it is a person.

What says so: a title after it (王丽华女士, 王女士), a word before it (我叫, 联系人, 父亲), 小 or 老 before a surname, a list that it stands
in, a number or a parenthesis with age or sex after it, the place of a signature, or a given name of characters that are usual in names.
Officials with surname and office alone (张局长) act in office and stay; full names are marked, whoever bears them.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from services.publication.redaction.rules import Rules, any_of

HAN: Final = r"[㐀-鿿]"
_STOP: Final = re.compile(rf"(?!{HAN}).|$", re.DOTALL)
_LISTED: Final = re.compile(r"[ ]?(?:、|和|与|及|以及|/|,|，)[ ]?")
_PERSON_AFTER: Final = re.compile(r"[ ]?[(（][^()（）\n]{0,12}?(?:男|女|岁|电话|手机|\d{7}|身份证|化名|外号|绰号|农民|个体)|[,， ]{0,2}(?:男|女)[,，、;；)）]|[ :：,，]{0,2}\+?\d{3}[ -]?\d{4}[ -]?\d{4}(?!\d)")
_FOREIGN: Final = re.compile(rf"(?<!{HAN})({HAN}{{2,8}}(?:·{HAN}{{1,8}}){{1,3}})|({HAN}{{2,6}}(?:·{HAN}{{2,6}}){{1,3}})")
_SOUNDS: Final = frozenset("阿艾爱巴拜比伯布草达迪丁蒂杜多恩尔法夫古哈海合赫热吉加江卡凯克库拉莱兰勒里力丽列鲁伦洛马玛麦买曼米明木穆那娜乃南尼努帕普齐其乔肉撒萨赛色沙山斯苏索塔台泰提铁图吐托瓦维乌吾西希夏亚依伊尤于扎孜詹珍佐旺多杰扎西卓央金尼玛丹增次仁")
_CLOSING: Final = re.compile(rf"(?:^|[\n。！!？?…）)”\"：: ]|此致|敬礼|[—-]{{1,2}}|市民|村民|居民)[ ]*({HAN}{{2,4}})(?:敬上|叩谢|拜谢|谢上|亲笔|呈|上)?[ ]*(?:[\n ]*\d{{4}}[年.-/]\d{{1,2}}[月.-/]\d{{1,2}}日?)?[ )）]*$")
_MASKED: Final = re.compile(r"[某XxＸ*＊×]")
_SMALL: Final = re.compile(r"(?<![大老小幼中矮最])[小老阿]")
_TOO_LATE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """A name in a text: from `start` to `end`, its title to `titled` (or `end` without one)."""

    start: int
    end: int
    titled: int
    why: str
    full: bool
    """Whether it has a given name; else it is a surname with a title, or 小 or 老 with a surname."""


class Names:
    """Finds names by the rules."""

    def __init__(self, rules: Rules) -> None:
        self._single = frozenset(rules.surnames) | frozenset(rules.surnames_that_are_words)
        self._words = frozenset(rules.surnames_that_are_words)
        self._compound = frozenset(rules.compound_surnames)
        self._given = frozenset(rules.given)
        self._titles = re.compile(f"(?:{any_of(rules.titles)})")
        official = any_of(rules.official_titles)
        self._official = re.compile(f"(?:{official})")
        surname = f"(?:{any_of(self._compound)}|[{''.join(sorted(self._single))}])"
        self._titled = re.compile(f"(?=({surname})({HAN}{{0,2}}?)({any_of(rules.titles)}))")
        self._surname = re.compile(surname)
        self._labels = re.compile(
            f"(?:{any_of([*rules.name_labels, *rules.kin])})(?:是|叫|为|姓名|名叫|的是)?[ ]?[:：,，(（“\"「]?[ ]?"
        )
        self._strong = re.compile(r"(?:叫|名|姓名|人|[:：]|名字是|本人|本名)[ ]?[:：(（“\"]?[ ]?$")
        self._after = re.compile(f"(?:{any_of(word for word in rules.after_names if len(word) > 1)})")
        self._after_one = frozenset(word for word in rules.after_names if len(word) == 1)
        self._small = re.compile(f"(?<![大老小幼中矮最较更很太])([小老阿])({surname})")
        self._ordinary = re.compile(f"(?={'|'.join(f'({any_of(group)})' for group in (rules.not_names,))})") if rules.not_names else None
        self._ordinary_words = frozenset(rules.not_names) | frozenset(rules.public_names)
        self._public = re.compile(any_of(rules.public_names)) if rules.public_names else None

    def find(self, folded: str) -> list[Found]:
        """Return the names, in order; `folded` is the text as `fold` returns it."""
        taken = self._ordinary_spans(folded)
        found: dict[int, Found] = {}

        def take(one: Found | None) -> None:
            if one is not None and (one.start not in found or one.end > found[one.start].end):
                found[one.start] = one

        for one in self._by_title(folded, taken):
            take(one)
        for one in self._by_label(folded, taken):
            take(one)
        for one in self._small_names(folded, taken):
            take(one)
        for one in self._foreign(folded):
            take(one)
        for one in self._by_looks(folded, taken):
            take(one)
        take(self._closing(folded))
        for one in self._listed(folded, list(found.values())):
            take(one)
        return _apart(found.values())

    def again(self, folded: str, names: Collection[str]) -> Iterator[Found]:
        """Yield every further place of names that were found, in this text or in another one of the letter."""
        plain = [name for name in names if name not in self._ordinary_words and len(name) >= 2]
        if not plain:
            return
        for place in re.finditer(any_of(plain), folded):
            title = self._titles.match(folded, place.end())
            why = "与已标出的姓名相同 / the same name as one that was found"
            yield Found(place.start(), place.end(), title.end() if title else place.end(), why, full=True)

    def surname_of(self, name: str) -> str:
        """Return the surname that a name begins with."""
        return name[:2] if name[:2] in self._compound else name[:1]

    # ── what says that it is a person ────────────────────────────────────────────────────────────────────────────────

    def _by_title(self, folded: str, ordinary: list[bool]) -> Iterator[Found]:
        for place in self._titled.finditer(folded):
            start = place.start()
            surname, given, title = place.groups()
            end = start + len(surname) + len(given)
            if start and ordinary[start] and ordinary[start - 1] and not self._starts_word(folded, start, ordinary):
                continue
            if ordinary[start] and not given and self._is_word(folded, start, end + len(title)):
                continue
            if given and (not self._can_be_given(given) or self._has_title_inside(surname + given)):
                continue
            if not given and not self._stands_alone(folded, start, surname):
                continue
            if len(title) == 1 and not self._ends(folded, end + 1):
                continue
            why = "姓氏加称谓 / a surname with a title" if not given else "姓名加称谓 / a name with a title"
            yield Found(start, end, end + len(title), why, full=bool(given))

    def _by_label(self, folded: str, ordinary: list[bool]) -> Iterator[Found]:
        for label in self._labels.finditer(folded):
            start = label.end()
            strong = bool(self._strong.search(label[0]))
            end = self._name_end(folded, start, strong=strong)
            if end is None or (not strong and self._is_word(folded, start, end)):
                continue
            if strong and self._is_word(folded, start, end) and not self._ends(folded, end):
                continue
            title = self._titles.match(folded, end)
            yield Found(start, end, title.end() if title else end, "“姓名、联系人、父亲”等词后的姓名 / a name after a word for a person", full=True)

    def _small_names(self, folded: str, ordinary: list[bool]) -> Iterator[Found]:
        for place in self._small.finditer(folded):
            start, end = place.span()
            if place[2] in self._words and place[1] != "老" and not self._titles.match(folded, end):
                continue
            if ordinary[end - 1] or self._is_word(folded, start, end):
                continue
            title = self._titles.match(folded, end)
            if title is None and not self._ends(folded, end):
                continue
            yield Found(start, end, title.end() if title else end, "小、老加姓氏 / 小 or 老 with a surname", full=False)

    def _foreign(self, folded: str) -> Iterator[Found]:
        for place in _FOREIGN.finditer(folded):
            start, end = place.span()
            name = place[0]
            while start < end and folded[start] not in _SOUNDS:
                start += 1
            sounds = sum(character in _SOUNDS for character in folded[start:end])
            if "·" not in folded[start:end] or sounds < 0.7 * (end - start - 1):
                continue
            while end > start and folded[end - 1] not in _SOUNDS:
                end -= 1
            if "·" in folded[start:end] and name:
                yield Found(start, end, end, "间隔号连接的译名 / a name with a middle dot", full=True)

    def _by_looks(self, folded: str, ordinary: list[bool]) -> Iterator[Found]:
        """Yield names that nothing but their characters, and where they begin and end, gives away."""
        for place in self._surname.finditer(folded):
            start = place.start()
            if ordinary[start]:
                continue
            surname = place[0]
            compound = len(surname) == 2
            for size in (2, 1):
                end = start + len(surname) + size
                given = folded[start + len(surname) : end]
                if len(given) < size or not all(character in self._given for character in given):
                    continue
                if any(ordinary[start:end]):
                    continue
                person = _PERSON_AFTER.match(folded, end)
                if size == 1 and not compound and person is None:
                    continue
                if not (person or (self._begins(folded, start) and self._ends(folded, end))):
                    continue
                if surname in self._words and person is None:
                    continue
                title = self._titles.match(folded, end)
                yield Found(start, end, title.end() if title else end, "常见姓氏加人名用字 / a usual surname with characters of given names", full=True)
                break

    def _closing(self, folded: str) -> Found | None:
        """Return the name that stands alone at the end of a text, as a signature."""
        tail = folded[-60:].rstrip()
        place = _CLOSING.search(tail)
        if place is None:
            return None
        offset = max(0, len(folded) - 60)
        start, end = offset + place.start(1), offset + place.end(1)
        name = place[1]
        surname = self._surname.match(name)
        if surname is None or name in self._ordinary_words or not 1 <= len(name) - len(surname[0]) <= 2:
            return None
        if self._official.search(name) or self._titles.search(name[1:]):
            return None
        return Found(start, end, end, "文末落款 / the signature at the end", full=True)

    def _listed(self, folded: str, found: Iterable[Found]) -> Iterator[Found]:
        """Yield names that stand in a list with a name that was found."""
        waiting = [one for one in found if one.full or _SMALL.match(folded, one.start)]
        ends = {one.end: one for one in waiting}
        while waiting:
            one = waiting.pop()
            link = _LISTED.match(folded, one.titled)
            if link is not None:
                comma = link[0].strip() in {",", "，"}
                end = self._name_end(folded, link.end(), strong=False)
                if end and end not in ends and not comma and not self._is_word(folded, link.end(), end):
                    listed = Found(link.end(), end, end, "与姓名并列 / listed with a name", full=True)
                    ends[end] = listed
                    waiting.append(listed)
                    yield listed
            before = folded[max(0, one.start - 5) : one.start]
            back = re.search(rf"(?:^|[^㐀-鿿]|[是有由的])({HAN}{{2,3}})[、和与及]$", before)
            if back is not None:
                start = one.start - 1 - len(back[1])
                if self._name_end(folded, start, strong=False) == one.start - 1 and not self._is_word(folded, start, one.start - 1):
                    listed = Found(start, one.start - 1, one.start - 1, "与姓名并列 / listed with a name", full=True)
                    if listed.end not in ends:
                        ends[listed.end] = listed
                        waiting.append(listed)
                        yield listed

    # ── where a name ends ────────────────────────────────────────────────────────────────────────────────────────────

    def _name_end(self, folded: str, start: int, *, strong: bool) -> int | None:
        """Return where a name that begins at `start` ends; None if none does."""
        surname = self._surname.match(folded, start)
        if surname is None:
            return None
        base = surname.end()
        if self._official.match(folded, base) or (self._public and self._public.match(folded, start)):
            return None
        stop = _STOP.search(folded, base, base + 5)
        run = (stop.start() if stop else base + 5) - base
        if run == 0:
            return None
        if _MASKED.match(folded, base) or _MASKED.match(folded, base + 1):
            return None
        if run <= 2:
            given = folded[base : base + run]
            if run == 2 and (given[1] in self._after_one and given[1] not in self._given):
                return base + 1
            return None if self._titles.fullmatch(given) or self._official.fullmatch(given) else base + run
        for size in (2, 1, 3):
            if size < run + 1 and (self._after.match(folded, base + size) or self._titles.match(folded, base + size)):
                if size == 3 and not strong:
                    continue
                return base + size
        two, one = folded[base + 2 : base + 3], folded[base + 1 : base + 2]
        if one in self._after_one and one not in self._given:
            return base + 1
        if two in self._after_one:
            return base + 2
        if one in self._after_one:
            return base + 1
        if run == 3 and strong:
            return base + 3
        if folded[base] in self._given and one in self._given:
            return base + 2
        if strong:
            return base + 2
        return None

    def _ends(self, folded: str, place: int) -> bool:
        """Whether a sentence can go on here after a name."""
        if place >= len(folded) or _STOP.match(folded, place):
            return True
        return folded[place] in self._after_one or bool(self._after.match(folded, place))

    def _begins(self, folded: str, place: int) -> bool:
        """Whether a name can begin here: after punctuation, or after a word that names people."""
        return place == 0 or not re.match(HAN, folded[place - 1]) or folded[place - 1] in "是叫由向和与及被对找跟请让把给姓员师者户主长生机人"

    def _can_be_given(self, given: str) -> bool:
        return not _MASKED.search(given) and all(character not in self._after_one or character in self._given for character in given)

    def _has_title_inside(self, name: str) -> bool:
        return bool(self._official.search(name) or self._titles.search(name[1:]))

    def _stands_alone(self, folded: str, start: int, surname: str) -> bool:
        """Whether a surname before a title is one: not the end of another word."""
        if len(surname) == 2 or start == 0 or surname not in self._words:
            return True
        return not re.match(HAN, folded[start - 1]) or folded[start - 1] in self._after_one or self._begins(folded, start)

    # ── words that are no names ──────────────────────────────────────────────────────────────────────────────────────

    def _ordinary_spans(self, folded: str) -> list[bool]:
        """Return for each character whether it is in a word that looks like a name and is none."""
        taken = [False] * (len(folded) + 1)
        if self._ordinary is not None:
            for place in self._ordinary.finditer(folded):
                for offset in range(place.start(), place.end(1)):
                    taken[offset] = True
        return taken

    def _is_word(self, folded: str, start: int, end: int) -> bool:
        """Whether a piece is, or begins with, a word that is no name."""
        return any(folded[start : start + size] in self._ordinary_words for size in range(2, end - start + 1))

    def _starts_word(self, folded: str, start: int, ordinary: list[bool]) -> bool:
        return self._is_word(folded, start, min(len(folded), start + 3))


def _apart(found: Iterable[Found]) -> list[Found]:
    """Return names in order; of two that overlap the first, as long as its title does not begin the second."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda name: (name.start, -name.end)):
        if kept and one.start < kept[-1].end:
            continue
        kept.append(one)
    return kept
