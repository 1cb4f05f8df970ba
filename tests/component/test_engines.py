"""The engines of the tests themselves: what makes each start cheap."""

from pathlib import Path

import pytest

from deploy.engines import Engines, Process


def test_a_broker_starts_from_the_classes_that_the_first_one_on_this_machine_kept(engines: Engines) -> None:
    pid = Process("kafka", engines.folder).pid()
    if pid is None:
        pytest.skip("these engines are somebody else's")
    option = "-XX:SharedArchiveFile="
    command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    (kept,) = [Path(word.removeprefix(option)) for word in command if word.startswith(option)]
    assert kept.stat().st_size > 10_000_000
    assert str(kept) in Path(f"/proc/{pid}/maps").read_text(), "Java took it"
