"""A real ClamAV daemon with one signature, which tests start and stop."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from deploy.engines.ports import free
from deploy.engines.processes import Process
from deploy.tools import program

MALWARE = b"this is what the tests' signature knows: 8f2c6b"


@dataclass
class Daemon:
    """A clamd of our own."""

    process: Process
    folder: Path
    port: int

    @property
    def address(self) -> str:
        """What SCANNER is set to."""
        return f"clamav://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(program("clamd")), "-c", str(self.folder / "clamd.conf")]
        self.process.start(command, cwd=self.folder, env=os.environ)
        self.process.wait_ready(self._answers, 60)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"nPING\n")
                return connection.recv(16).startswith(b"PONG")
        except OSError:
            return False


def daemon_in(folder: Path) -> Daemon:
    """A daemon that keeps its files in `folder`, not yet started."""
    (port,) = free(1)
    signatures = folder / "signatures"
    signatures.mkdir(parents=True)
    (signatures / "tests.ndb").write_text(f"Xinxiang.Test:0:*:{MALWARE.hex()}\n")
    settings = {
        "Foreground": "yes",
        "TCPSocket": port,
        "TCPAddr": "127.0.0.1",
        "DatabaseDirectory": signatures,
        "TemporaryDirectory": folder,
        "LogFile": folder / "clamd.log",
        "StreamMaxLength": "20M",
    }
    (folder / "clamd.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    for path in (folder, signatures, *folder.parents[:2]):
        path.chmod(path.stat().st_mode | 0o755)
    return Daemon(Process("clamd", folder), folder, port)
