"""Attachments are looked into by a real ClamAV daemon before anybody gets them, and held while it does not answer (R2.2, R9.1)."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import httpx
import pytest
import uvloop

from services.intake.app import build
from services.publication.attachments import Files
from services.publication.repository import cases
from services.runtime import Service
from shared.contracts.errors import BadInput
from shared.observability import metrics
from shared.security import scanner
from tests.clamd import MALWARE, Daemon, daemon_in
from tests.conftest import World, eventually
from tests.intake_desk import submit, unread
from tests.unit.test_publication_cleaning import bytes_of, pdf_of

CLEAN = bytes_of(pdf_of())
INFECTED = CLEAN + b"\n% " + MALWARE


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon, which tests may stop and start."""
    daemon = daemon_in(tmp_path_factory.mktemp("clamd"))
    daemon.start()
    yield daemon
    daemon.process.stop()


@dataclass
class Desk:
    """Intake, a citizen with a file and a clerk who wants it."""

    client: httpx.AsyncClient
    service: Service
    world: World

    @property
    def clerk(self) -> dict[str, str]:
        """Who reads the mayor's letters."""
        return self.world.token("mayor-clerk", "mayor", "clerk")

    async def upload(self, content: bytes) -> httpx.Response:
        """Upload a file as a citizen."""
        return await self.client.post("/intake/attachments", files={"file": ("说明.pdf", content, "application/pdf")})

    async def letter_with(self, content: bytes, subject: str) -> str:
        """Send a letter with a file; return where the clerk finds the file."""
        up = await self.upload(content)
        assert up.status_code == 201, up.text
        await submit(self.client, subject=subject, attachments=[up.json()["attachment"]])

        async def arrived() -> str:
            rows = await unread(self.client, self.world)
            return next((row["letter_id"] for row in rows if row["subject"] == subject), "")

        letter_id = await eventually(arrived)
        (file,) = (await self.letter(letter_id))["attachments"]
        return f"{letter_id}/attachments/{file['id']}"

    async def letter(self, path: str) -> Any:
        """What the clerk sees of a letter."""
        return (await self.client.get(f"/intake/letters/{path.partition('/')[0]}", headers=self.clerk)).json()

    async def download(self, path: str) -> httpx.Response:
        """Ask for the file as the clerk."""
        return await self.client.get(f"/intake/letters/{path}", headers=self.clerk)

    async def catch_up(self) -> None:
        """Do what is done every ten seconds."""
        scan = next(job for job in self.service.measures if getattr(job, "__name__", "") == "scan_waiting")
        await scan()


@asynccontextmanager
async def desk(world: World, address: str, **more: Any) -> AsyncIterator[Desk]:
    """Intake with a scanner."""
    service = build(world.kit(scanner=address, **more))
    async with world.running(service) as client:
        yield Desk(client, service, world)


async def test_r2_2_a_file_with_malware_is_refused_when_it_is_uploaded_and_a_clean_one_is_taken(
    world: World, clamd: Daemon
) -> None:
    async with desk(world, clamd.address) as at:
        refused = await at.upload(INFECTED)
        assert refused.status_code == 422
        assert [(e["field"], e["rule"]) for e in refused.json()["errors"]] == [("/file", "R2.2")]
        assert "恶意程序" in refused.text
        assert await at.service.kit.store.collection("intake", "attachments.files").count_documents({}) == 0
        path = await at.letter_with(CLEAN, "这个附件没有问题")
        assert (await at.download(path)).content == CLEAN
        assert (await at.letter(path))["held"] == {}


async def test_r2_2_while_the_scanner_is_away_letters_are_taken_and_their_files_are_held_until_it_looked_into_them(
    world: World, clamd: Daemon
) -> None:
    async with desk(world, clamd.address) as at:
        clamd.process.stop()
        try:
            clean = await at.letter_with(CLEAN, "扫描程序停了的时候")
            infected = await at.letter_with(INFECTED, "扫描程序停了的时候，有毒")
            for path in (clean, infected):
                held = await at.download(path)
                assert (held.status_code, held.json()["rule"]) == (409, "R2.2")
                assert "等待安全检查" in held.text
                assert list((await at.letter(path))["held"].values()) == ["waiting"]
            await at.catch_up()
            assert (await at.download(clean)).status_code == 409, "nobody has looked into it yet"
        finally:
            clamd.start()
        await at.catch_up()
        assert (await at.download(clean)).content == CLEAN
        assert (await at.letter(clean))["held"] == {}
        locked = await at.download(infected)
        assert (locked.status_code, "已隔离" in locked.text) == (409, True)
        assert list((await at.letter(infected))["held"].values()) == ["malware"]


async def test_r2_2_a_file_on_which_the_scanner_gives_no_verdict_holds_up_no_other(
    world: World, clamd: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = scanner.ClamAV.scan

    async def scan_most(self: scanner.ClamAV, content: BinaryIO) -> scanner.Verdict:
        if content.read() == CLEAN + b"%slow":
            raise scanner.Unscannable("no verdict within 20 s")
        content.seek(0)
        return await scan(self, content)

    monkeypatch.setattr(scanner.ClamAV, "scan", scan_most)
    async with desk(world, clamd.address) as at:
        slow = await at.letter_with(CLEAN + b"%slow", "怎么也扫描不完的附件")
        clamd.process.stop()
        try:
            clean = await at.letter_with(CLEAN, "排在它后面的附件")
        finally:
            clamd.start()
        await at.catch_up()
        assert (await at.download(clean)).content == CLEAN
        assert (await at.download(slow)).status_code == 409, "nobody has looked into it"
        assert list((await at.letter(slow))["held"].values()) == ["waiting"]


async def test_r2_2_a_file_too_large_for_the_scanner_gets_no_verdict_and_that_is_told_apart_from_no_scanner(
    clamd: Daemon,
) -> None:
    host, _, port = clamd.address.removeprefix("clamav://").rpartition(":")
    with pytest.raises(scanner.Unscannable):
        await scanner.ClamAV(host, int(port)).scan(BytesIO(b"a" * 21_000_000))
    with pytest.raises(scanner.Away):
        await scanner.ClamAV(host, 1).scan(BytesIO(b"a"))


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])  # services run on the latter, which raises errors of its own
@pytest.mark.parametrize(("pings", "told"), [(True, scanner.Unscannable), (False, scanner.Away)])
def test_r2_2_a_scanner_that_hangs_up_in_the_middle_of_a_file_is_away_only_if_it_answers_nothing_else(
    pings: bool, told: type[Exception], run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if pings and b"PING" in await reader.read(5):
            writer.write(b"PONG\0")
            await writer.drain()
            writer.close()
            return
        reset = struct.pack("ii", 1, 0)  # with it, closing sends RST and forgets what was said
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()

    async def scan() -> None:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(told):
                await scanner.ClamAV("127.0.0.1", port).scan(BytesIO(b"a" * 21_000_000))

    run(scan())


async def test_r2_2_where_the_policy_says_accept_files_are_given_out_meanwhile_and_locked_away_once_malware_is_found(
    world: World, clamd: Daemon
) -> None:
    async with desk(world, "clamav://127.0.0.1:1", unscanned="accept") as at:
        infected = await at.letter_with(INFECTED, "没有扫描程序的时候")
        assert (await at.download(infected)).content == INFECTED
    async with desk(world, clamd.address, unscanned="accept") as at:

        async def locked() -> bool:
            await at.catch_up()
            return (await at.download(infected)).status_code == 409

        await eventually(locked)
        assert list((await at.letter(infected))["held"].values()) == ["malware"]


async def test_r2_2_without_a_scanner_files_are_held_or_given_out_as_the_policy_says(world: World) -> None:
    metrics.unscanned_files.clear()
    async with desk(world, "") as at:
        assert (await at.download(await at.letter_with(CLEAN, "没有扫描程序，照收"))).status_code == 200
        await at.catch_up()
        assert _told_to_wait() == [], "nobody waits for a scanner"
    async with desk(world, "", unscanned="hold") as at:
        assert (await at.download(await at.letter_with(CLEAN, "没有扫描程序，扣住"))).status_code == 409
        await at.catch_up()
        assert _told_to_wait() == [2]


def _told_to_wait() -> list[float]:
    return [sample.value for told in metrics.unscanned_files.collect() for sample in told.samples]


async def test_r9_1_what_staff_upload_for_the_public_is_looked_into_and_waits_for_the_scanner(
    world: World, clamd: Daemon
) -> None:
    kit = world.kit()

    def files(address: str) -> Files:
        return Files(kit.store, cases(kit.store, kit.directory), 100_000, scanner.gate("publication", address, None))

    with pytest.raises(BadInput, match="恶意程序"):
        await files(clamd.address).keep("letter", INFECTED, None, lambda _: {})
    assert (await files(clamd.address).keep("letter", CLEAN, None, lambda _: {})).media_type == "application/pdf"
    with pytest.raises(scanner.Away):
        await files("clamav://127.0.0.1:1").keep("letter", CLEAN, None, lambda _: {})
    kit.store.close()
