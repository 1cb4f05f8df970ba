"""Whatever is asked, by whomever: every answer is one that the OpenAPI document promises, and none is a 5xx (docs/fuzzing.md)."""

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from tests.conftest import World
from tests.fuzz.city import fuzzed_city
from tests.fuzz.requests import Fuzzer, Report

SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "120"))
"""For how long is asked; the first round is always asked to its end."""
EXAMPLES: Final = 2
"""Requests to each operation in a round; the next round has the next seed."""
SEED: Final = int(os.environ.get("FUZZ_SEED", "20260302"))
_FILE: Final = "it takes a file that is a picture or a document"
_OF_FILE: Final = "it needs a file that was uploaded to the case before"
_DIRECTORY: Final = (
    "it takes the directory's version in If-Match and a whole entry, and changes the city for all that follow"
)
NOT_REACHED: Final = {
    "POST /intake/attachments": _FILE,
    "POST /publication/cases/{letter_id}/attachments": _FILE,
    "GET /publication/cases/{letter_id}/attachments/{attachment_id}": _OF_FILE,
    "DELETE /publication/cases/{letter_id}/attachments/{attachment_id}": _OF_FILE,
    "GET /public/letters/{number}/attachments/{name}": _OF_FILE,
    "POST /routing/directory/mailboxes": _DIRECTORY,
    "PATCH /routing/directory/mailboxes/{code}": _DIRECTORY,
    "POST /routing/directory/mailboxes/{code}/close": _DIRECTORY,
}
"""Operation → why requests at random may never come to what it is for."""


async def test_whatever_is_asked_is_answered_as_documented(world: World, tmp_path: Path) -> None:
    async with fuzzed_city(world, tmp_path, copies=1) as (run, known):
        report, ends = Report(), time.monotonic() + SECONDS
        fuzzer = await asyncio.to_thread(Fuzzer, run.url, known, SEED, None, report)
        await asyncio.to_thread(fuzzer.ask_oddly)
        await asyncio.to_thread(fuzzer.ask_all, EXAMPLES)
        while time.monotonic() < ends:
            fuzzer = await asyncio.to_thread(Fuzzer, run.url, known, fuzzer.seed + 1, None, report)
            await asyncio.to_thread(fuzzer.ask_all, EXAMPLES, lambda: time.monotonic() > ends)
        print(sum(report.asked.values()), dict(report.answered), *report.slowest, sep="\n")
        assert not report.findings, f"seeds {SEED} to {fuzzer.seed}:\n{report.text()}\n{run.last_words()}"
        assert not fuzzer.operations.keys() - report.answers.keys(), "operations to which nothing was sent"
        missed = sorted(fuzzer.operations.keys() - report.reached)
        told = "\n".join(f"{name}: {dict(report.answers[name])}" for name in missed)
        assert NOT_REACHED.keys() >= set(missed), told
        assert set().union(*report.callers.values()) == {person.name for person in known.people}
