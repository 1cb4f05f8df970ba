"""Backups on a shelf: which one the next goes on from, and which are old enough to go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.ops.shelf import NAME, chosen, pruned
from deploy.ops.vault import MANIFEST, Manifest, Segment

NOW = datetime.now(UTC)


def backup(shelf: Path, days: float, since: Path | None = None) -> Path:
    """A backup that was made so many days ago; one that goes on from another names a file of it."""
    folder = broken_off(shelf, days)
    made = Manifest("", (NOW - timedelta(days=days)).isoformat(), since=f"../{since.name}" if since else "")
    there = Segment("topics/letters/0-0.bson.gz", 1, "", "", "letters", 0, 0, 1)
    if since:
        there.path = f"../{since.name}/{there.path}"
    made.segments.append(there)
    made.write(folder)
    return folder


def broken_off(shelf: Path, days: float) -> Path:
    """A folder without manifest, begun so many days ago."""
    folder = shelf / (NOW - timedelta(days=days)).strftime(NAME)
    folder.mkdir(parents=True)
    (folder / "store").mkdir()
    return folder


def left(shelf: Path) -> set[str]:
    return {folder.name for folder in shelf.iterdir()}


def test_what_is_older_than_its_days_goes_but_not_what_a_younger_one_needs(tmp_path: Path) -> None:
    first = backup(tmp_path, 50)
    second = backup(tmp_path, 45, first)
    needed = backup(tmp_path, 33)
    young = backup(tmp_path, 29, needed)
    newest = backup(tmp_path, 0)
    assert pruned(newest, 30) == [first, second]
    assert left(tmp_path) == {needed.name, young.name, newest.name}


def test_the_newest_whole_one_stays_whatever_its_age(tmp_path: Path) -> None:
    only = backup(tmp_path, 90)
    assert pruned(only, 30) == []
    assert left(tmp_path) == {only.name}


def test_what_was_broken_off_goes_after_a_day_and_folders_of_others_never(tmp_path: Path) -> None:
    newest = backup(tmp_path, 0)
    old, running = broken_off(tmp_path, 1.1), broken_off(tmp_path, 0.9)
    other = tmp_path / "lost+found"
    other.mkdir()
    by_hand = backup(tmp_path, 60).rename(tmp_path / "monday")
    assert pruned(newest, 30) == [old]
    assert left(tmp_path) == {newest.name, running.name, other.name, by_hand.name}


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"form": "xinxiang-backup-1"}', '{"form": "another"}'])
def test_a_spoilt_manifest_is_told_of_and_the_next_backup_is_whole(
    tmp_path: Path, manifest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = backup(tmp_path, 3)
    assert chosen(tmp_path, 7)[1] == whole
    spoilt = backup(tmp_path, 2, whole)
    (spoilt / MANIFEST).write_text(manifest)
    orphan = backup(tmp_path, 1, spoilt)
    folder, since = chosen(tmp_path, 7)
    assert (folder.parent, since) == (tmp_path, None)
    assert spoilt.name in capsys.readouterr().err
    again = backup(tmp_path, 0.5)
    last = backup(tmp_path, 0.4, again)
    assert chosen(tmp_path, 7)[1] == last
    # And in its time it goes like any other, not while one that names its files stays.
    assert pruned(last, 0.9) == [whole, spoilt, orphan]


def test_a_chain_begins_anew_after_its_days(tmp_path: Path) -> None:
    whole = backup(tmp_path, 8)
    backup(tmp_path, 1, whole)
    assert chosen(tmp_path, 7)[1] is None
