"""Personal names (R9.1): a surname, a given name of one or two characters, and something beside them that says it is a person.

What says so: a title after it (王丽华女士, 王女士), a word before it (我叫, 联系人, 父亲), 小 or 老 before a surname, a list that it stands
in, a number or a parenthesis with age or sex after it, the place of a signature, or a given name of characters that are usual in names.
Officials with surname and office alone (张局长) act in office and stay; full names are marked, whoever bears them.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from services.publication.redaction.rules import Lexicon, Rules, any_of

HAN: Final = r"[㐀-鿿]"
_HAN: Final = re.compile(HAN)
_STOP: Final = re.compile(rf"(?!{HAN}).|$", re.DOTALL)
_LISTED: Final = re.compile(r"[ ]?(?:、|和|与|及|以及|/)[ ]?")
_LISTED_BEFORE: Final = re.compile(rf"(?:^|[^㐀-鿿]|[是有由的])({HAN}{{2,3}})[、和与及]$")
_PERSON_AFTER: Final = re.compile(
    r"[ ]?\([^()\n]{0,12}?(?:男|女|岁|电话|手机|\d{7}|身份证|化名|外号|绰号|农民|个体)"
    r"|[, ]{0,2}(?:男|女)[,、;)]"
    r"|[,、 ]?(?:学号|学籍号|身份证|手机|电话|证件|现居|现住|家住|居住)"
    r"|[ :,]{0,2}\+?\d{3}[ -]?\d{4}[ -]?\d{4}(?!\d)"
)
_TOLD_AFTER: Final = re.compile(
    r"\(化名\)|[, ]{1,2}[男女][,、;]|,其[妻夫子女母父]|(?:今年|现年)[ ]?[\d一二三四五六七八九十]{1,4}[ ]?(?:周?岁)"
)
"""What is said of persons only: after it even a word of every day is a name."""
_AND_OTHERS: Final = re.compile(r"等(?:\d|[二三四五六七八九十]{1,3}[人户名])")
_FOREIGN: Final = re.compile(
    rf"(?<!{HAN})({HAN}{{2,8}}(?:·{HAN}{{1,8}}){{1,3}})|({HAN}{{2,6}}(?:·{HAN}{{2,6}}){{1,3}})"
)
_SOUNDS: Final = frozenset(
    "阿艾爱巴拜比伯布草达迪丁蒂杜多恩尔法夫古哈海合赫热吉加江卡凯克库拉莱兰勒里力丽列鲁伦洛马玛麦买曼米明木穆那娜乃南尼努帕普齐其乔"
    "肉撒萨赛色沙山斯苏索塔台泰提铁图吐托瓦维乌吾西希夏亚依伊尤于扎孜詹珍佐旺杰卓央金丹增次仁肯丝妮莎肖雪芙蕾"
)
"""Characters that names of other languages are written with."""
_CLOSING: Final = re.compile(
    rf"(?:^|[\n。!?…)”\": ]|此致|敬礼|-{{1,2}}|市民|村民|居民)[ ]{{0,60}}({HAN}{{2,4}}?)(?:敬上|叩谢|拜谢|谢上|亲笔|呈|上)?"
    r"[ \n]{0,60}(?:\d{4}[年./-]\d{1,2}[月./-]\d{1,2}日?)?[ )]{0,60}$"
)
_MASKED: Final = re.compile(r"[某Xx*×]")
_SMALL: Final = re.compile(r"(?<![大老小幼中矮最])[小老阿]")
_CERTAIN: Final = frozenset(("女士", "先生", "小姐", "小朋友"))
_DOCUMENT_AFTER: Final = re.compile(r"[ ]?[〔\[(【]\d{4}")
_ALL_HAN: Final = re.compile(rf"{HAN}+")
_BEFORE_NAMES: Final = frozenset("是叫由向和与及被对找跟请让把给员师者户主长生机人的为经了")
_NOT_GIVEN: Final = frozenset("家某姓的了是在们个就这那")
_PLACES: Final = frozenset("湖溪桥岩河湾坝石村园轩苑冲镇组路岸口岭土水岗垭坪沟垸")
"""Ends of places, which otherwise look like names."""


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
        self._single = (
            frozenset(rules.surnames)
            | frozenset(rules.surnames_that_are_words)
            | frozenset(rules.surnames_mostly_words)
        )
        self._hardly = frozenset(rules.surnames_mostly_words)
        self._words = frozenset(rules.surnames_that_are_words) | self._hardly
        self._compound = frozenset(rules.compound_surnames)
        self._given = frozenset(rules.given)
        self._titles = re.compile(f"(?:{any_of(rules.titles)})")
        official = any_of(rules.official_titles)
        self._official = re.compile(f"(?:{official})")
        surname = f"(?:{any_of(self._compound)}|[{''.join(sorted(self._single))}])"
        self._titled = re.compile(f"(?=({surname})({HAN}{{0,2}}?)({any_of(rules.titles)}))")
        self._surname = re.compile(surname)
        labels = any_of([*rules.name_labels, *rules.kin])
        self._labels = re.compile(
            f'(?:{labels})(?:都是|均为|均是|分别是|是|叫|为|有|系|姓名|名叫|的是)?[ ]?[:,(“"「]?[ ]?(?:(?:{labels})[ ]?)?'
        )
        self._strong = re.compile(r"(?:叫|姓名|名字是|真名|大名|化名|户名)[ ]?[:是(“\"]?[ ]?$|:")
        self._after = re.compile(f"(?:{any_of(word for word in rules.after_names if len(word) > 1)})")
        self._after_one = frozenset(word for word in rules.after_names if len(word) == 1)
        self._small = re.compile(f"(?<![大老小幼中矮最较更很太])([小老阿])({surname})")
        self._ordinary = Lexicon([*rules.not_names, *rules.public_names])
        self._public = re.compile(any_of(rules.public_names)) if rules.public_names else None

    def find(self, folded: str) -> list[Found]:
        """Return the names, in order; `folded` is the text as `fold` returns it."""
        words = _Words(self._ordinary, folded)
        found: dict[int, Found] = {}

        def take(one: Found) -> None:
            if one.start not in found or one.end > found[one.start].end:
                found[one.start] = one

        for way in (self._by_title, self._by_label, self._small_names, self._foreign, self._by_looks, self._closing):
            for one in way(folded, words):
                take(one)
        for one in self._listed(folded, list(found.values()), words):
            take(one)
        return _apart(found.values())

    def again(self, folded: str, names: Collection[str]) -> Iterator[Found]:
        """Yield every further place of names that were found, in this text or in another one of the letter."""
        for start, end in Lexicon(name for name in names if len(name) >= 2).places(folded):
            name = folded[start:end]
            title = self._titles.match(folded, end)
            begins, ends = self._begins(folded, start), self._ends(folded, end)
            if name in self._ordinary and title is None:
                continue
            if (len(name) == 2 and not (begins or ends)) or (name[0] in self._hardly and not (begins and ends)):
                continue
            why = "与已标出的姓名相同 / the same name as one that was found"
            yield Found(start, end, title.end() if title else end, why, full=True)

    def surname_of(self, name: str) -> str:
        """Return the surname that a name begins with."""
        return name[:2] if name[:2] in self._compound else name[:1]

    # ── what says that it is a person ────────────────────────────────────────────────────────────────────────────────

    def _by_title(self, folded: str, words: "_Words") -> Iterator[Found]:
        for place in self._titled.finditer(folded):
            start = place.start()
            surname, given, title = place.groups()
            end = start + len(surname) + len(given)
            labelled = self._labelled(folded, start)
            begins = labelled or self._begins(folded, start)
            if given:
                if words.before(start) or (words.starts(start, end) and not (begins and title in _CERTAIN)):
                    continue
                if self._has_title_inside(surname + given) or not self._fits(surname, given, begins=begins):
                    continue
            elif words.before(start) or words.starts(start, len(folded)) or (surname in self._hardly and not begins):
                continue
            if len(title) == 1 and not labelled and not self._ends(folded, end + 1):
                continue
            why = "姓名加称谓 / a name with a title" if given else "姓氏加称谓 / a surname with a title"
            yield Found(start, end, end + len(title), why, full=bool(given))

    def _by_label(self, folded: str, words: "_Words") -> Iterator[Found]:
        for label in self._labels.finditer(folded):
            start = label.end()
            strong = bool(self._strong.search(label[0])) and not self._official.match(label[0])
            end = self._name_end(folded, start, strong=strong)
            if end is None:
                continue
            surname = self.surname_of(folded[start:end])
            usual = self._usual(folded[start + len(surname) : end])
            closed = not _HAN.match(folded, end)
            named = strong and label[0].rstrip(' :是(“"')[-1] in "叫名"
            if not (named and self._ends(folded, end)):
                if words.starts(start, end) or words.before(start):
                    continue
                if surname in self._words and not (usual or closed or (label[0] != "叫" and self._ends(folded, end))):
                    continue
                if surname in self._hardly and not (
                    usual and (self._ends(folded, end) or self._titles.match(folded, end))
                ):
                    continue
                if label[0].startswith(("我是", "叫")) and not closed:
                    continue
            title = self._titles.match(folded, end)
            why = "“姓名、联系人、父亲”等词后的姓名 / a name after a word for a person"
            yield Found(start, end, title.end() if title else end, why, full=True)

    def _small_names(self, folded: str, words: "_Words") -> Iterator[Found]:
        for place in self._small.finditer(folded):
            start, end = place.span()
            title = self._titles.match(folded, end)
            labelled = self._labelled(folded, start)
            if place[0] == "老师" or (place[2] in self._words and title is None and not labelled):
                continue
            if words.crossed(start, end) or words.before(end - 1):
                continue
            if title is None and not self._ends(folded, end) and not labelled:
                continue
            yield Found(start, end, title.end() if title else end, "小、老加姓氏 / 小 or 老 with a surname", full=False)

    def _foreign(self, folded: str, _words: "_Words") -> Iterator[Found]:
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

    def _by_looks(self, folded: str, words: "_Words") -> Iterator[Found]:
        """Yield names that nothing but their characters, and where they begin and end, gives away."""
        for place in self._surname.finditer(folded):
            start, base = place.span()
            for end in (base + 2, base + 1):
                if self._looks(folded, start, base, end, words):
                    title = self._titles.match(folded, end)
                    why = "常见姓氏加人名用字 / a usual surname with characters of given names"
                    yield Found(start, end, title.end() if title else end, why, full=True)
                    break

    def _looks(self, folded: str, start: int, base: int, end: int, words: "_Words") -> bool:
        surname, given = folded[start:base], folded[base:end]
        if len(given) < end - base or not _ALL_HAN.fullmatch(given) or self._official.match(folded, base):
            return False
        if _DOCUMENT_AFTER.match(folded, end) or self._titles.match(folded, base):
            return False
        begins = self._begins(folded, start) or self._labelled(folded, start)
        others = surname not in self._hardly and _AND_OTHERS.match(folded, end) and not words.crossed(start, end)
        if others or (begins and _TOLD_AFTER.match(folded, end)):
            return True
        if words.crossed(start, end) or not self._passes(surname, given, begins=begins):
            return False
        if _PERSON_AFTER.match(folded, end):
            return True
        certain = self._after.match(folded, end) if len(given) == len(surname) == 1 else self._ends(folded, end)
        words_begin = self._words if len(given) == len(surname) == 1 else self._hardly
        return begins and bool(certain) and surname not in words_begin and given[-1] not in _PLACES

    def _closing(self, folded: str, _words: "_Words") -> Iterator[Found]:
        """Yield the name that stands alone at the end of a text, as a signature."""
        place = _CLOSING.search(folded[-60:].rstrip())
        if place is None:
            return
        offset = max(0, len(folded) - 60)
        start, end = offset + place.start(1), offset + place.end(1)
        name = place[1]
        surname = self._surname.match(name)
        if surname is None or name in self._ordinary or not 1 <= len(name) - len(surname[0]) <= 2:
            return
        if not self._has_title_inside(name):
            yield Found(start, end, end, "文末落款 / the signature at the end", full=True)

    def _listed(self, folded: str, found: Iterable[Found], words: "_Words") -> Iterator[Found]:
        """Yield names that stand in a list with a name that was found."""
        waiting = [one for one in found if one.full or _SMALL.match(folded, one.start)]
        ends = {one.end for one in waiting}
        while waiting:
            one = waiting.pop()
            pieces = []
            link = _LISTED.match(folded, one.titled)
            if link is not None:
                pieces.append((link.end(), self._name_end(folded, link.end(), strong=False)))
            back = _LISTED_BEFORE.search(folded[max(0, one.start - 5) : one.start])
            if back is not None:
                start = one.start - 1 - len(back[1])
                end = self._name_end(folded, start, strong=False)
                pieces.append((start, end if end == one.start - 1 else None))
            for start, end in pieces:
                if end is not None and end not in ends and not words.within(start, end):
                    listed = Found(start, end, end, "与姓名并列 / listed with a name", full=True)
                    ends.add(end)
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
        if (
            run == 0
            or (folded[base] in _NOT_GIVEN and not strong)
            or any(_MASKED.match(folded, base + place) for place in (0, 1))
        ):
            return None
        size = self._size_closed(folded[base : base + run], strong=strong) if run <= 2 else None
        if run > 2:
            size = self._size_open(folded, base, run, strong=strong)
            if size is None and base - start == 2 and folded[base] in self._given:
                size = 1
        return None if size is None else base + size

    def _size_closed(self, given: str, *, strong: bool) -> int | None:
        """Return how much of one or two characters before punctuation is a given name."""
        if self._titles.fullmatch(given) or self._official.fullmatch(given):
            return None
        last = given[-1]
        goes_on = (last in self._after_one and last not in self._given) or self._titles.fullmatch(last)
        return 1 if len(given) == 2 and goes_on and not strong else len(given)

    def _size_open(self, folded: str, base: int, run: int, *, strong: bool) -> int | None:
        """Return how much of a sentence that goes on is a given name: up to a word that follows names, else what looks like one."""
        for size in (2, 1, 3) if strong else (2, 1):
            if self._after.match(folded, base + size) or self._titles.match(folded, base + size):
                return size
        first, second, third = folded[base], folded[base + 1], folded[base + 2]
        if second in self._after_one and (second not in self._given or third not in self._after_one):
            return 1
        if third in self._after_one:
            return 2
        if strong and run == 3:
            return 3
        # Most names have two characters after the surname; one too many covers the name all the same.
        return 2 if strong or first in self._given or second in self._given else None

    def _ends(self, folded: str, place: int) -> bool:
        """Whether a sentence can go on here after a name."""
        if place >= len(folded) or _STOP.match(folded, place):
            return True
        return folded[place] in self._after_one or bool(self._after.match(folded, place))

    def _begins(self, folded: str, place: int) -> bool:
        """Whether a name can begin here: after punctuation, or after a word that names people."""
        return place == 0 or not re.match(HAN, folded[place - 1]) or folded[place - 1] in _BEFORE_NAMES

    def _usual(self, given: str) -> bool:
        """Whether all characters are such as given names usually have."""
        return all(character in self._given for character in given)

    def _fits(self, surname: str, given: str, *, begins: bool) -> bool:
        """Whether a surname and a given name before a title are a name: the more a surname is also a word, the more it takes."""
        if not _NOT_GIVEN.isdisjoint(given):
            return False
        usual = self._usual(given)
        if surname in self._hardly:
            return begins and usual
        return begins or usual or surname not in self._words

    def _passes(self, surname: str, given: str, *, begins: bool) -> bool:
        """Whether the characters alone look like a name: all usual, or one of two after a surname that begins no words."""
        if not _NOT_GIVEN.isdisjoint(given):
            return False
        if self._usual(given) or len(surname) == 2:
            return True
        return begins and surname not in self._words and len(given) == 2 and any(one in self._given for one in given)

    def _labelled(self, folded: str, place: int) -> bool:
        """Whether a word after which names stand ends here."""
        return any(label.end() == place for label in self._labels.finditer(folded, max(0, place - 6), place))

    def _has_title_inside(self, name: str) -> bool:
        return bool(self._official.search(name) or self._titles.search(name[1:]))


class _Words:
    """Where words stand that look like names and are none."""

    def __init__(self, lexicon: Lexicon, folded: str) -> None:
        self._ends = dict(lexicon.places(folded))

    def within(self, start: int, end: int) -> bool:
        """Whether such a word begins and ends in a piece."""
        return any(place in self._ends and self._ends[place] <= end for place in range(start, end))

    def starts(self, start: int, end: int) -> bool:
        """Whether such a word begins at a place and ends by another."""
        return 0 < self._ends.get(start, 0) <= end

    def before(self, start: int) -> bool:
        """Whether such a word begins before a place and goes on there."""
        return any(self._ends.get(place, 0) > start for place in range(max(0, start - 4), start))

    def crossed(self, start: int, end: int) -> bool:
        """Whether a piece holds such a word, or begins in one."""
        return self.within(start, end) or self.before(start) or self._ends.get(start, 0) > end


def _apart(found: Iterable[Found]) -> list[Found]:
    """Return names in order; of two that overlap the first."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda name: (name.start, -name.end)):
        if kept and one.start < kept[-1].end:
            continue
        kept.append(one)
    return kept
