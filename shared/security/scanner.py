"""Scanning of files for malware by a scanner of the city's own, reached over ClamAV's protocol (clamd, command INSTREAM).

What becomes of a file while no scanner answers, or none is set, is the city's policy (UNSCANNED): `hold`, it is kept and given to nobody
until it was scanned; `accept`, it is given out, and scanned as soon as one answers.
"""

import asyncio
import logging
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Final, Literal, Protocol

from aioclamd import ClamdAsyncClient, ClamdConnectionError, ClamdError, ConnectionTimeoutError

from shared.observability import metrics

logger = logging.getLogger(__name__)
SECONDS: Final = 20.0
"""How long one scan may take; a file that takes longer could not be scanned."""
Policy = Literal["hold", "accept"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scanner says of a file."""

    found: str = ""
    """The name of the malware; empty: nothing was found."""


class Away(Exception):
    """No scanner answered."""


class Unscannable(Exception):
    """The scanner could not scan this very file: it refused it, or took too long. The text says which, without the file's name."""


class Scanner(Protocol):
    """Something that looks into files."""

    async def scan(self, content: BinaryIO) -> Verdict:
        """Look into a file from where it stands to its end.

        Raises:
            Away: there is no answer.
            Unscannable: there is one, but no verdict.
        """


@dataclass(frozen=True, slots=True)
class ClamAV:
    """A clamd that listens on TCP; its StreamMaxLength must not be below ATTACHMENT_MAX_BYTES."""

    host: str
    port: int

    async def scan(self, content: BinaryIO) -> Verdict:
        """Send the file over INSTREAM and read the verdict."""
        client = ClamdAsyncClient(self.host, self.port, timeout=SECONDS)
        try:
            (answer,) = (await client.instream(content) or {"": ("ERROR", "it hung up")}).values()
        except ConnectionTimeoutError as error:
            raise Unscannable(f"no verdict within {SECONDS:.0f} s") from error
        except (ClamdConnectionError, OSError, RuntimeError) as error:
            # It says that a file is too large and hangs up in the middle of it: a reset may come before what it said is read. What is
            # written then is a RuntimeError of uvloop, which asyncio's own loop swallows.
            if isinstance(error, ConnectionResetError | BrokenPipeError | RuntimeError) and await self._answers():
                raise Unscannable("it hung up in the middle of the file; StreamMaxLength may be too small") from error
            raise Away(f"{type(error).__name__}: {error}") from error
        except (ClamdError, ValueError) as error:
            raise Unscannable(f"{type(error).__name__}: {error}") from error
        status, reason = answer
        if status == "ERROR":
            raise Unscannable(str(reason))
        return Verdict(str(reason)) if status == "FOUND" else Verdict()

    async def _answers(self) -> bool:
        """Whether it is there, though it hung up on a file."""
        try:
            return bool(await ClamdAsyncClient(self.host, self.port, timeout=SECONDS).ping())
        except (ClamdError, OSError, RuntimeError, ValueError):
            return False


@dataclass(frozen=True, slots=True)
class Nobody:
    """Where the city has no scanner."""

    async def scan(self, content: BinaryIO) -> Verdict:  # noqa: ARG002
        """Say that there is none."""
        raise Away("SCANNER is not set")


@dataclass(frozen=True, slots=True)
class Gate:
    """The scanner and the policy of one service; every scan is counted by its outcome (`clean`, `infected`, `failed`, `away`)."""

    service: str
    scanner: Scanner
    policy: Policy

    @property
    def there(self) -> bool:
        """Whether the city has a scanner."""
        return not isinstance(self.scanner, Nobody)

    async def look(self, content: BinaryIO) -> Verdict | None:
        """Return the verdict on a file, or none where there is none. The file stands at its beginning again."""
        try:
            return await self.ask(content)
        except (Away, Unscannable):
            return None

    async def look_into(self, content: bytes) -> Verdict | None:
        """The same for bytes in memory."""
        return await self.look(BytesIO(content))

    async def ask(self, content: BinaryIO) -> Verdict:
        """Return the verdict on a file, which stands at its beginning again; raises what `Scanner.scan` raises."""
        try:
            verdict = await self.scanner.scan(content)
        except Away as error:
            if self.there:
                self._count("away")
                logger.warning("the scanner of attachments does not answer", extra={"reason_code": str(error)})
            raise
        except Unscannable as error:
            self._count("failed")
            logger.warning("the scanner of attachments gave no verdict on a file", extra={"reason_code": str(error)})
            raise
        finally:
            await asyncio.to_thread(content.seek, 0)
        self._count("infected" if verdict.found else "clean")
        return verdict

    def _count(self, outcome: str) -> None:
        metrics.scans_total.labels(self.service, outcome).inc()


def gate(service: str, address: str, policy: Policy | None) -> Gate:
    """Return the gate that SCANNER and UNSCANNED describe; without UNSCANNED files are held where there is a scanner, else accepted."""
    if not address:
        return Gate(service, Nobody(), policy or "accept")
    host, _, port = address.removeprefix("clamav://").rpartition(":")
    return Gate(service, ClamAV(host.strip("[]"), int(port)), policy or "hold")
