"""Addresses down to a house, a building, a flat or a village group (R9.1).

An address is marked once it names two levels (road and number, estate and building, building and unit, village and group, …), or one
level below an estate after a word that says that somebody lives there. The district, the town and the street office before it stay: what
a letter is about should remain readable.
"""

import re
from collections.abc import Iterator
from typing import Final

from services.publication.redaction.marks import Kind, Mark
from services.publication.redaction.rules import Rules, any_of

_COUNT: Final = r"(?:\d{1,4}|[一二三四五六七八九十]{1,3})"
_NUMBER: Final = (
    r"\d{1,5}号(?:院(?!线|长|士|方|内))?(?:附\d{1,4}号?)?"
    r"(?!线|楼|机|门洞|门|出口|口|航站|令|文|公路|桩|井|院线|上午|下午|晚|前|召开)"
)
_BUILDING: Final = rf"(?:[A-Za-z]?{_COUNT}-?[栋幢座](?!桥)|[A-Z]-?[栋座]|{_COUNT}号楼)"
_UNIT: Final = rf"(?:{_COUNT}单元|{_COUNT}号门洞)"
_FLOOR: Final = rf"(?:负?{_COUNT}[楼层]|底楼|顶楼)"
_ROOM: Final = (
    r"(?:[A-Z]?-?\d{1,4}(?:-\d{1,4}){1,3}(?:室|号)?|\d{3,4}(?:室|房|号)?(?!\d|人|元|米|平|多|余|年|天|个|次|户)"
    r"|[A-Z]-?\d{1,4}(?:室|号)?(?![A-Za-z\d])|\d{1,4}室|\d{1,2}号(?!楼|线))(?!\d)"
)
_GROUP: Final = rf"(?:{_COUNT}|(?<=村)(?!民)[㐀-鿿]{{1,4}}?)(?:组|社|队)(?!织|长|会|区|保|员|团|委)"
_ATOM: Final = re.compile(
    rf"(?P<number>{_NUMBER})|(?P<building>{_BUILDING})|(?P<unit>{_UNIT})|(?P<group>{_GROUP})|(?P<floor>{_FLOOR})|(?P<pair>(?<![\d-])[A-Z]?\d{{1,3}}(?:-\d{{1,4}}){{1,3}}(?![\d-]))"
)
_NEXT: Final = re.compile(rf"[ -]{{0,2}}(?:{_NUMBER}|{_BUILDING}|{_UNIT}|{_FLOOR}|{_GROUP}|{_ROOM})")
_BRIDGE: Final = re.compile(
    rf"(?:院)?(?P<estate>[㐀-鿿A-Z]{{2,12}}?(?:[一二三四\d]期|[A-Z]区|[东南西北]区)?)(?:{_BUILDING}|{_UNIT}|{_COUNT}楼|负{_COUNT}层|[A-Z]?\d{{1,4}}(?:-\d{{1,4}}){{1,3}}|\d{{3,4}}(?!\d|人|元|米|多|余|年|个|次|户)|{_NUMBER})"
)
_BROKEN: Final = re.compile(r"[的是有了你我他她在把被和与及向说这那不]")
_BEFORE: Final = re.compile(r"[㐀-鿿A-Za-z0-9]{1,18}$")
_PHASE: Final = re.compile(r"(?:[一二三四五六七八九十\d]{1,2}期|[A-Z]区|[东南西北]区|[A-Z]馆)$")
_PUBLIC_TOO: Final = re.compile(r"(?:[楼层栋幢座号])$")
"""Offices too are on a floor and in a building; a unit or a flat is somebody's."""
_ENDING: Final = re.compile(r"\A.*(?=[栋幢座楼层组社]$)", re.DOTALL)
_JOINING: Final = frozenset("和与对为至")
_WINDOW = 18


class Addresses:
    """Finds addresses by the rules."""

    def __init__(self, rules: Rules) -> None:
        ends = any_of([*rules.roads, *rules.villages, *rules.estates])
        self._road = re.compile(rf".(?:{any_of([*rules.roads, *rules.villages])}|组|社)$")
        self._place = re.compile(rf".(?:{ends}|组|社)$")
        self._village = re.compile(rf"(?:{any_of(rules.villages)})$")
        self._cut = re.compile(rf"{any_of(rules.whole_places)}|({any_of(rules.address_cuts)}|(?<=\d)[年月日])")
        self._living = re.compile(rf"(?:{any_of(rules.living)})")
        self._after = re.compile(rf"[ ,(]?(?:{any_of(rules.places_after)})")
        self._beside = re.compile(f"({any_of(rules.persons)})|({any_of(rules.offices)})")

    def find(self, folded: str) -> Iterator[Mark]:
        """Yield marks in order; `folded` is the text as `fold` returns it."""
        done = 0
        for atom in _ATOM.finditer(folded):
            if atom.start() < done:
                continue
            start = self._begin(folded, atom.start(), done)
            place = folded[start : atom.start()]
            if not self._fits(atom, place):
                continue
            end, levels, homely = self._extend(folded, atom)
            levels += 1 + bool(self._place.search(place) or _PHASE.search(place) or (place and homely))
            if levels < 2 and not self._lives(folded, start):
                continue
            if (
                not homely
                and atom.lastgroup in {"number", "building"}
                and self._is_public(folded, max(done, start - 25), start, end)
            ):
                continue
            done = end
            why = "门牌、楼栋、房号或村组 / a house number, building, flat or village group"
            yield Mark(start, end, Kind.ADDRESS, why, "[地址]")

    def _fits(self, atom: re.Match[str], place: str) -> bool:
        """Whether a level can begin an address after this place: numbers of houses need a road, rooms an estate, groups a village."""
        if atom.lastgroup == "number":
            return bool(self._road.search(place)) or bool(self._place.search(place))
        if atom.lastgroup == "group":
            return bool(self._village.search(place)) or len(place) >= 2
        if atom.lastgroup in {"pair", "floor"}:
            return len(place) >= 2 and bool(self._place.search(place) or _PHASE.search(place))
        return True

    def _begin(self, folded: str, end: int, least: int) -> int:
        """Return where the name of a road, estate or village begins that stands before an offset."""
        before = _BEFORE.search(folded, max(least, end - _WINDOW), end)
        if before is None:
            return end
        start = before.start()
        for cut in self._cut.finditer(folded, start, end):
            joins = cut.start() == start and cut[0] in _JOINING  # 和 first thing after a town begins a name
            if cut[1] is not None and not joins:
                start = cut.end()
        return start

    def _extend(self, folded: str, atom: re.Match[str]) -> tuple[int, int, bool]:
        """Return the end of an address whose first level ends here, how many levels follow, and whether it leads into a building."""
        end, levels, homely = atom.end(), 0, False
        last = _ENDING.sub("", atom[0])
        for _ in range(12):
            step = _NEXT.match(folded, end)
            if step is None:
                bridge = _BRIDGE.match(folded, end)
                if bridge is None or (_BROKEN.search(bridge["estate"]) and not self._place.search(bridge["estate"])):
                    break
                step = bridge
                levels += 1
            level = _ENDING.sub("", step[0])
            levels += level != last  # 9栋10栋11栋 are three of one level
            last = level
            homely = homely or not _PUBLIC_TOO.search(step[0])
            end = step.end()
        return end, levels, homely

    def _lives(self, folded: str, start: int) -> bool:
        return bool(self._living.search(folded, max(0, start - 4), start))

    def _is_public(self, folded: str, least: int, start: int, end: int) -> bool:
        """Whether a road and a number are those of a public place: words of an office before or after, none of a person nearer."""
        if self._after.match(folded, end):
            return True
        beside = [found for found in self._beside.finditer(folded, least, start) if found.end() < start]
        return (
            bool(beside) and beside[-1][2] is not None
        )  # 街道 just before a road is a part of the address, and left out
