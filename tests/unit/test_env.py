"""The Python environment is made anew only where it belongs."""

from pathlib import Path

import pytest

from deploy import env
from deploy.engines import EngineError


def test_somebody_else_s_environment_behind_a_link_is_not_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, link = tmp_path / "theirs", tmp_path / ".venv"
    theirs.mkdir()
    (theirs / "made-from").write_text("another lock")
    link.symlink_to(theirs)
    monkeypatch.setattr(env, "VENV", link)
    monkeypatch.setattr(env, "STAMP", link / "made-from")
    with pytest.raises(EngineError, match="is a link to"):
        env.make()
    assert (theirs / "made-from").read_text() == "another lock"
