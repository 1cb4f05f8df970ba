"""The Python environment is made anew only where it belongs."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy import browser, env
from deploy.engines import EngineError, Engines, compose, fetch
from deploy.engines.places import CHECKOUT

NEW_ENOUGH = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"


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


def test_what_tests_need_is_fetched_together_but_not_what_the_host_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def refuse(wanted: list[str], *_: object) -> None:
        asked.append(set(wanted))
        raise EngineError("no network: whoever provides it says so")

    monkeypatch.setattr(fetch, "fetch", refuse)
    monkeypatch.setattr(compose, "available", lambda _: False)
    monkeypatch.setattr(browser, "find", lambda: None)
    monkeypatch.setattr(env, "find_folder", lambda _: None)
    env.fetch_for_tests(Engines("nobody", {}))
    monkeypatch.setattr(compose, "available", lambda _: True)
    monkeypatch.setattr(browser, "find", lambda: browser.Browser(Path("/chromium"), {}))
    monkeypatch.setattr(env, "find_folder", lambda _: Path("/fonts"))
    env.fetch_for_tests(Engines("nobody", {}))
    assert asked[0] == set(fetch.ARTIFACTS)
    assert asked[0] - asked[1] == {"kafka", "postgres", "ferretdb", "chromium", "fonts"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("", {}),
        ("global.cert='/etc/ca.pem'\n", {}),
        ("global.index-url='https://a.test/simple'\n", {"UV_DEFAULT_INDEX": "https://a.test/simple"}),
        (
            ":env:.index-url='https://mine.test'\nglobal.index-url='https://a.test'\n:env:.find-links='/wheels'\n",
            {"UV_DEFAULT_INDEX": "https://mine.test", "UV_FIND_LINKS": "/wheels"},
        ),
    ],
    ids=["none", "others", "a file's", "the environment before a file"],
)
def test_uv_looks_for_packages_where_pip_is_told_they_are(settings: str, told: dict[str, str]) -> None:
    assert env.places_of_packages(settings) == told


def test_pip_installs_where_uv_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = tmp_path / ".venv"
    venv.mkdir()
    monkeypatch.setattr(env, "VENV", venv)
    monkeypatch.setattr(env, "STAMP", venv / "made-from")
    done: list[Sequence[str]] = []

    def uv_cannot(command: Sequence[str], *_: object) -> None:
        done.append(command)
        if command[0].endswith("/uv"):
            raise EngineError("uv finds no index")

    monkeypatch.setattr(env, "_run", uv_cannot)
    env.make()
    assert (venv / "uv.lock").read_text().startswith("uv==")
    assert "--hash=" in (venv / "uv.lock").read_text()
    assert done[-1][: len(env.PIP)] == [*env.PIP]
    assert done[-1][-1] == str(env.LOCK)
    assert "--require-hashes" in done[-1]
    assert env.STAMP.read_text() == env.wanted()


def _chosen(python: str) -> "subprocess.CompletedProcess[str]":
    command = ["sh", "deploy/python.sh", "-c", "import sys; print(sys.executable)"]
    environ = os.environ | {"PYTHON": python}
    return subprocess.run(command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False)


def test_the_host_s_python_is_the_one_that_is_named(tmp_path: Path) -> None:
    assert _chosen(sys.executable).stdout.strip() == sys.executable
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    refused = _chosen(str(old))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"PYTHON={old} is not Python 3.11 or newer" in refused.stderr


def test_the_distribution_s_python_is_taken_before_others() -> None:
    system = Path("/usr/bin/python3")
    if not system.exists() or subprocess.run([system, "-c", NEW_ENOUGH], check=False, capture_output=True).returncode:
        pytest.skip("this host's distribution has none that is new enough and can make environments")
    assert Path(_chosen("").stdout.strip()).resolve() == system.resolve()
