"""What is asked of a list over HTTP, made into a query; what cannot be right is told with its field and rule."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from fastapi import Query as Parameter

from services.routing.listing import Query, Sort
from services.routing.placing import CITY, PLACES, Place, places_of
from services.routing.repository import ListName
from shared.calendar.zone import end_of_day, start_of_day
from shared.contracts.types import Nature
from shared.directory import Directory, UnknownDomain
from shared.text import SHORTEST_QUERY, normalized
from shared.web.paging import decode_cursor
from shared.web.problems import FieldError, Problem

NEWEST_FIRST: Final = frozenset({ListName.FINISHED, ListName.ALL})
_CHINESE = re.compile(r"([\u4e00-\u9fff]{2,12})[〔\[(【]([0-9]{4})[〕\])】]([0-9]{1,9})号?")
_ASCII = re.compile(r"([A-Z]{2,12})-([0-9]{4})-([0-9]{1,9})")


class Dated(StrEnum):
    """Which day of a letter is meant."""

    RECEIVED = "received"
    REGISTERED = "registered"
    FINISHED = "finished"


def _rule(rule: str, description: str, **more: Any) -> Any:
    return Parameter(description=description, json_schema_extra={"rule": rule}, **more)


@dataclass(frozen=True, slots=True)
class Filters:
    """The parameters of a list, as far as pydantic can check them."""

    nature: Annotated[Nature | None, _rule("R3.3", "nature")] = None
    domain: Annotated[str, _rule("R3.4", "code of a domain; its sub-domains fit too", max_length=100)] = ""
    region: Annotated[str, _rule("R3.5", "GB/T 2260 code", max_length=20)] = ""
    state: Annotated[Place | None, _rule("R10.2", "where the letter stands for this mailbox")] = None
    unit: Annotated[
        str, _rule("R2.1", "the unit (with its departments) or department that has or answered it", max_length=80)
    ] = ""
    dated: Annotated[
        Dated | None, _rule("R10.2", "what `from` and `to` are about; without it: when it was received")
    ] = None
    since: Annotated[date | None, _rule("R10.2", "first day, Asia/Shanghai", alias="from")] = None
    until: Annotated[date | None, _rule("R10.2", "last day, Asia/Shanghai", alias="to")] = None
    number: Annotated[str, _rule("R3.6", "渝府信〔2026〕17号 or YFX-2026-17", max_length=60)] = ""
    text: Annotated[
        str,
        _rule(
            "R10.2",
            "words of the subject or text, apart by spaces: all must occur; 2 characters or more",
            max_length=60,
        ),
    ] = ""
    sort: Annotated[Sort | None, _rule("R10.2", "without it: `dated`, else when it was received")] = None
    order: Annotated[
        Literal["asc", "desc"] | None, _rule("R10.2", "without it `desc` for `finished` and `all` but not for `due`")
    ] = None

    @property
    def given(self) -> bool:
        """Whether anything is asked for."""
        return self != Filters()


def query_of(filters: Filters, name: ListName, mailbox: str, directory: Directory) -> Query:
    """Return the query for a list of a mailbox ("": of the city).

    Raises:
        Problem: 422 with every parameter that is wrong.
    """
    wrong = list(_wrong(filters, name, directory))
    if wrong:
        raise Problem(
            422,
            "查询条件有误 / Some parameters are wrong",
            "Correct the parameters listed under 'errors' and ask again.",
            slug="invalid-fields",
            errors=wrong,
        )
    places: tuple[Place, ...] | None = places_of(name, mailbox) or None
    if filters.state is not None:
        places = (filters.state,) if places is None or filters.state in places else ()
    sort = filters.sort or (Sort(filters.dated.value) if filters.dated else Sort.RECEIVED)
    newest = name in NEWEST_FIRST and sort is not Sort.DUE
    unit = directory.unit_of(filters.unit).code if filters.unit else ""
    return Query(
        mailbox=mailbox,
        places=places,
        nature=filters.nature,
        domain=directory.path_of(filters.domain) if filters.domain else (),
        region=filters.region,
        unit=unit,
        desk=filters.unit if filters.unit != unit else "",
        number=_number(filters.number, directory) or "",
        words=tuple(normalized(filters.text).split()),
        dated=Sort(filters.dated.value) if filters.dated else Sort.RECEIVED,
        since=start_of_day(filters.since) if filters.since else None,
        until=end_of_day(filters.until) if filters.until else None,
        sort=sort,
        descending=filters.order == "desc" if filters.order else newest,
    )


def after_of(cursor: str | None, query: Query) -> str:
    """Return the key behind which a page begins ("": from the start).

    Raises:
        Problem: 400 for a cursor that is not ours, 422 for that of another list.
    """
    found = decode_cursor(cursor, str, str)
    if found is None:
        return ""
    fingerprint, after = found
    if fingerprint != query.fingerprint:
        chinese = "翻页标记属于另一个查询；条件改变后请从第一页开始"
        english = "This cursor belongs to another list: begin at the first page once filters or sort change"
        raise Problem(
            422,
            "翻页标记属于另一个查询 / The cursor of another list",
            "Send the parameters of the page before unchanged, or leave the cursor out.",
            slug="bad-cursor",
            errors=[FieldError("query:cursor", chinese, english, "R10.2")],
        )
    return str(after)


def _wrong(filters: Filters, name: ListName, directory: Directory) -> Iterator[FieldError]:
    if name not in PLACES:
        yield FieldError(
            "query:list",
            f"列表 {name.value} 不能筛选或排序；请去掉条件，或用 list=all 加条件 state",
            f"The list {name.value} takes no filter, sort or text: leave them out, or ask list=all with a state",
            "R10.2",
        )
    if filters.domain:
        try:
            directory.domain(filters.domain)
        except UnknownDomain:
            yield FieldError("query:domain", "没有这个领域", "There is no such domain; see /intake/domains", "R3.4")
    if filters.region and filters.region not in {region.code for region in directory.regions()}:
        yield FieldError("query:region", "没有这个区县", "There is no such region; see /intake/regions", "R3.5")
    if filters.unit and filters.unit not in directory:
        yield FieldError("query:unit", "名录中没有这个单位", "The directory has no such unit", "R2.1")
    if filters.since and filters.until and filters.since > filters.until:
        yield FieldError("query:to", "不能早于 from", "It may not be before `from`", "R10.2")
    for field, day in (("from", filters.since), ("to", filters.until)):
        if day is not None and not 2000 <= day.year <= 2999:
            yield FieldError(f"query:{field}", "年份应在 2000 至 2999 之间", "The year must be 2000 to 2999", "R10.2")
    if filters.number and _number(filters.number, directory) is None:
        yield FieldError(
            "query:number",
            "不是来信编号，或没有信箱用这个字头；应如 渝府信〔2026〕17号 或 YFX-2026-17",
            "This is no letter's number, or no mailbox has this prefix; it must be like 渝府信〔2026〕17号 or YFX-2026-17",
            "R3.6",
        )
    if filters.text and not any(len(word) >= SHORTEST_QUERY for word in normalized(filters.text).split()):
        yield FieldError(
            "query:text",
            "至少要有两个连续的字（标点不算），如：路灯",
            "At least one word of two or more characters is needed, punctuation not counted; for example 路灯",
            "R10.2",
        )


def _number(text: str, directory: Directory) -> str | None:
    """Return the sort key of a number in its Chinese or ASCII form, brackets and widths as people type them; none: it is no number."""
    plain = unicodedata.normalize("NFKC", text).replace(" ", "").upper()
    prefixes = {m.prefix.chinese: m.prefix.ascii for m in directory.mailboxes() if m.prefix}
    if found := _CHINESE.fullmatch(plain):
        prefix = prefixes.get(found[1], "")
    elif found := _ASCII.fullmatch(plain):
        prefix = found[1]
    else:
        return None
    return f"{prefix}|{int(found[2]):04}|{int(found[3]):09}|" if prefix else None


__all__ = ["CITY", "Filters", "after_of", "query_of"]
