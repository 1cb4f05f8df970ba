"""The programs that only tests use: found where they were fetched, else it is said what to do."""

import shutil

import pytest

from deploy import tools
from deploy.engines import EngineError, fetch


def test_a_fetched_program_is_found_and_a_missing_one_is_named_with_its_command(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fetch, "home", lambda artifact, environ: tmp_path / artifact)
    with pytest.raises(EngineError, match=r"no promtool: run `.venv/bin/python -m deploy.tools prometheus`"):
        tools.program("promtool")
    there = tmp_path / "toxiproxy/bin/toxiproxy"
    there.parent.mkdir(parents=True)
    there.touch()
    assert tools.program("toxiproxy") == there


def test_what_prevents_fetching_is_told(monkeypatch) -> None:
    monkeypatch.setattr(fetch, "missing", lambda *_: ["toxiproxy"])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    told: list[str] = []
    assert not tools.provide(["toxiproxy"], told.append)
    assert told == ["the tests that use toxiproxy cannot run, all else works: this host has no go"]
