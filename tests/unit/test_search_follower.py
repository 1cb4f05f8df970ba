"""A process's search index follows the store, whatever becomes of its file."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.routing.texts import TextIndex, hashed
from shared.search import Follower, NotReady, follower
from shared.search.index_file import Unusable


class Letters:
    """Stands for the store: what was written, in order."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def write(self, first: int, end: int) -> None:
        self.texts |= {f"{number:05d}": f"第{number:05d}封信" for number in range(first, end)}

    async def changes(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        return [(letter, letter) for letter in self.texts if letter > after][:limit]

    async def entries(self, letter_ids: Sequence[str]) -> dict[str, Sequence[int]]:
        return {letter: hashed([self.texts[letter]]) for letter in letter_ids}


@pytest.fixture
def letters() -> Letters:
    return Letters()


def follow(letters: Letters, folder: Path | None) -> tuple[TextIndex, Follower[Sequence[int]]]:
    index = TextIndex(folder)
    return index, Follower(index, letters.changes, letters.entries)


async def found(index: TextIndex, following: Follower[Sequence[int]], word: str) -> list[str]:
    return sorted(await following.do(index.having, hashed([word]), 100_000))


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """What the log says of an index that cannot be used: which, by which setting, why."""
    records = [vars(record) for record in caplog.records if "cannot be used" in record.getMessage()]
    return [(record["index"], record["name_of_setting"], record["reason_code"]) for record in records]


async def test_a_look_takes_up_everything_and_an_answer_only_the_newest(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.0)
    letters.write(0, 1_234)
    index, following = follow(letters, None)
    with pytest.raises(NotReady):
        await following.fresh()
    await following.look()
    assert len(await found(index, following, "封信")) == 1_234
    letters.write(1_234, 1_234 + follower.AT_ONCE + 50)
    await following.fresh()
    assert len(await found(index, following, "封信")) == 1_234 + follower.AT_ONCE
    await following.look()
    assert len(await found(index, following, "封信")) == len(letters.texts)
    await following.close()


async def test_a_full_disk_stops_the_index_where_it_is_and_room_lets_it_go_on(
    letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.0)
    letters.write(0, 10)
    index, following = follow(letters, tmp_path)
    await following.look()
    assert index._connection is not None
    index._connection.execute("pragma max_page_count = 1")  # as many as there are: none more
    letters.write(10, 2_000)
    with pytest.raises(Unusable, match="full"):
        await following.look()
    with pytest.raises(NotReady):
        await following.fresh()
    assert told(caplog) == [("routing", "SEARCH_FOLDER", "SQLITE_FULL")]
    assert len(await found(index, following, "封信")) == 10
    index._connection.execute("pragma max_page_count = 1000000")
    await following.look()
    assert len(await found(index, following, "封信")) == 2_000
    await following.close()


async def test_a_folder_that_cannot_be_written_is_named(
    letters: Letters, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "search").write_text("no folder")
    index, following = follow(letters, tmp_path / "search")
    with pytest.raises(Unusable, match=f"{tmp_path}/search"):
        await following.look()
    assert told(caplog) == [("routing", "SEARCH_FOLDER", "EEXIST")]
    with pytest.raises(NotReady):
        await found(index, following, "封信")
    await following.close()
