"""Every regular expression of ours, tried with texts made to take it long: `python -m tests.patterns` prints those that do, as JSON.

It runs in a process of its own, with a limit on its processor time, since a pattern that is wrong may never end. Patterns are recorded as
our modules make them. A text is repeated pieces of what the pattern itself speaks of, then something that fails; the time must grow as the
text does. Pydantic's patterns are another engine's, which is linear by construction, and none of these.
"""

import importlib
import itertools
import json
import pkgutil
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from time import thread_time
from typing import Any, Final

CPU_SECONDS: Final = 120
SHORT: Final = 300
TIMES: Final = 8
LINEAR: Final = 24.0
"""Eight times the text may take so many times as long; were it squared, it would be 64."""
WORTH_A_LOOK: Final = 0.004
"""Seconds; below, growth is noise."""
ROOT: Final = Path(__file__).resolve().parents[1]
_BUILT_IN: Final = ("a", "1", " ", "市", "\n", "@", "-", ".", "　", "１")
_PIECES: Final = 12
_found: dict[tuple[Any, int], str] = {}


def record() -> None:
    """Note every pattern that a file of ours makes from now on."""
    made = re._compile  # type: ignore[attr-defined]

    def noting(pattern: Any, flags: int) -> Any:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename == re.__file__:
            frame = frame.f_back  # type: ignore[assignment]
        if (
            frame is not None
            and frame.f_code.co_filename.startswith(str(ROOT))
            and ".venv" not in frame.f_code.co_filename
        ):
            place = f"{Path(frame.f_code.co_filename).relative_to(ROOT)}:{frame.f_lineno}"
            _found.setdefault((getattr(pattern, "pattern", pattern), int(flags)), place)
        return made(pattern, flags)

    re._compile = noting  # type: ignore[attr-defined]


def texts(pattern: str) -> Iterator[str]:
    """Pieces which, repeated, may make the pattern try many ways."""
    own = [one for one in dict.fromkeys(re.sub(r"\\[a-zA-Z]|[\\\[\](){}|*+?^$]", "", pattern)) if one.isprintable()]
    singles = [*_BUILT_IN, *own[:_PIECES]]
    yield from singles
    yield from ("".join(pair) for pair in itertools.permutations(singles[:8], 2))
    words = re.findall(r"[a-z0-9\u4e00-\u9fff]{2,8}", pattern)
    yield from words[:_PIECES]


def seconds(compiled: re.Pattern[str], text: str) -> float:
    """Processor time to look for the pattern everywhere in a text."""
    began = thread_time()
    for _ in compiled.finditer(text):
        pass
    compiled.fullmatch(text)
    return thread_time() - began


def growth(compiled: re.Pattern[str], piece: str) -> float:
    """How many times as long eight times the text takes; 0: too little to tell."""
    short = (piece * SHORT)[:SHORT] + "\x01"
    long = (piece * SHORT * TIMES)[: SHORT * TIMES] + "\x01"
    taken = seconds(compiled, long)
    if taken < WORTH_A_LOOK:
        return 0.0
    return min(taken, seconds(compiled, long)) / max(1e-7, min(seconds(compiled, short) for _ in range(3)))


def main() -> None:
    """Import all of ours, try all patterns."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    record()
    for package in ("shared", "services"):
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    slow: dict[str, str] = {}
    tried = 0
    for (pattern, flags), place in sorted(_found.items(), key=lambda item: item[1]):
        if not isinstance(pattern, str):
            continue
        tried += 1
        compiled = re.compile(pattern, flags)
        for piece in texts(pattern):
            times = growth(compiled, piece)
            if times > LINEAR:
                slow[f"{place} {pattern[:80]}"] = f"{piece!r}: {times:.0f} times"
                break
    print(json.dumps({"tried": tried, "slow": slow}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
