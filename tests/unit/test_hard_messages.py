"""What the fuzzed messages found, each as a test of its own: none of these stops whatever comes behind it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from pydantic import ValidationError

from shared.contracts.envelope import BadEnvelope, attributes
from shared.contracts.facts import LetterRead
from shared.messaging.broker import MAX_MESSAGE_BYTES
from shared.messaging.lenient import _Kept, _Partition
from shared.messaging.parking import Message, read, record_of
from shared.messaging.salvage import salvage
from shared.storage import StoreUnavailable

HEADERS = {"ce_specversion": "1.0", "ce_id": "1", "ce_type": "xinxiang.LetterRead.v1", "ce_source": "/services/intake"}
ENVELOPE = [(name, text.encode()) for name, text in {**HEADERS, "ce_subject": "a"}.items()]


def record(topic: str = "t-letters", key: bytes | None = b"a", headers: Any = ENVELOPE) -> Any:
    return ConsumerRecord(topic, 0, 7, 0, 0, key, b"{}", None, 0, 0, tuple(headers))


def test_a_header_without_a_value_is_no_error() -> None:
    assert attributes([*ENVELOPE, ("x", None)]).subject == "a"
    with pytest.raises(BadEnvelope, match="ce_specversion"):
        attributes([(name, None) for name, _ in ENVELOPE])


def test_a_header_that_comes_twice_is_ambiguous() -> None:
    with pytest.raises(BadEnvelope, match="ce_subject comes twice"):
        attributes([*ENVELOPE, ("ce_subject", b"b")])


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source"])
def test_an_envelope_of_endless_words_is_refused(name: str) -> None:
    with pytest.raises(BadEnvelope, match="more than 200"):
        attributes({**HEADERS, "ce_subject": "a", name: "x" * 201})


@pytest.mark.parametrize("subject", ["", "s" * 65, "a\x00b", "x/00000001", "信", " a", "$where"])
def test_what_can_be_no_letter_s_id_belongs_to_no_letter_and_says_why(subject: str) -> None:
    headers = [*ENVELOPE[:-1], ("ce_subject", subject.encode())]
    message = read(record(key=subject.encode(), headers=headers), "t-")
    assert message.letter_id == ""
    assert "no letter id" in message.error


def test_a_unit_s_message_decides_nothing_about_parked_messages_of_other_topics() -> None:
    forged = [*ENVELOPE, ("replayof", b"letters/3/15"), ("replaydrop", b"true")]
    assert read(record("t-actions.water", headers=forged), "t-").replay_of == ""
    assert read(record("t-letters", headers=forged), "t-").replay_of == "letters/3/15"


@pytest.mark.parametrize("filling", [b"\xff", b'"', b"\x00", "长".encode()])
def test_the_longest_message_can_be_recorded_as_parked(filling: bytes) -> None:
    value, header = filling * (900_000 // len(filling)), filling * (100_000 // len(filling))
    message = Message(
        "letters", 0, 7, "a", (("x", header), ("y" * 50_000, b"")), value, error="e" * 2000, stack="s" * 4000
    )
    made = record_of(message, "routing", datetime(2026, 3, 2, tzinfo=UTC))
    assert len(made) < MAX_MESSAGE_BYTES - 20_000
    assert json.loads(made)["cut"]
    assert json.loads(made)["origin"] == "letters/0/7"


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"])
def test_a_fact_of_another_millennium_is_none(at: str) -> None:
    with pytest.raises(ValidationError, match="between 1970 and 3000"):
        LetterRead.model_validate({"letter_id": "a", "at": at, "by": None})


def test_of_a_batch_that_fails_only_the_message_to_blame_is_put_aside_and_order_is_kept() -> None:
    done: list[int] = []
    aside: list[int] = []

    async def handle(some: Any) -> None:
        if 5 in some or 6 in some:
            raise ValueError
        done.extend(some)

    async def park(one: int, _error: Exception) -> None:
        aside.append(one)

    asyncio.run(salvage(list(range(10)), handle, park))
    assert done == [0, 1, 2, 3, 4, 7, 8, 9]
    assert aside == [5, 6]


def test_a_batch_that_fails_because_the_store_is_away_comes_again_whole() -> None:
    async def handle(_some: Any) -> None:
        raise StoreUnavailable("away")

    async def park(one: int, _error: Exception) -> None:
        raise AssertionError(one)

    with pytest.raises(StoreUnavailable):
        asyncio.run(salvage([1, 2], handle, park))


def test_a_header_name_that_is_no_utf8_is_read_with_what_stands_around_it() -> None:
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 16_000)
    for offset, name in enumerate(["a", "QQ", "c"]):
        assert builder.append(offset, 1, None, b"%d" % offset, headers=[(name, b"v")])
    builder._buffer = bytearray(bytes(builder._buffer).replace(b"QQ", b"\xff\xfe"))
    found = list(_Partition(TopicPartition("t", 0), _Kept(bytes(builder.build())), None, 0, None, None, True, 0))
    assert [(one.offset, one.value, one.headers[0][0]) for one in found] == [
        (0, b"0", "a"),
        (1, b"1", "��"),
        (2, b"2", "c"),
    ]
