"""`python -m services <intake|routing|deadline|publication|reporting|all>`: run one service, or all of them in one process."""

import argparse
import ctypes
import gc
import importlib
import logging
import os
import signal
import sys
from contextlib import suppress

import uvicorn

from services import NAMES
from services.application import application
from services.kit import Kit
from services.runtime import GRACE_SECONDS, Service
from services.settings import WrongSettings, load_settings
from services.wires import server_tls
from shared.directory import DirectoryError
from shared.observability.logs import configure_logging
from shared.observability.tracing import configure_tracing, shutdown_tracing
from shared.security.tokens import KeySetError
from shared.web.serving import server_options

log = logging.getLogger(__name__)

PORTS = {name: 8101 + position for position, name in enumerate(NAMES)} | {"all": 8100}
_M_ARENA_MAX = -8
"""Of glibc: see mallopt(3)."""


def build(name: str, kit: Kit) -> Service:
    """Build one service by its name; only its own modules are imported."""
    service: Service = importlib.import_module(f"services.{name}.app").build(kit)
    return service


def _share_heaps() -> None:
    """Let all threads share two heaps: glibc gives each thread of the store's driver its own otherwise, which keeps what it once needed."""
    with suppress(AttributeError):  # other C libraries have no `mallopt`, nor a heap for each thread
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def spare_the_collector() -> None:
    """Leave modules and models, which stay for ever, out of the search for cyclic garbage, and search less often: it is rare here."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit status (2: wrong settings)."""
    parser = argparse.ArgumentParser(prog="python -m services", description=__doc__)
    parser.add_argument("service", choices=[*NAMES, "all"])
    chosen = parser.parse_args(arguments).service
    _share_heaps()
    try:
        settings = load_settings(serving=True)
        configure_logging(chosen, settings.log_level)
        configure_tracing(chosen)
        if settings.profile == "demonstration":
            log.warning(
                "PROFILE is demonstration: tokens of the built-in command are taken; set PROFILE=production for a city"
            )
        kit = Kit(settings)
        app = application([build(name, kit) for name in (NAMES if chosen == "all" else (chosen,))], kit)
    except (WrongSettings, DirectoryError, KeySetError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    spare_the_collector()
    tls = server_tls(settings)
    port = PORTS[chosen] if settings.port is None else settings.port
    signal.signal(signal.SIGTERM, _leave)
    try:
        uvicorn.run(
            app,
            host=settings.host,
            port=port,
            loop="uvloop",
            timeout_graceful_shutdown=GRACE_SECONDS,
            **server_options(chosen),
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
    except _Left:
        pass
    except SystemExit:
        log.critical(
            "Nothing is served on port %s; the reason is above. If another process has the port, end it or set PORT",
            port,
        )
        raise
    finally:
        shutdown_tracing()
    return 0


class _Left(BaseException):
    """SIGTERM came and everything has stopped."""


def _leave(*_: object) -> None:
    """Uvicorn stops in order at SIGTERM and then raises the signal again: leaving as asked is no failure."""
    raise _Left


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stdout.flush()
    # Threads of the store's driver may still wait for a store that is away. They have nothing to finish: each write is whole or not there.
    os._exit(status)
