"""Command line of the local engines; see the package's documentation."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from types import FrameType

import deploy.engines
from deploy.engines import EngineError, Engines
from deploy.engines.instance import GROUPS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when done, 1 with the reason on standard error, 130 when interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.engines",
        description=deploy.engines.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("up", "down", "status", "reset", "start", "stop", "kill"))
    parser.add_argument("engine", nargs="?", choices=tuple(GROUPS), help="for start, stop and kill")
    parser.add_argument("--name", default="dev", help="the instance; default: dev")
    parser.add_argument("--json", action="store_true", help="for status: as JSON")
    given = parser.parse_args(arguments)
    if (given.command in {"start", "stop", "kill"}) != (given.engine is not None):
        parser.error("start, stop and kill name an engine; the other commands do not")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run(Engines(given.name), given.command, given.engine, as_json=given.json)
    except EngineError as error:
        print(f"[engines] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("[engines] interrupted; what this run had started is stopped again", file=sys.stderr)
        return 130
    return 0


def _run(engines: Engines, command: str, engine: str | None, *, as_json: bool) -> None:
    if command == "status":
        _print_status(engines.status(), as_json=as_json)
    elif command == "up":
        for name, value in engines.up().environment().items():
            print(f"{name}={value}")
    elif engine is not None:
        by_engine: dict[str, Callable[[str], object]] = {
            "start": engines.start,
            "stop": engines.stop,
            "kill": engines.kill,
        }
        by_engine[command](engine)
    else:
        {"down": engines.down, "reset": engines.reset}[command]()


def _print_status(status: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(status, indent=2))
        return
    for name, value in status.items():
        print(f"{name}: {', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
