"""`python -m deploy.state_machine [--check]`: draw the table of moves in `services/routing/moves.py` as `docs/state-machine.md`.

With `--check` nothing is written: the command fails where the committed page is not what would be written.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator

from deploy.engines.places import CHECKOUT
from services.routing.models import Stage
from services.routing.moves import MOVES, Move, On
from shared.contracts.facts import Fact, InstructionGiven

PAGE = CHECKOUT / "docs" / "state-machine.md"
STARTS = {Stage.PENDING: "登记 register", Stage.DISCARDED: "作无效处理 discard", Stage.NOTED: "掌握 note"}
"""How intake brings a letter from screening to where routing, or nobody, has it."""

HEAD = """# How a letter moves

Made from the table in `services/routing/moves.py` by `python -m deploy.state_machine`; do not edit.

A letter is always in one place. Each hand-off opens a frame inside the one under which its sender had the letter, and the stage says
where the innermost frame stands. When a hand-off ends, the letter is back with its sender: *pending* on a desk, or *collected* in the hand
of an assignee (R4.2b). Forwarded or submitted letters are pending on the receiver's desk once they are collected (R4.3, R4.4);
assigned ones, and those given to a department directly, are in the receiver's hand and owe a reply (R4.1, R4.2).

"""


def page() -> str:
    """Return the page."""
    return HEAD + _diagram() + "\n" + _stages() + "\n" + _moves()


def _names(move: Move) -> str:
    return move.name.replace(" / ", " ")


def _arrows() -> Iterator[tuple[Stage, Stage, str]]:
    for stage, how in STARTS.items():
        yield Stage.ARRIVED, stage, how
    for kind, move in MOVES.items():
        for start in Stage:
            if start in move.at:
                yield from ((start, end, f"{_names(move)} {move.rule}") for end in move.to if _can(kind, start, end))


def _can(kind: type[Fact], start: Stage, end: Stage) -> bool:
    """Leave out what the frames rule out: an instruction moves only what waits for one (R4.4), and what is
    answered directly or was forwarded came from a desk, not out of an assignee's hand.
    """
    if kind is InstructionGiven:
        return start is Stage.SUBMITTED
    from_desk = start in {Stage.DIRECT, Stage.PENDING}
    return not (from_desk and end is Stage.COLLECTED)


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {stage.value}: {stage.value} {stage.label}" for stage in Stage]
    lines.append(f"    [*] --> {Stage.ARRIVED.value}")
    lines += [f"    {start.value} --> {end.value}: {text}" for start, end, text in _arrows()]
    lines += [f"    {stage.value} --> [*]" for stage in (Stage.FINISHED, Stage.DISCARDED, Stage.NOTED)]
    return "\n".join([*lines, "```", ""])


def _stages() -> str:
    rows = [f"| {stage.value} | {stage.label} |" for stage in Stage]
    return "\n".join(["## Stages", "", "| stage | 中文 |", "|---|---|", *rows, ""])


def _moves() -> str:
    rows = [
        f"| {fact.__name__} | {_names(move)} | {move.rule} | {move.side.value} | {', '.join(sorted(move.roles))} "
        f"| {_list(sorted(move.at, key=list(Stage).index))}{' (the hand-off by itself)' if move.on is On.HANDOFF else ''} "
        f"| {_list(move.to) or 'where it was'} |"
        for fact, move in MOVES.items()
    ]
    head = ["| fact | move | rule | whose | roles | at | to |", "|---|---|---|---|---|---|---|"]
    return "\n".join(["## Moves", "", *head, *rows, ""])


def _list(stages: Iterable[Stage]) -> str:
    return ", ".join(stage.value for stage in stages)


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it; return 0 if it holds."""
    parser = argparse.ArgumentParser(prog="python -m deploy.state_machine", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page differs")
    wanted = page()
    if not parser.parse_args(arguments).check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{PAGE.relative_to(CHECKOUT)} is not what the table says; write it: python -m deploy.state_machine")
    return 1


if __name__ == "__main__":
    sys.exit(main())
