"""The envelope is CloudEvents 1.0 in the Kafka protocol binding, binary content mode; written here from the specification's words."""

import json
import re
from datetime import UTC, datetime
from urllib.parse import urlparse
from uuid import UUID

import pytest

from shared.contracts.envelope import MAX_SEQ, Attributes, BadEnvelope, Outgoing, attributes, event_id, pack
from shared.contracts.facts import LetterNoted

AT = datetime(2026, 3, 2, 1, 30, 0, 123000, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def packed(seq: int = 3, trace: str = TRACE) -> Outgoing:
    return pack(
        LetterNoted(letter_id="letter-1", at=AT, remark="备查"),
        topic="letters",
        letter_id="letter-1",
        source="intake",
        id=event_id("letter-1", "intake", seq),
        time=AT,
        traceparent=trace,
        seq=seq,
    )


def test_attributes_are_headers_with_the_prefix_ce_and_the_value_is_the_data_alone() -> None:
    message = packed()
    assert message.headers["content-type"] == "application/json"
    assert json.loads(message.value) == {
        "letter_id": "letter-1",
        "at": "2026-03-02T01:30:00.123000Z",
        "by": None,
        "caused_by": None,
        "remark": "备查",
    }
    names = {name.removeprefix("ce_") for name in message.headers if name.startswith("ce_")}
    assert names == {"specversion", "id", "type", "source", "time", "subject", "seq"}
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in names), "CloudEvents attribute names"


def test_required_attributes_have_the_forms_that_cloudevents_asks_for() -> None:
    headers = packed().headers
    assert headers["ce_specversion"] == "1.0"
    assert UUID(headers["ce_id"])
    assert headers["ce_type"].startswith("xinxiang."), "a type begins with the name of whoever defines it"
    assert urlparse(headers["ce_source"]).path == "/services/intake"
    moment = datetime.fromisoformat(headers["ce_time"])
    assert moment == AT
    assert moment.tzinfo is not None


def test_source_and_id_together_name_one_message() -> None:
    assert event_id("letter-1", "intake", 3) == event_id("letter-1", "intake", 3)
    different = {
        event_id("letter-1", "intake", 3),
        event_id("letter-2", "intake", 3),
        event_id("letter-1", "routing", 3),
        event_id("letter-1", "intake", 4),
        event_id("letter-1", "intake", 3, "told/0"),
    }
    assert len(different) == 5


def test_what_is_packed_is_read_back() -> None:
    message = packed()
    as_kafka_gives_them = [(name, text.encode()) for name, text in message.headers.items()]
    wanted = Attributes(event_id("letter-1", "intake", 3), "xinxiang.LetterNoted.v1", "intake", "letter-1", 3, TRACE)
    assert attributes(as_kafka_gives_them) == attributes(message.headers) == wanted


def test_a_message_without_trace_or_count_carries_no_empty_headers() -> None:
    headers = packed(seq=0, trace="").headers
    assert "traceparent" not in headers
    assert "ce_seq" not in headers
    assert attributes(headers).seq == 0


def test_another_sender_s_source_is_kept_as_it_is() -> None:
    assert attributes({**packed().headers, "ce_source": "/units/yuzhong"}).source == "/units/yuzhong"


@pytest.mark.parametrize("header", ["ce_id", "ce_type", "ce_source"])
def test_a_missing_attribute_is_named(header: str) -> None:
    headers = packed().headers
    del headers[header]
    with pytest.raises(BadEnvelope, match=header):
        attributes(headers)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_seq", b"three"),
        ("ce_seq", b"-1"),
        ("ce_seq", str(MAX_SEQ + 1).encode()),
        ("ce_id", b"\xff\xfe"),
    ],
)
def test_an_attribute_that_cannot_be_is_refused(header: str, value: bytes) -> None:
    headers = {name: text.encode() for name, text in packed().headers.items()} | {header: value}
    with pytest.raises(BadEnvelope):
        attributes(headers.items())
