"""Traces follow one letter through all five services when an exporter is configured."""

import gzip
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services import NAMES
from services.__main__ import build
from shared.observability.tracing import configure_tracing, shutdown_tracing
from tests.conftest import World, eventually
from tests.intake_desk import arrived, submit


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP collector that remembers spans: trace id → [(name, letter id)]."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.spans: dict[str, list[tuple[str, str]]] = defaultdict(list)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {a.key: a.value.string_value for a in span.attributes}
                    self.server.spans[span.trace_id.hex()].append((span.name, attributes.get("letter.id", "")))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


async def test_one_trace_holds_the_steps_of_all_five_services(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    configure_tracing("all")
    try:
        kit = world.kit()
        async with world.running(*(build(name, kit) for name in NAMES)) as client:
            await submit(client)
            letter_id = (await arrived(client, world))[0]

            async def followed() -> bool:
                for spans in collector.spans.values():
                    services = {name.split()[0] for name, letter in spans if letter == letter_id}
                    if set(NAMES) <= services and any(name == "POST /intake/letters" for name, _ in spans):
                        return True
                return False

            assert await eventually(followed)
    finally:
        shutdown_tracing()
        collector.shutdown()
