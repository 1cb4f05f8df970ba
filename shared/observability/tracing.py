"""W3C trace context across HTTP and Kafka, and OpenTelemetry spans when somebody collects them.

Ids always exist, so that logs of the five services about one letter can be joined. Spans are recorded only when
``OTEL_EXPORTER_OTLP_ENDPOINT`` is set; without it the OpenTelemetry SDK is not even imported (it costs ~15 MB and ~30 µs a span)
and a span is no more than two ids in a context variable.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Kind = Literal["internal", "server", "client", "producer", "consumer"]
AttributeValue = str | int | float | bool

_traceparent: ContextVar[str] = ContextVar("traceparent", default="")
_WELL_FORMED = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_bits = random.getrandbits


class Recorder(Protocol):
    """Starts and ends recorded spans; there is one only when traces are exported."""

    def start(self, name: str, parent: str, kind: Kind, attributes: Mapping[str, AttributeValue]) -> tuple[Any, str]:
        """Begin a span below the ``parent`` traceparent ("" for none); return it and its own traceparent."""

    def annotate(self, span: Any, key: str, value: AttributeValue) -> None:
        """Add an attribute to a span that is open."""

    def rename(self, span: Any, name: str) -> None:
        """Change the name of a span that is open."""

    def end(self, span: Any, error: BaseException | None) -> None:
        """End the span; of an error only its type is kept, because messages may carry personal data."""


_recorder: Recorder | None = None


def configure_tracing(service: str, exporter: SpanExporter | None = None) -> None:
    """Record spans of ``service`` to ``exporter``, or over OTLP/HTTP if ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set.

    With neither, spans stay light: trace ids only.
    """
    global _recorder  # noqa: PLW0603 - one recorder a process, as in OpenTelemetry itself
    if exporter is None and not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        _recorder = None
        return
    from shared.observability._otel import OpenTelemetryRecorder  # noqa: PLC0415 - 15 MB that most need not load

    _recorder = OpenTelemetryRecorder(service, exporter)


def shutdown_tracing() -> None:
    """Send what is still waiting to the exporter, for at most a few seconds, and go back to light spans."""
    global _recorder
    ending, _recorder = _recorder, None
    close = getattr(ending, "close", None)
    if close is not None:
        close()


def current_traceparent() -> str:
    """The W3C ``traceparent`` of the current span, to be sent on as a header; "" outside of any span."""
    return _traceparent.get()


def current_trace_id() -> str:
    """The 32 hexadecimal digits of the current trace, or ""."""
    return _traceparent.get()[3:35]


def valid_traceparent(text: str | None) -> str:
    """``text`` if it is a well-formed version 00 traceparent, else "": a stranger's bad header starts a new trace."""
    return text if text and len(text) == 55 and _WELL_FORMED.match(text) else ""


def _child_of(parent: str) -> str:
    # The flags of a new trace say "sampled", so that a neighbour that does export records what began here.
    if parent:
        return f"{parent[:36]}{_bits(64) | 1:016x}{parent[52:]}"
    return f"00-{_bits(128) | 1:032x}-{_bits(64) | 1:016x}-01"


class span:  # noqa: N801 - reads as a keyword: `with span("sweep"):`
    """A piece of work in a trace: ``with span("collect", traceparent=header, kind="consumer", letter_id=…): …``.

    ``traceparent`` continues from a received header (a malformed one is ignored); without one, the span belongs to the current
    span or begins a trace. ``letter_id`` becomes the attribute ``letter.id``; other attributes are given by keyword and
    must not be personal data.
    """

    __slots__ = ("_attributes", "_kind", "_name", "_parent", "_recorded", "_recorder", "_token")

    def __init__(
        self,
        name: str,
        traceparent: str | None = None,
        kind: Kind = "internal",
        letter_id: str | None = None,
        **attributes: AttributeValue,
    ) -> None:
        self._name = name
        self._parent = valid_traceparent(traceparent)
        self._kind = kind
        self._attributes = attributes
        if letter_id is not None:
            attributes["letter.id"] = letter_id

    def __enter__(self) -> Self:
        parent = self._parent or _traceparent.get()
        self._recorder = _recorder
        if self._recorder is None:
            own = _child_of(parent)
        else:
            self._recorded, own = self._recorder.start(self._name, parent, self._kind, self._attributes)
        self._token: Token[str] = _traceparent.set(own)
        return self

    def set(self, key: str, value: AttributeValue) -> None:
        """Add an attribute that became known inside the span; nothing happens when spans are not recorded."""
        if self._recorder is not None:
            self._recorder.annotate(self._recorded, key, value)

    def name(self, name: str, status: int | None = None) -> None:
        """Give the span the name (and HTTP status) that only its end knows; nothing happens when spans are not recorded."""
        if self._recorder is not None:
            self._recorder.rename(self._recorded, name)
            if status is not None:
                self._recorder.annotate(self._recorded, "http.response.status_code", status)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _traceparent.reset(self._token)
        if self._recorder is not None:
            self._recorder.end(self._recorded, error)
