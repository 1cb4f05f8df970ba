"""The chain of a letter's history, as pure code: what makes it, and that every kind of damage is found with its place (R10.1)."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.routing import steps
from services.routing.chain import GENESIS, Entry, Fact, Head, Kept, check, digest, hash_of
from shared.contracts.catalogue import BY_TYPE, FACTS
from shared.messaging.parking import Message, read

EVERYTHING = {0: 10_000}
"""Routing has recorded all of the topic."""


def fact(source: str, seq: int, offset: int, **changes) -> Fact:
    values = {
        "letter_id": "a",
        "place": (0, offset),
        "id": f"{source}-{seq}",
        "type": "xinxiang.LetterRead.v1",
        "source": source,
        "seq": seq,
        "at": "2026-03-02T01:30:00.000Z",
        "sha256": sha256(f"{source}{seq}".encode()).hexdigest(),
        "said": (digest({"subject": source}), digest(f"{source}{seq}"), ""),
    }
    return Fact(**{**values, **changes})


def chained(facts: Sequence[Fact], head: Head | None = None) -> list[Entry]:
    head = head or Head()
    return [entry for one in facts if (entry := head.extend(one)) is not None]


def kept(entries: Sequence[Entry]) -> Kept:
    return Kept(entries, (entries[-1].n, entries[-1].hash) if entries else None)


STORY = [
    fact(source, seq, 100 * seq + 10 * place) for seq in (1, 2, 3) for place, source in enumerate(("intake", "routing"))
]


@st.composite
def topics(draw) -> list[Fact]:
    """What may stand on the topic under one key: facts in the order of their `seq` per service, some twice, some replayed or dropped."""
    counts = draw(st.dictionaries(st.sampled_from(["intake", "routing", "deadline"]), st.integers(1, 6), min_size=1))
    waiting = {source: list(range(1, count + 1)) for source, count in counts.items()}
    order: list[tuple[str, int, str, bool]] = []
    while any(waiting.values()):
        source = draw(st.sampled_from(sorted(s for s, left in waiting.items() if left)))
        order.append((source, waiting[source].pop(0), "", False))
        if draw(st.booleans()):
            again = draw(st.sampled_from(order))
            order.append(again if draw(st.booleans()) else (*again[:2], f"letters/0/{len(order)}", draw(st.booleans())))
    return [
        fact(source, seq, 3 * number, replay_of=origin, dropped=dropped and bool(origin))
        for number, (source, seq, origin, dropped) in enumerate(order)
    ]


@given(topics(), st.data())
def test_r10_1_the_chain_is_the_same_however_the_topic_comes_in_batches_and_however_often(
    facts: list[Fact], data: st.DataObject
) -> None:
    once = chained(facts)
    head, entries = Head(), []
    begin = 0
    while begin < len(facts):
        end = data.draw(st.integers(begin + 1, len(facts)))
        entries += chained(facts[begin:end], head)
        begin = data.draw(st.integers(0, end)) if data.draw(st.booleans()) else end  # a batch that comes again
        if len(entries) > 100:
            break
    entries += chained(facts, head)
    assert entries == once
    assert [entry.n for entry in once] == list(range(1, len(once) + 1))
    told = [(one.source, one.seq) for one in facts if not one.replay_of]
    assert len([entry for entry in once if not entry.fact.replay_of]) <= len(set(told))
    assert {(entry.fact.source, entry.fact.seq) for entry in once} == {(one.source, one.seq) for one in facts}
    assert not check("a", kept(once), facts, EVERYTHING).breaks


def test_r10_1_the_hash_is_that_of_the_form_that_is_documented() -> None:
    first, second = chained(STORY[:2])
    assert first.previous == GENESIS
    assert second.previous == first.hash
    one = STORY[1]
    form = f'["xinxiang-history-1","a",2,"{first.hash}","{one.id}","{one.type}","routing",1,"{one.at}","{one.sha256}","",false]'
    assert second.hash == sha256(form.encode()).hexdigest()


@given(st.sampled_from(range(6)), st.sampled_from(["id", "type", "source", "at", "sha256", "replay_of", "letter_id"]))
def test_r10_1_whatever_is_altered_in_an_entry_no_longer_fits_its_hash(place: int, name: str) -> None:
    entries = chained(STORY)
    change: Any = {name: "else"}
    entries[place] = replace(entries[place], fact=replace(entries[place].fact, **change))
    found = check("a", kept(entries), STORY, EVERYTHING).breaks
    assert f"entry {place + 1} was altered" in found[0]


@given(st.sampled_from(range(6)), st.sampled_from(["type", "at", "sha256"]))
def test_r10_1_an_entry_forged_with_all_hashes_behind_it_is_not_what_the_record_holds(place: int, name: str) -> None:
    """Somebody who knows how hashes are made alters an entry and makes the rest of the chain anew, its end too."""
    change: Any = {name: "else"}
    forged = [replace(one, **change) if n == place else one for n, one in enumerate(STORY)]
    (found,) = check("a", kept(chained(forged)), STORY, EVERYTHING).breaks
    assert f"entry {place + 1} is not what the record holds: {name}" in found


@given(st.sampled_from(range(6)), st.sampled_from([("by", 0), ("why", 1), ("details", 2)]))
def test_r10_1_what_an_entry_says_in_words_is_compared_with_the_fact(place: int, part: tuple[str, int]) -> None:
    entries = chained(STORY)
    said = list(entries[place].fact.said)
    said[part[1]] = digest("somebody else")
    entries[place] = replace(entries[place], fact=replace(entries[place].fact, said=tuple(said)))
    (found,) = check("a", kept(entries), STORY, EVERYTHING).breaks
    assert found.endswith(f"entry {place + 1} is not what the record holds: {part[0]}")


@given(st.sampled_from(range(6)))
def test_r10_1_an_entry_that_was_removed_is_missed(place: int) -> None:
    entries = chained(STORY)
    whole = kept(entries)
    del entries[place]
    found = check("a", Kept(entries, whole.end), STORY, EVERYTHING).breaks
    assert any(one.endswith((f"entry {place + 1} is missing", f"missing: entry {place + 1}")) for one in found)
    assert any(f"the history lacks LetterRead.v1 ({STORY[place].source} {STORY[place].seq}," in one for one in found)


@given(st.sampled_from(range(6)))
def test_r10_1_an_entry_that_was_removed_with_all_traces_is_missed_by_the_record(place: int) -> None:
    forged = chained([one for n, one in enumerate(STORY) if n != place])
    (found,) = check("a", kept(forged), STORY, EVERYTHING).breaks
    assert f"the history lacks LetterRead.v1 ({STORY[place].source} {STORY[place].seq}," in found
    assert found.endswith(f"its entry {place + 1}")


@given(st.integers(0, 6))
def test_r10_1_an_entry_that_was_inserted_is_none_of_the_record(place: int) -> None:
    offset = STORY[place - 1].place[1] + 1 if place else 5
    invented = fact("publication", 1, offset)
    forged = chained([*STORY[:place], invented, *STORY[place:]])
    (found,) = check("a", kept(forged), STORY, EVERYTHING).breaks
    assert f"entry {place + 1} was inserted: the record has no LetterRead.v1 (publication 1" in found


@given(st.sampled_from(range(5)))
def test_r10_1_entries_in_another_order_are_found(place: int) -> None:
    entries = chained(STORY)
    entries[place], entries[place + 1] = entries[place + 1], entries[place]
    found = check("a", kept(sorted(entries, key=lambda entry: entry.n)), STORY, EVERYTHING).breaks
    assert not found, "sorted by number it is the same history"
    swapped = [replace(entry, n=n) for n, entry in enumerate(entries, 1)]
    found = check("a", kept(swapped), STORY, EVERYTHING).breaks
    assert any(
        f"entry {place + 1} is out of order: on the record it comes after entry {place + 2}" in one for one in found
    )
    assert any(f"entry {place + 1} was altered" in one for one in found)


def test_r10_1_an_end_that_was_cut_off_or_moved_is_found() -> None:
    entries = chained(STORY)
    cut = check("a", Kept(entries[:4], kept(entries).end), STORY, EVERYTHING).breaks
    assert any("the end is missing: entry 5–6" in one for one in cut)
    assert any(
        "says 4 entries; there are 6" in one
        for one in check("a", Kept(entries, (4, entries[3].hash)), STORY, EVERYTHING).breaks
    )
    assert any("says 0 entries" in one for one in check("a", Kept(entries, None), STORY, EVERYTHING).breaks)
    assert any(
        "entry 6 is not the one" in one for one in check("a", Kept(entries, (6, "0" * 64)), STORY, EVERYTHING).breaks
    )


def test_r10_1_what_routing_has_not_read_yet_is_behind_and_not_broken() -> None:
    entries = chained(STORY[:4])
    handled = {0: STORY[4].place[1]}
    verdict = check("a", kept(entries), STORY, handled)
    assert (verdict.breaks, verdict.behind) == ([], 2)
    written_and_not_noted = check("a", Kept(chained(STORY), (4, entries[-1].hash)), STORY, handled)
    assert (written_and_not_noted.breaks, written_and_not_noted.behind) == ([], 0)
    assert len(check("a", kept(entries), STORY, EVERYTHING).breaks) == 2


def test_r10_1_a_missing_fact_is_said_until_it_comes() -> None:
    late = [fact("intake", 1, 1), fact("intake", 4, 2), fact("intake", 6, 3)]
    found = check("a", kept(chained(late)), late, EVERYTHING).breaks
    assert [one.partition(" / ")[2] for one in found] == [
        "the record lacks fact 2–3 of intake",
        "the record lacks fact 5 of intake",
    ]
    filled = [*late, *(fact("intake", seq, 10 + turn) for turn, seq in enumerate((3, 2, 5)))]
    assert not check("a", kept(chained(filled)), filled, EVERYTHING).breaks
    assert [entry.fact.seq for entry in chained(filled)] == [1, 4, 6, 3, 2, 5]


def test_r10_1_two_different_facts_of_one_number_are_told() -> None:
    record = [*STORY, fact("intake", 2, 999, sha256="f" * 64)]
    (found,) = check("a", kept(chained(record)), record, EVERYTHING).breaks
    assert "two different facts intake 2" in found


def test_r10_1_every_fact_has_its_row_with_category_and_words_in_two_languages() -> None:
    assert set(steps.STEPS) == {kind for kind in FACTS if not hasattr(kind, "upgrade")}
    for kind, step in steps.STEPS.items():
        chinese, english = step.name.split(" / ")
        assert not chinese.isascii(), kind
        assert english.isascii(), kind
        assert step.category is not steps.Category.OTHER
    assert {step.category for step in steps.STEPS.values()} == set(steps.Category) - {steps.Category.OTHER}


def message(headers: list[tuple[str, bytes]], value: bytes, key: str) -> Message:
    class Record:
        topic, partition, offset = "letters", 0, 7

    record = Record()
    record.key, record.headers, record.value = key.encode(), headers, value  # type: ignore[attr-defined]
    return read(record, "")  # type: ignore[arg-type]


_texts = st.text(max_size=40) | st.sampled_from(["1.0", "a", "1", "routing", "/services/intake", *BY_TYPE])
_values = st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10), lambda c: st.dictionaries(st.text(max_size=8), c)
).map(lambda value: orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS) if _fits(value) else b"{}")


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@given(
    st.fixed_dictionaries({"ce_specversion": st.just("1.0"), "ce_id": _texts, "ce_type": _texts, "ce_source": _texts})
    | st.dictionaries(st.sampled_from(["ce_specversion", "ce_id", "replayof"]), _texts),
    st.sampled_from(["1", "0", "-3", "x", "1000000"]),
    st.sampled_from(["2026-03-02T01:30:00+08:00", "0001-01-01T00:00:00+08:00", "yesterday", "2026-03-02"]),
    _values,
)
def test_r10_1_no_record_whatever_it_holds_stops_the_history(
    headers: dict[str, str], seq: str, at: str, value: bytes
) -> None:
    given_headers = {**headers, "ce_subject": "a", "ce_seq": seq, "ce_time": at}
    found = steps.record_of(message([(k, v.encode()) for k, v in given_headers.items()], value, "a"))
    if found is not None:
        assert found.fact.sha256 == sha256(value).hexdigest()
        assert Head().extend(found.fact) is not None


def test_r10_1_what_a_record_says_of_itself_is_read_and_hashed_as_it_stands() -> None:
    at = "2026-03-02T09:30:00.000+08:00"
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "x",
        "ce_type": "xinxiang.LetterRead.v1",
        "ce_source": "/services/intake",
    }
    value = b'{"letter_id": "a", "at": "2026-03-02T01:30:00Z", "by": {"subject": "li", "mailbox": "mayor"}}'
    more = {"ce_subject": "a", "ce_seq": "1", "ce_time": at}
    found = steps.record_of(message([(k, v.encode()) for k, v in (headers | more).items()], value, "a"))
    assert found is not None
    assert found.fact.at == "2026-03-02T01:30:00.000Z"
    assert found.by == {"subject": "li", "name": "", "mailbox": "mayor"}
    assert hash_of(found.fact, 1, GENESIS) == chained([found.fact])[0].hash
    for odd, read_as in (
        ("0001-01-01T00:00:00+08:00", "0001-01-01T00:00:00.000+08:00"),
        ("2026-03-02", ""),
        ("soon", ""),
    ):
        headers_then = headers | more | {"ce_time": odd}
        then = steps.record_of(message([(k, v.encode()) for k, v in headers_then.items()], value, "a"))
        assert then is not None
        assert then.fact.at == read_as
