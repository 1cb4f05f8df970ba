"""Every kind of damage that the checker must find, planted one at a time; and what it must say of each.

Damage to what people keep is done to a copy of the ledger, damage to a store is undone afterwards. What stands on a topic stays: each such
damage has letters of its own.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

from shared.contracts.envelope import Outgoing, event_id
from shared.storage import Store
from shared.storage import place as public_place
from tests.chaos.ledger import FILE
from tests.conftest import World

Json: TypeAlias = dict[str, Any]
AT: Final = "2026-03-17T03:00:00.000Z"
OTHER: Final = "改动过的文字"


@dataclass
class Place:
    """Where damage is done."""

    world: World
    store: Store
    folder: Path
    """The ledger's."""
    copy: Path
    """A folder for a damaged ledger."""
    published: str
    """A letter that is published."""
    late: str
    """One that was late and is not."""
    filed: str
    """One with a file, not read yet; and another one."""
    filed_too: str


Damage: TypeAlias = Callable[[Place], AbstractAsyncContextManager[None]]


# ── what people keep ─────────────────────────────────────────────────────────────────────────────────────────────────


def ledger(change: Callable[[list[Json], Place], None]) -> Damage:
    """Damage a copy of the ledger: a list of its lines."""

    @asynccontextmanager
    async def done(place: Place) -> AsyncIterator[None]:
        lines = [json.loads(line) for line in (place.folder / FILE).read_text(encoding="utf-8").splitlines()]
        change(lines, place)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (place.copy / FILE).write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            (place.copy / FILE).unlink()

    return done


def _of(lines: list[Json], kind: str) -> Json:
    return next(line for line in lines if line["kind"] == kind)


def _never_got(lines: list[Json], _: Place) -> None:
    letter = {**_of(lines, "acknowledged")["letter"], "subject": "从未收到的来信"}
    lines.append({**_of(lines, "acknowledged"), "letter": letter, "receipt": "0000-0000-0000-0", "key": "never"})


def _other_body(lines: list[Json], _: Place) -> None:
    _of(lines, "acknowledged")["letter"]["body"] += "！"


def _other_sender(lines: list[Json], _: Place) -> None:
    _of(lines, "acknowledged")["letter"]["sender"]["name"] = "李四"


def _one_of_two(lines: list[Json], _: Place) -> None:
    """Forget one of two letters that say the same: the system has made two of one that was acknowledged."""
    for kind in ("posted", "acknowledged"):
        lines.remove([line for line in lines if line["kind"] == kind][-1])


def _other_number(lines: list[Json], _: Place) -> None:
    _of(lines, "numbered")["number"] = "YFX-2026-777"


def _never_approved(lines: list[Json], _: Place) -> None:
    lines.remove(_of(lines, "approved"))


def _other_file(lines: list[Json], _: Place) -> None:
    next(line for line in lines if line.get("files"))["files"][0]["sha256"] = "0" * 64


def _other_name(lines: list[Json], _: Place) -> None:
    next(line for line in lines if line.get("files"))["files"][0]["name"] = "别的名字.pdf"


def _no_file(lines: list[Json], _: Place) -> None:
    next(line for line in lines if line.get("files"))["files"] = []


def _about_nobody(lines: list[Json], _: Place) -> None:
    _of(lines, "acknowledged")["letter"]["reported_mailbox"] = "water"


# ── what services keep ───────────────────────────────────────────────────────────────────────────────────────────────


def stored(
    service: str, collection: str, query: Callable[[Place], Json], change: Callable[[Json], Json | None]
) -> Damage:
    """Replace the first document that fits by a changed copy, or remove it; then put it back as it was."""

    @asynccontextmanager
    async def done(place: Place) -> AsyncIterator[None]:
        documents = place.store.collection(service, collection)
        before = await documents.find_one(query(place))
        assert before is not None, f"{service}/{collection} has none"
        after = change(json_copy(before))
        if after is None:
            await documents.delete_one({"_id": before["_id"]})
        else:
            assert after != before
            await documents.replace_one({"_id": before["_id"]}, after)
        try:
            yield
        finally:
            await documents.replace_one({"_id": before["_id"]}, before, upsert=True)

    return done


def json_copy(value: Any) -> Any:
    """Return a copy of plain data, down to the leaves."""
    if isinstance(value, dict):
        return {name: json_copy(part) for name, part in value.items()}
    return [json_copy(part) for part in value] if isinstance(value, list) else value


def put(*path: str, to: Any) -> Callable[[Json], Json]:
    """Return a change that sets a field; a function gets what was there."""

    def change(document: Json) -> Json:
        part = document
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = to(part.get(path[-1])) if callable(to) else to
        return document

    return change


def of_letter(name: str, **further: Any) -> Callable[[Place], Json]:
    """Return a query for the document of one of the letters."""
    return lambda place: {"_id": getattr(place, name), **further}


@asynccontextmanager
async def _twice_issued(place: Place) -> AsyncIterator[None]:
    issues = place.store.collection("reporting", "issues")
    last = await issues.find_one({}, sort=[("total_serial", -1)])
    again = json_copy(last) | {"_id": "again", "year_serial": "again", "total_serial": "again"}
    await issues.insert_one(again)
    try:
        yield
    finally:
        await issues.delete_one({"_id": "again"})


@asynccontextmanager
async def _week_skipped(place: Place) -> AsyncIterator[None]:
    """Let the last weekly bulletin be about the week after its own: what comes next follows that one, so nobody makes up for it."""
    issues = place.store.collection("reporting", "issues")
    last = await issues.find_one({"series": "weekly"}, sort=[("total_serial", -1)])
    later = json_copy(last)
    for holder, name in ((later, "first_day"), (later["listed"], "first_day"), (later["listed"], "last_day")):
        holder[name] = (date.fromisoformat(holder[name]) + timedelta(days=7)).isoformat()
    await issues.replace_one({"_id": last["_id"]}, later)
    try:
        yield
    finally:
        await issues.replace_one({"_id": last["_id"]}, last)


@asynccontextmanager
async def _shown_unapproved(place: Place) -> AsyncIterator[None]:
    letters = place.store.collection("publication", "letters")
    other = await letters.find_one({"_id": place.published})
    before = await letters.find_one({"_id": place.late})
    number = before["state"]["number"]
    shown = {**other["public"], "number": f"{number['ascii_prefix']}-{number['year']}-{number['serial']}"}
    after = {
        **before,
        "public": shown,
        "shown": True,
        "public_place": other["public_place"] + "x",
        "public_number": shown["number"],
        # Whoever changes what is public moves its place, by which the index of the site follows; so does this, there and back.
        "public_moved": public_place(datetime.now(UTC), place.late),
    }
    await letters.replace_one({"_id": place.late}, after)
    try:
        yield
    finally:
        moved = public_place(datetime.now(UTC), place.late)
        await letters.replace_one({"_id": place.late}, {**before, "public_moved": moved})


@asynccontextmanager
async def _unsent(place: Place) -> AsyncIterator[None]:
    """Something that cannot be sent waits in an outbox."""
    rows = place.store.collection("routing", "letters")
    before = await rows.find_one({"_id": place.late})
    entry = {"id": "0", "topic": "nowhere", "key": place.late, "headers": {}, "value": b"{}"}
    since = datetime.fromisoformat(AT)
    await rows.replace_one({"_id": place.late}, {**before, "outbox": [entry], "unsent": since})
    try:
        yield
    finally:
        await rows.replace_one({"_id": place.late}, before)


# ── what the topic says ──────────────────────────────────────────────────────────────────────────────────────────────

Forge: TypeAlias = Callable[[Place, Mapping[str, list[Json]]], list[tuple[str, str, int, Json]]]
"""Place, letter → its facts → what is published: letter, source, seq (0: the next), body with its kind under `kind`."""


def told(forge: Forge) -> Damage:
    """Publish records that no service decided, and wait for nothing."""

    @asynccontextmanager
    async def done(place: Place) -> AsyncIterator[None]:
        facts: dict[str, list[Json]] = {}
        for record in await place.world.records("letters"):
            headers = {name: value.decode() for name, value in record.headers}
            body = {**json.loads(record.value), "kind": headers["ce_type"].split(".")[1]}
            body |= {"source": headers["ce_source"].rpartition("/")[2], "seq": int(headers["ce_seq"])}
            facts.setdefault(headers["ce_subject"], []).append(body)
        messages = []
        for letter, source, asked, body in forge(place, facts):
            known = facts.setdefault(letter, [])
            last = max((fact["seq"] for fact in known if fact["source"] == source), default=0)
            seq = asked or last + 1
            known.append({**body, "source": source, "seq": seq})
            messages.append(_message(letter, source, seq, body))
        await place.world.send(*messages)
        yield

    return done


def _message(letter: str, source: str, seq: int, body: Json) -> Outgoing:
    event = event_id(letter, source, seq)
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": event,
        "ce_type": f"xinxiang.{body['kind']}.v1",
        "ce_source": f"/services/{source}",
        "ce_time": AT,
        "ce_subject": letter,
        "ce_seq": str(seq),
    }
    said = {name: value for name, value in body.items() if name not in {"kind", "source", "seq"}}
    said |= {"letter_id": letter}
    return Outgoing(event, "letters", letter, headers, json.dumps(said, ensure_ascii=False).encode())


def _first(facts: list[Json], kind: str) -> Json:
    return next(fact for fact in facts if fact["kind"] == kind)


def _other_content(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    fact = _first(facts[place.late], "CitizenAnswered")
    return [(place.late, "routing", fact["seq"], {**fact, "text": OTHER})]


def _overdue_twice(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    return [(place.late, "deadline", 0, _first(facts[place.late], "ReplyOverdue"))]


def _never_late(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    urged = _first(facts[place.late], "UrgingDue")
    return [(place.late, "deadline", 0, {**urged, "due_at": AT, "count": urged["count"] + 1})]


def _posted_by_nobody(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    return [(str(uuid4()), "intake", 0, {**_first(facts[place.late], "LetterReceived"), "at": AT, "body": OTHER})]


def _number_twice(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    return [(place.filed, "intake", 0, {**_first(facts[place.late], "LetterRegistered"), "at": AT})]


def _number_skipped(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    registered = _first(facts[place.late], "LetterRegistered")
    number = {**registered["number"], "serial": 99}
    return [(place.filed_too, "intake", 0, {**registered, "at": AT, "number": number})]


def _two_holders(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    slip, sent = (_first(facts[place.late], kind) for kind in ("SlipPrepared", "HandoffSent"))
    number = _first(facts[place.filed_too], "LetterRegistered")["number"]
    made: list[tuple[str, str, int, Json]] = []
    for n, unit in enumerate(("education", "water"), start=1):
        both = {"at": AT, "sender": "mayor", "receiver": unit, "number": number}
        made.append((place.filed_too, "routing", 0, {**slip, **both, "slip_id": f"s{n}"}))
        made.append((place.filed_too, "routing", 0, {**sent, **both, "handoff_id": f"s{n}"}))
    for _, _, _, body in made:
        if body["kind"] == "SlipPrepared":
            body.pop("number", None)
    return made


def _lost(place: Place, facts: Mapping[str, list[Json]]) -> list[tuple[str, str, int, Json]]:
    fact = _first(facts[place.published], "LetterRead")
    last = max(one["seq"] for one in facts[place.published] if one["source"] == "intake")
    return [(place.published, "intake", last + 2, fact)]


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────────

REBUILT: Final = "projection.rebuild"
"""What also finds most damage to a store: the document is not what the facts make of it."""

DAMAGES: Final[Mapping[str, tuple[Damage, frozenset[str]]]] = {
    name: (damage, frozenset(found.split()))
    for name, damage, found in (
        ("a letter that the system never got", ledger(_never_got), "letter.there"),
        ("a letter that was made twice", ledger(_one_of_two), "letter.once"),
        ("a body that is not what was posted", ledger(_other_body), "letter.content"),
        ("a report about somebody that the letter is not", ledger(_about_nobody), "letter.content"),
        ("a file under another name", ledger(_other_name), "letter.content"),
        ("a file that nobody sent", ledger(_no_file), "letter.content"),
        ("a sender that is not who wrote", ledger(_other_sender), "letter.content"),
        ("a file that the letter lost", ledger(_other_file), "attachment.bytes"),
        ("a number that somebody saw otherwise", ledger(_other_number), "number.unchanged"),
        ("a publication that nobody approved", ledger(_never_approved), "public.approved"),
        (
            "a body altered in the store",
            stored("intake", "letters", of_letter("late"), put("state", "body", to=OTHER)),
            f"letter.content {REBUILT}",
        ),
        (
            "a letter lost in the store",
            stored("intake", "letters", of_letter("late"), lambda _: None),
            f"letter.there projection.facts {REBUILT}",
        ),
        (
            "a file with a flipped byte",
            stored("intake", "attachments.chunks", lambda _: {}, put("data", to=lambda data: b"\0" + data[1:])),
            "attachment.bytes",
        ),
        (
            "a number altered in the register 附表9",
            stored("routing", "letters", of_letter("late"), put("state", "letter", "number", "serial", to=777)),
            f"number.unchanged {REBUILT}",
        ),
        (
            "a line lost from the register of numbers",
            stored("intake", "register", lambda _: {}, lambda _: None),
            REBUILT,
        ),
        (
            "a history's entry altered",
            stored("routing", "history", lambda place: {"letter": place.late, "n": 3}, put("at", to=AT)),
            f"history.unbroken {REBUILT}",
        ),
        (
            "a history's entry lost",
            stored("routing", "history", lambda place: {"letter": place.late, "n": 3}, lambda _: None),
            f"history.unbroken history.whole {REBUILT}",
        ),
        (
            "a fact missing in one projection",
            stored("reporting", "rows", of_letter("late"), put("seen", "routing", to=lambda seq: seq - 1)),
            "projection.facts",
        ),
        (
            "a letter missing in one projection",
            stored("deadline", "letters", of_letter("late"), lambda _: None),
            f"projection.facts {REBUILT}",
        ),
        (
            "a projection's document altered",
            stored("deadline", "letters", of_letter("late"), put("state", "clocks", to=[])),
            REBUILT,
        ),
        (
            "a published text altered",
            stored("publication", "letters", of_letter("published"), put("public", "body", to=OTHER)),
            f"public.approved {REBUILT}",
        ),
        ("a text shown that was never approved", _shown_unapproved, f"public.approved {REBUILT}"),
        (
            "a published letter hidden",
            stored("publication", "letters", of_letter("published"), put("shown", to=False)),
            f"public.there {REBUILT}",
        ),
        ("a bulletin issued twice", _twice_issued, "bulletin.once"),
        ("a week without a bulletin", _week_skipped, "bulletin.once"),
        (
            "a bulletin altered",
            stored("reporting", "issues", lambda _: {}, put("content", to=lambda text: text.replace("0", "1", 1))),
            "bulletin.once",
        ),
        ("something decided and not sent", _unsent, f"outbox.empty {REBUILT}"),
        ("a fact twice with other content", told(_other_content), "fact.once history.unbroken"),
        ("a lateness declared twice", told(_overdue_twice), "overdue.once"),
        ("an urging without its lateness", told(_never_late), "overdue.once"),
        ("a number on two letters", told(_number_twice), "number.unique"),
        ("a gap in the numbers", told(_number_skipped), f"number.gapless {REBUILT}"),
        ("two holders at a time", told(_two_holders), "holder.one"),
        ("a letter that nobody posted", told(_posted_by_nobody), "letter.posted"),
        ("a lost record", told(_lost), "fact.order projection.facts history.unbroken waiting.none"),
    )
}
"""Kind of damage → how it is done, and the invariants that are violated by it, all of them."""
