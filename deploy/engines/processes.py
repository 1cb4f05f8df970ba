"""Processes that we start, recorded so that only these are ever signalled, by this run or a later one.

A record is pid, start time and boot: a pid that the system gave to somebody else meanwhile does not match.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pwd import struct_passwd

from deploy.engines.errors import EngineError

_children: list[subprocess.Popen[bytes]] = []  # kept so that an ended child of this very process is reaped


def birth(pid: int) -> str | None:
    """When process `pid` started, as boot id and clock ticks; None if it does not run (any more)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else f"{boot}:{rest[18]}"


class Process:
    """One recorded process: `<folder>/run/<name>.json` and its log `<folder>/logs/<name>.log`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.record = folder / "run" / f"{name}.json"
        self.log = folder / "logs" / f"{name}.log"
        self._log_start = 0

    def pid(self) -> int | None:
        """The pid of the running process that we started; None if it does not run."""
        try:
            recorded = json.loads(self.record.read_text())
            pid, born = int(recorded["pid"]), recorded["born"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return pid if born and birth(pid) == born else None

    def start(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], user: struct_passwd | None = None
    ) -> None:
        """Start `command` in a session of its own, so that Ctrl-C in our terminal does not reach it."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        _children[:] = [child for child in _children if child.poll() is None]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        _children.append(child)
        new = self.record.with_suffix(".new")
        new.write_text(json.dumps({"pid": child.pid, "born": birth(child.pid), "command": command[0]}))
        new.replace(self.record)

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return as soon as `ready()`; raise with the last lines of the log if the process ends or `seconds` pass."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.wait_gone(0.05):
                raise EngineError(f"{self.name} ended while starting. The end of {self.log}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise EngineError(
                    f"{self.name} was not ready after {seconds:.0f} s. The end of {self.log}:\n{self.log_tail()}"
                )

    def wait_gone(self, seconds: float) -> bool:
        """Wait up to `seconds` for the process to end; whether it has."""
        pid = self.pid()
        if pid is None:
            return True
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            if self.pid() != pid:
                return True
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        finally:
            os.close(handle)

    def send(self, number: signal.Signals) -> bool:
        """Signal the process if it is still the one we started; whether it was."""
        pid = self.pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if self.pid() == pid:  # the handle is ours now: no other process can slip into its place
                    signal.pidfd_send_signal(handle, number)
                    return True
            finally:
                os.close(handle)
        return False

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> None:
        """Ask the process to end, wait, and kill it after `seconds`; does nothing if it does not run."""
        if self.send(number) and not self.wait_gone(seconds):
            self.kill()
        self.record.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the process at once (SIGKILL) and wait until it is gone."""
        self.send(signal.SIGKILL)
        if not self.wait_gone(10):
            raise EngineError(f"{self.name} (pid {self.pid()}) does not end even when killed; see {self.log}")
        self.record.unlink(missing_ok=True)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that the process wrote since it was started here."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 16_384))
                text = log.read().decode(errors="replace")
        except OSError:
            text = ""
        return "\n".join("    " + line[:300] for line in text.splitlines()[-lines:]) or "    (it wrote nothing)"


def recorded(folder: Path) -> list[Process]:
    """All processes with a record in `folder`, running or not."""
    return [Process(file.stem, folder) for file in sorted((folder / "run").glob("*.json"))]
