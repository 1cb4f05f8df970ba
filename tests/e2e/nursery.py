"""Service processes that begin as copies of one that has read all modules already: to start them costs a third, and they are as real.

What runs in them is `python -m services <name>`, from its first line; only the modules it imports are there already. They can be killed,
stopped and asked to leave as any other process.
"""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from deploy.engines.places import CHECKOUT
from services import NAMES

_CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["services.__main__", "uvloop", *(f"services.{name}.app" for name in NAMES)])


class Forked:
    """A process, with as much of `subprocess.Popen` as tests use."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._process: ForkServerProcess = _CONTEXT.Process(
            target=_become, args=(list(arguments), dict(environment), str(log)), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return its exit status; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended; return its exit status."""
        self._process.join(timeout)
        return self._process.exitcode

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _become(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Be `python -m …`: in a session of its own, without input, everything it says appended to a file."""
    os.setsid()
    os.chdir(CHECKOUT)
    os.environ.clear()
    os.environ.update(environment)
    null, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
