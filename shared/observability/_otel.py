"""Spans recorded with the OpenTelemetry SDK; imported only when traces are exported."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from shared.observability.tracing import AttributeValue, Kind

_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class OpenTelemetryRecorder:
    """Hands spans to ``exporter`` in batches; without one, to the OTLP/HTTP endpoint named by the environment."""

    def __init__(self, service: str, exporter: SpanExporter | None = None) -> None:
        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - pulls in protobuf
                OTLPSpanExporter,
            )

            exporter = OTLPSpanExporter()
        resource = Resource.create({"service.name": f"xinxiang-{service}", "service.namespace": "xinxiang"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("xinxiang")

    def start(self, name: str, parent: str, kind: Kind, attributes: Mapping[str, AttributeValue]) -> tuple[Span, str]:
        """Begin a span; see :class:`shared.observability.tracing.Recorder`."""
        context = None
        if parent:
            remote = SpanContext(
                int(parent[3:35], 16),
                int(parent[36:52], 16),
                is_remote=True,
                trace_flags=TraceFlags(int(parent[53:], 16)),
            )
            context = trace.set_span_in_context(NonRecordingSpan(remote))
        span = self._tracer.start_span(name, context=context, kind=_KINDS[kind], attributes=attributes)
        own = span.get_span_context()
        return span, f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"

    def annotate(self, span: Span, key: str, value: AttributeValue) -> None:
        """Add an attribute to an open span."""
        span.set_attribute(key, value)

    def rename(self, span: Span, name: str) -> None:
        """Change the name of an open span."""
        span.update_name(name)

    def end(self, span: Span, error: BaseException | None) -> None:
        """End the span, with the type of the error that ended it."""
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what waits and stop."""
        self._provider.force_flush(3_000)
        self._provider.shutdown()
