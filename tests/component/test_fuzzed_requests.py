"""Whatever is asked, by whomever: every answer is one that the OpenAPI document promises, and none is a 5xx (docs/fuzzing.md)."""

import asyncio
import os
from pathlib import Path

from tests.conftest import World
from tests.fuzz.city import fuzzed_city
from tests.fuzz.requests import Fuzzer

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))
"""Requests to each operation."""
SEED = int(os.environ.get("FUZZ_SEED", "20260302"))


async def test_whatever_is_asked_is_answered_as_documented(world: World, tmp_path: Path) -> None:
    async with fuzzed_city(world, tmp_path, copies=1) as (run, known):
        fuzzer = await asyncio.to_thread(Fuzzer, run.url, known, SEED, None)
        await asyncio.to_thread(fuzzer.ask_oddly)
        await asyncio.to_thread(fuzzer.ask_all, EXAMPLES)
        report = fuzzer.report
        print(sum(report.asked.values()), dict(report.answered), *report.slowest, sep="\n")
        assert set(report.asked) >= set(fuzzer.operations)
        assert not report.findings, f"seed {SEED}:\n{report.text()}\n{run.last_words()}"
