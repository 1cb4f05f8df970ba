"""The browser that tests look at pages with: the host's own first, then the fetched one, else it is said what to do."""

from pathlib import Path

from deploy import browser
from deploy.engines import fetch


def _program(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_the_hosts_chromium_is_used_as_it_is(tmp_path: Path) -> None:
    own = _program(tmp_path / "bin" / "chromium")
    found = browser.find({"PATH": str(own.parent), "XDG_CACHE_HOME": str(tmp_path)})
    assert found == browser.Browser(own, {})


def test_the_fetched_one_runs_with_its_own_libraries_and_fonts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fetch, "home", lambda engine, environ: tmp_path / engine)
    environ = {"PATH": str(tmp_path / "nothing")}
    assert browser.find(environ) is None
    program = _program(tmp_path / "chromium/tree/usr/lib/chromium/chromium-headless-shell")
    assert browser.find(environ) is None, "a folder without a loader is no browser"
    loader = _program(tmp_path / "chromium/tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    found = browser.find(environ)
    assert found is not None
    assert found.executable == program
    assert found.environment["LD_LIBRARY_PATH"].startswith(f"{loader.parent}:")
    assert found.environment["FONTCONFIG_FILE"] == str(tmp_path / "chromium/fonts.conf")


def test_where_there_is_no_browser_it_is_said_what_to_do(monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(browser, "find", lambda: None)
    monkeypatch.setattr(browser, "debian_source", lambda: None)
    assert not browser.provide(told.append)
    assert "install Debian's chromium" in told[0]
