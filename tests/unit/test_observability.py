"""What services show of themselves, and what they never show."""

import io
import logging
from collections.abc import Iterator
from enum import StrEnum
from socket import gaierror
from ssl import SSLError
from types import SimpleNamespace

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, Field

from shared.messaging.repairs import repair
from shared.observability import logs, metrics, tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LETTER = "01938f3e-7c1a-8abc-9def-446655440000"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log as a service writes it; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure_logging("intake", "debug", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def written(stream: io.StringIO) -> dict:
    return orjson.loads(stream.getvalue().splitlines()[-1])


def test_a_record_is_one_json_line_with_service_letter_and_trace(lines):
    with logs.letter_context(LETTER), tracing.span("work", PARENT):
        logging.getLogger("services.intake").info(
            "stored %d of %s", 3, "letters", extra={"topic": "letters", "offset": 17}
        )
    line = written(lines)
    assert lines.getvalue().count("\n") == 1
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "service": "intake",
        "logger": "services.intake",
        "message": "stored 3 of letters",
        "letter_id": LETTER,
        "trace_id": PARENT[3:35],
        "topic": "letters",
        "offset": 17,
    }


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (IllegalGenerationError, "warning"),
        (RebalanceInProgressError, "warning"),
        (UnknownMemberIdError, "warning"),
        (GroupAuthorizationFailedError, "error"),
    ],
)
async def test_a_commit_that_a_rebalance_forestalled_is_no_error(lines, error, level):
    repair()
    with pytest.raises(error):
        await commit_answered_with(error)
    assert "OffsetCommit failed for group intake" in written(lines)["message"]
    assert written(lines)["level"] == level


async def commit_answered_with(error: type[KafkaError]) -> None:
    """Let aiokafka read the broker's refusal of a commit, and say in its log what it makes of it."""

    async def answer(_request: object) -> SimpleNamespace:
        return SimpleNamespace(topics=[("letters", [(0, error.errno)])])

    member = SimpleNamespace(
        group_id="intake",
        generation=1,
        member_id="m",
        coordinator_id=1,
        _send_req=answer,
        reset_generation=lambda: None,
        request_rejoin=lambda: None,
    )
    await GroupCoordinator._do_commit_offsets(member, None, {TopicPartition("letters", 0): OffsetAndMetadata(7, "")})


def test_in_a_process_of_several_services_each_record_names_its_own(lines):
    with logs.service_context("routing"):
        logging.getLogger("x").info("hello")
    assert written(lines)["service"] == "routing"


def test_an_extra_field_that_is_not_on_the_list_is_dropped_by_name(lines):
    logging.getLogger("x").info("received", extra={"sender_phone": "13800000000", "mailbox": "mayor"})
    line = written(lines)
    assert line["mailbox"] == "mayor"
    assert line["dropped_fields"] == ["sender_phone"]
    assert "13800000000" not in lines.getvalue()


@pytest.mark.parametrize(
    "personal",
    [
        "张三",
        "我家的水管漏水",
        "zhang.san@example.com",
        "13800000000",
        "+86 138 0000 0000",
        "50010319900101123X",
        "a\nb",
    ],
)
def test_text_that_may_be_personal_is_not_written_even_when_a_programmer_forgets(lines, personal):
    logging.getLogger("x").warning("cannot reach %s", personal, extra={"reason_code": personal})
    logging.getLogger("x").warning("named %(who)s", {"who": personal})
    assert personal not in lines.getvalue()
    assert lines.getvalue().count("\n") == 2
    assert written(lines)["message"] == "named [text]"


def test_identifiers_pass_the_guard(lines):
    class State(StrEnum):
        PENDING = "pending"

    logging.getLogger("x").info(
        "letter %s at %s", LETTER, "127.0.0.1:19092", extra={"state": State.PENDING, "seconds": 0.25}
    )
    line = written(lines)
    assert line["message"] == f"letter {LETTER} at 127.0.0.1:19092"
    assert (line["state"], line["seconds"]) == ("pending", 0.25)


def test_an_error_is_logged_by_its_kind_and_the_system_s_words_for_its_number(lines):
    for error in (
        OSError(98, "王小明"),
        SSLError(1, "王小明"),
        gaierror(-2, "王小明"),
        OSError("王小明"),
        KeyError("王小明"),
    ):
        logging.getLogger("x").error(error)
    told = [orjson.loads(line)["message"] for line in lines.getvalue().splitlines()]
    assert told == ["OSError: Address already in use", "SSLError", "gaierror", "OSError", "KeyError"]


def test_a_validation_error_is_logged_by_field_and_kind_without_what_was_typed(lines):
    class Sender(BaseModel):
        phone: str = Field(max_length=3)

    def store():
        try:
            Sender(phone="13800000000")
        except ValueError as error:
            raise RuntimeError("while storing 13800000000 of 张三") from error

    try:
        store()
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    described = written(lines)["error"]
    assert "13800000000" not in lines.getvalue()
    assert "张三" not in lines.getvalue()
    assert described["type"] == "builtins.RuntimeError"
    assert "test_observability.py" in described["at"][-1]
    assert described["cause"]["errors"] == [{"loc": "phone", "type": "string_too_long"}]


def test_an_exception_as_message_or_argument_shows_only_its_type(lines):
    logging.getLogger("x").error(ValueError("13800000000 张三"))
    assert written(lines)["message"] == "ValueError"
    logging.getLogger("x").error("lost: %s", ConnectionError("to 13800000000"))
    assert written(lines)["message"] == "lost: ConnectionError"


def test_libraries_that_quote_documents_stay_quiet_at_debug(lines):
    logging.getLogger("pymongo.command").debug("insert {name: …}")
    logging.getLogger("uvicorn.access").info("GET /intake/receipts/7K3M")
    assert lines.getvalue() == ""


def test_an_unknown_level_is_refused_with_what_it_may_be():
    with pytest.raises(ValueError, match="LOG_LEVEL is 'loud'; it may be DEBUG"):
        logs.configure_logging("intake", "loud")


def test_a_span_continues_the_trace_it_was_given_and_ends_with_it():
    assert tracing.current_traceparent() == ""
    with tracing.span("collect", PARENT):
        own = tracing.current_traceparent()
        assert own[:36] == PARENT[:36]
        assert own[36:52] != PARENT[36:52]
        with tracing.span("inner"):
            assert tracing.current_trace_id() == PARENT[3:35]
            assert tracing.current_traceparent() != own
        assert tracing.current_traceparent() == own
    assert tracing.current_traceparent() == ""


@pytest.mark.parametrize(
    "bad", ["", "nonsense", PARENT.upper(), PARENT + "0", PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)]
)
def test_a_malformed_traceparent_starts_a_new_trace(bad):
    with tracing.span("collect", bad):
        own = tracing.current_traceparent()
    assert tracing.valid_traceparent(own) == own
    assert own[3:35] != PARENT[3:35]


def test_with_an_exporter_spans_are_recorded_with_letter_id_and_without_messages():
    exporter = InMemorySpanExporter()
    tracing.configure_tracing("intake", exporter)
    try:
        with tracing.span("receive", PARENT, "consumer", letter_id=LETTER, topic="letters"):
            sent_on = tracing.current_traceparent()
            with pytest.raises(KeyError), tracing.span("store"):
                raise KeyError("张三")
    finally:
        tracing.shutdown_tracing()
    store, receive = exporter.get_finished_spans()
    assert receive.attributes == {"topic": "letters", "letter.id": LETTER}
    assert f"{receive.context.trace_id:032x}" == PARENT[3:35]
    assert f"{receive.parent.span_id:016x}" == PARENT[36:52]
    assert f"{receive.context.span_id:016x}" == sent_on[36:52]
    assert store.parent.span_id == receive.context.span_id
    assert store.attributes == {"error.type": "KeyError"}
    assert "张三" not in store.to_json() + receive.to_json()


def test_topics_of_single_mailboxes_share_one_label():
    assert metrics.topic_label("mailbox.yuzhong") == "mailbox.{code}"
    assert metrics.topic_label("test7.actions.education-basic") == "test7.actions.{code}"
    assert metrics.topic_label("letters") == "letters"
    assert metrics.topic_label("letters.parked.intake") == "letters.parked.intake"


def test_the_metrics_page_names_every_metric_with_its_prefix():
    metrics.messages_total.labels("intake", "a topic of this test", "handled").inc()
    page, media_type = metrics.metrics_page()
    assert media_type.startswith("text/plain")
    assert b'xinxiang_messages_total{outcome="handled",service="intake",topic="a topic of this test"} 1.0' in page
    for name in (
        b"outbox_depth",
        b"outbox_oldest_seconds",
        b"consumer_lag",
        b"parked_letters",
        b"letters",
        b"facts_published_total",
    ):
        assert b"# TYPE xinxiang_" + name in page
