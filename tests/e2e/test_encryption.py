"""Every hop is encrypted, by settings alone: people to services, services to Kafka and store, the store's front to PostgreSQL, traces to
their collector, Prometheus to services, units to Kafka. Who does not trust the authority, or speaks in the clear, is refused.

That letters go their whole way like this is shown in `test_credentials.py`, on the same engines.
"""

import asyncio
import json
import os
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import uvicorn

from deploy.acl_rights import user_of
from deploy.engines.guard import Certificate
from deploy.engines.ports import free
from deploy.front import front
from services import NAMES
from shared.messaging.connection import why_refused
from shared.storage import Store, StoreUnavailable
from tests.conftest import eventually
from tests.e2e.fleet import Run
from tests.e2e.guarded import Guarded, new_certificate
from tests.e2e.journey import Fate, Journey, Tale
from tests.prometheus import Prometheus
from tests.served import served

ROOT = Path(__file__).parents[2]


async def test_services_speak_https_only_and_nobody_reads_along(guarded: Guarded) -> None:
    stranger = ssl.create_default_context(cafile=str(new_certificate(guarded.world.passwords.parent / "other").ca_file))
    for name in NAMES:
        run = guarded.fleet.of(name)
        assert (await run.get("/health/ready")).status_code == 200
        async with httpx.AsyncClient() as plain:
            with pytest.raises(httpx.TransportError):
                await plain.get(f"http://127.0.0.1:{run.port}/health/live")
        async with httpx.AsyncClient(verify=stranger) as other:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await other.get(f"{run.url}/health/live")


async def test_the_one_address_before_the_services_passes_on_https_to_https(guarded: Guarded) -> None:
    """The services' ports are not consecutive here, so the front is made as `deploy.front` makes it, behind a port of its own."""
    urls = {name: guarded.fleet.of(name).url for name in NAMES}
    files = guarded.certificate
    config = uvicorn.Config(
        front(urls), port=0, log_config=None, ssl_certfile=files.file, ssl_keyfile=str(files.key_file)
    )
    async with served(config) as port, httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}") as client:
        home = await client.get("/public/")
        assert home.status_code == 200
        letter = await client.get("/write")
        assert letter.status_code == 200
        assert "http://127.0.0.1" not in letter.text


async def test_prometheus_scrapes_over_https_where_the_target_says_so(guarded: Guarded, tmp_path: Path) -> None:
    """The authority is in `SSL_CERT_FILE`, which Prometheus reads as any program of Go does."""
    assert os.environ["SSL_CERT_FILE"] == str(guarded.certificate.ca_file)
    places = {name: [f"127.0.0.1:{guarded.fleet.of(name).port}"] for name in NAMES}
    prometheus = Prometheus(tmp_path)
    prometheus.point(
        "services.yaml",
        [{"targets": at, "labels": {"service": name, "__scheme__": "https"}} for name, at in places.items()]
        + [{"targets": places["intake"], "labels": {"service": "in the clear"}}],
    )
    try:
        await prometheus.start()

        async def scraped() -> bool:
            up = {one["metric"]["service"]: one["value"][1] for one in await prometheus.ask('up{job="xinxiang"}')}
            return up == dict.fromkeys(NAMES, "1") | {"in the clear": "0"}

        await eventually(scraped)
    finally:
        await prometheus.stop()


async def test_kafka_says_to_each_wrong_client_what_is_wrong_with_it(guarded: Guarded) -> None:
    kafka = guarded.world.as_user("intake")
    assert await why_refused(kafka) == ""
    other = new_certificate(guarded.world.passwords.parent / "another").ca_file
    for changes, setting in (
        ({"ca_file": other}, "KAFKA_CA_FILE"),
        ({"protocol": "PLAINTEXT"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"protocol": "SASL_PLAINTEXT"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"protocol": "SSL"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"mechanism": "SCRAM-SHA-256"}, "KAFKA_SASL_MECHANISM"),
        ({"password": "wrong-password"}, "KAFKA_PASSWORD"),
    ):
        said = await why_refused(replace(kafka, **changes))
        assert setting in said, f"{changes}: {said!r}"
        assert "wrong-password" not in said


async def test_the_store_is_reached_by_its_address_alone_and_by_tls_alone(guarded: Guarded) -> None:
    url = guarded.world.settings.mongo_url
    assert "tls=true&tlsCAFile=" in url
    other = new_certificate(guarded.world.passwords.parent / "third").ca_file
    for wrong in (url.partition("?")[0], re.sub(r"tlsCAFile=.*", f"tlsCAFile={other}", url)):
        store = Store(wrong, guarded.world.namespace, timeout_seconds=2)
        with pytest.raises(StoreUnavailable):
            await store.ping()
        store.close()


def test_behind_the_store_s_front_postgresql_speaks_tls_only(guarded: Guarded) -> None:
    ports = guarded.engines.status()["ports"]
    assert isinstance(ports, dict)
    where = ("127.0.0.1", int(ports["postgres"]))
    with socket.create_connection(where, timeout=10) as plain:
        plain.sendall(struct.pack(">ii", 8, 80877103))  # SSLRequest
        assert plain.recv(1) == b"S"
        trusting = ssl.create_default_context(cafile=str(guarded.certificate.ca_file))
        with trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            assert connection.version() in {"TLSv1.2", "TLSv1.3"}
    with socket.create_connection(where, timeout=10) as plain:
        asked = struct.pack(">i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        plain.sendall(struct.pack(">i", len(asked) + 4) + asked)
        assert b"no encryption" in plain.recv(1000)


async def test_traces_go_out_over_https(guarded: Guarded, tmp_path: Path) -> None:
    with _collector(guarded.certificate) as (collector, paths):
        run = Run(
            "intake",
            free(1)[0],
            tmp_path / "traced.log",
            guarded.fleet.of("intake").environment
            | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{collector}",
                "OTEL_EXPORTER_OTLP_CERTIFICATE": str(guarded.certificate.ca_file),
                "OTEL_BSP_SCHEDULE_DELAY": "200",
                # where these are set, they win
                "REQUESTS_CA_BUNDLE": "",
                "CURL_CA_BUNDLE": "",
            },
            scheme="https",
        )
        run.start()
        try:
            await eventually(run.is_ready, 60)
            tale = Tale(902, Fate.ANSWERED, "water")
            async with httpx.AsyncClient(base_url=run.url, timeout=20) as client:
                posted = await client.post("/intake/letters", json=tale.body, headers={"Idempotency-Key": tale.key})
            assert posted.status_code == 202, posted.text

            async def traced() -> bool:
                return "/v1/traces" in paths

            await eventually(traced)
        finally:
            run.kill()


async def test_a_unit_s_system_works_as_the_document_for_units_says(guarded: Guarded, tmp_path: Path) -> None:
    world = guarded.world
    text = (ROOT / "docs" / "unit-systems.md").read_text(encoding="utf-8")
    found = re.search(r"^## Credentials and encryption\n.*?^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert found
    program = tmp_path / "unit.py"
    program.write_text(
        found[1].replace('"mailbox."', f'"{world.namespace}mailbox."').replace('"unit."', f'"{world.namespace}unit."'),
        encoding="utf-8",
    )
    kafka = world.as_user("unit.water")
    async with guarded.fleet.city() as city:
        journey = Journey(world, [city], count=0)
        tale = Tale(901, Fate.ANSWERED, "water")
        await journey.submit(tale)
        await journey.screen(tale)
        await journey.hand_out(tale)
        unit = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | {
                "KAFKA_BOOTSTRAP": kafka.bootstrap,
                "KAFKA_USERNAME": user_of(world.namespace, "unit.water"),
                "KAFKA_PASSWORD": kafka.password,
                "KAFKA_CA_FILE": str(kafka.ca_file),
                "UNIT": "water",
            },
        )
        assert unit.stdout is not None
        try:
            async with asyncio.timeout(30):
                async for line in unit.stdout:
                    if tale.letter_id in line.decode() and "AssignmentArrived" in line.decode():
                        break
                else:
                    pytest.fail("the unit's system ended before it heard of its letter")
        finally:
            if unit.returncode is None:
                unit.terminate()
            await unit.wait()


class _Receive(BaseHTTPRequestHandler):
    paths: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.paths.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({}).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _collector(certificate: Certificate) -> Iterator[tuple[int, list[str]]]:
    """An OTLP collector that speaks HTTPS; gives its port and the paths it was asked."""
    paths: list[str] = []
    handler = type("Receive", (_Receive,), {"paths": paths})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.file, certificate.key_file)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], paths
    finally:
        server.shutdown()
        server.server_close()
