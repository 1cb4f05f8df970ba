"""Where the engines under test keep what they store."""

import fcntl
import os
from pathlib import Path

import pytest

from deploy import check
from deploy.engines import Engines
from deploy.engines.places import CHECKOUT, instance_folder, postgres_folder


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for memory, with room, beside that of the run we are part of; and nobody who says where engines belong."""
    place = tmp_path / "memory"
    monkeypatch.setattr(check, "MEMORY", place)
    monkeypatch.setattr(check, "MEMORY_LOCK", tmp_path / "memory.lock")
    monkeypatch.setattr(check, "ROOM_BYTES", 1)
    monkeypatch.setattr(Engines, "running", lambda _: set())
    monkeypatch.delenv("ENGINES_FOLDER", raising=False)
    monkeypatch.delenv("TEST_ENGINES", raising=False)
    return place


def test_engines_under_test_store_in_memory_and_nothing_of_it_stays(memory: Path) -> None:
    with check.data_in_memory():
        assert instance_folder("test") == memory / "test"
        assert postgres_folder("test").parts[-2:] == ("test", "postgres") or os.geteuid() == 0
        (memory / "test").mkdir()
    assert not memory.exists()
    assert instance_folder("test") == CHECKOUT / ".local" / "test"


def test_what_a_killed_run_left_is_stopped_before_and_what_runs_is_stopped_before_its_data_goes(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[tuple[str, bool]] = []
    monkeypatch.setattr(Engines, "down", lambda engines: stopped.append((engines.name, engines.folder.exists())))
    (memory / "faults").mkdir(parents=True)
    with check.data_in_memory():
        assert stopped == [("faults", True)]
        (memory / "test").mkdir()
    assert sorted(stopped[1:]) == [("faults", True), ("test", True)]
    assert not memory.exists()


def test_two_runs_in_one_checkout_take_turns(tmp_path: Path) -> None:
    with check.data_in_memory(), (tmp_path / "memory.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / "memory.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("name", ["ENGINES_FOLDER", "TEST_ENGINES"])
def test_who_says_where_they_belong_is_heard(memory: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "elsewhere")
    with check.data_in_memory():
        assert os.environ[name] == "elsewhere"
        assert not memory.exists()
    assert os.environ[name] == "elsewhere"


def test_engines_that_run_already_are_used(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engines, "running", lambda _: {"kafka"})
    with check.data_in_memory():
        assert "ENGINES_FOLDER" not in os.environ
    assert not memory.exists()


def test_without_room_they_store_on_the_disk(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ROOM_BYTES", 2**60)
    with check.data_in_memory():
        assert "ENGINES_FOLDER" not in os.environ
    assert not memory.exists()


def test_a_folder_that_somebody_else_made_a_link_is_not_used(memory: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    memory.symlink_to(theirs)
    with check.data_in_memory():
        assert "ENGINES_FOLDER" not in os.environ
    assert theirs.exists()
