"""What the system is made of: a bill of materials that holds every locked package, licences that a city may live with, known advisories."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import supply
from deploy.engines import fetch

PINNED: Final = {"lamp": "1.0.3", "street": "2.1"}
ADVISORY: Final = {
    "id": "GHSA-lamp-goes-out1",
    "summary": "It goes out.",
    "affected": [
        {
            "package": {"name": "lamp", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0.4"}]}],
        }
    ],
}


def test_the_bill_of_materials_holds_every_package_of_the_lock_with_its_hashes(tmp_path: Path) -> None:
    made = supply.write_sbom(tmp_path / "sbom.json")
    written = (tmp_path / "sbom.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    packages = [one for one in made["components"] if one["purl"].startswith("pkg:pypi/")]
    assert {one["purl"].removeprefix("pkg:pypi/").partition("@")[0] for one in packages} >= supply.locked(
        supply.RUNTIME_LOCK
    ).keys()
    for package in packages:
        (source,) = package["externalReferences"]
        assert {digest["alg"] for digest in source["hashes"]} == {"SHA-256"}, package["name"]
    images = {one["name"]: one["version"] for one in made["components"] if one["type"] == "container"}
    programs = {one["name"]: one for one in made["components"] if one["type"] == "application"}
    composed = set(re.findall(r"^    image: (?!xinxiang)(.+)$", supply.COMPOSE.read_text("utf-8"), re.MULTILINE))
    assert len(composed) >= 6
    assert {f"{name}:{version}" for name, version in images.items()} >= composed
    assert images["python"].startswith("3.")
    assert (programs["kafka"]["version"], programs["kafka"]["scope"]) == (fetch.KAFKA_VERSION, "excluded")
    assert programs.keys() >= fetch.ARTIFACTS.keys()


@contextmanager
def advisories(answer: Any) -> Iterator[tuple[str, list[Any]]]:
    """A database of advisories that answers so, or, without an answer, by 503; gives its address and what it was asked."""
    asked: list[Any] = []

    class Database(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            found = [] if answer is None or asked[-1]["package"]["name"] != "lamp" else answer
            content = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(503 if answer is None else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages are locked, and no proxy stands before this machine's own addresses."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("".join(f"{name}=={version} --hash=sha256:{'0' * 64}\n" for name, version in PINNED.items()))
    monkeypatch.setattr(supply, "LOCKS", (lock,))
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.mark.usefixtures("locks")
def test_an_audit_names_what_has_an_advisory_the_version_that_mends_it_and_what_to_do(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with advisories([ADVISORY]) as (url, asked):
        assert supply.main(["audit", "--url", url]) == 1
    assert {one["package"]["name"]: one["version"] for one in asked} == PINNED
    told = capfd.readouterr()
    (line,) = [line for line in told.out.splitlines() if line.startswith("lamp")]
    assert line.split() == ["lamp", "1.0.3", "GHSA-lamp-goes-out1", "1.0.4"]
    assert "take the version that mends it into pyproject.toml, `make lock`, `make test`" in told.err


@pytest.mark.usefixtures("locks")
def test_an_audit_in_which_nothing_is_known_passes(capfd: pytest.CaptureFixture[str]) -> None:
    with advisories([]) as (url, asked):
        assert supply.main(["audit", "--url", url]) == 0
    assert len(asked) == len(PINNED)
    assert "No known vulnerabilities found" in capfd.readouterr().err


@pytest.mark.usefixtures("locks")
def test_an_audit_that_nobody_answers_is_no_pass_and_says_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    with advisories(None) as (broken, _):
        assert supply.main(["audit", "--url", broken]) == 1
        assert "run this where the database of advisories answers" in capfd.readouterr().err
    assert supply.main(["audit", "--url", broken]) == 1, "nobody is there any more"
    told = capfd.readouterr().err
    assert "run this where the database of advisories answers" in told
    assert "Traceback" not in told


def test_every_package_that_runs_is_listed_with_a_licence_that_is_allowed() -> None:
    rows = re.findall(r"^\| ([a-z0-9-]+) \| ([0-9]\S*) \| (.+) \|$", supply.LICENCES.read_text("utf-8"), re.MULTILINE)
    listed = {name: version for name, version, _ in rows}
    pinned = supply.locked(supply.RUNTIME_LOCK)
    installed = supply.licences().keys()
    assert listed == {name: version for name, version in pinned.items() if name in listed}, "run deploy.supply licences"
    assert pinned.keys() & installed <= listed.keys(), "run deploy.supply licences"
    assert supply.refused({name: licence for name, _, licence in rows}) == []


def test_a_licence_that_opens_what_a_city_adds_or_that_nobody_knows_is_refused() -> None:
    found = {
        "a": "GNU Affero General Public License v3",
        "b": "UNKNOWN",
        "c": "GPL-3.0-only",
        "d": "LGPL-2.1",
        "e": "MIT",
    }
    assert [sentence.partition(":")[0] for sentence in supply.refused(found)] == ["a", "b", "c"]


def test_what_only_sounds_like_an_allowed_licence_or_comes_with_a_refused_one_is_refused() -> None:
    for licence in (
        "Proprietary, Example Limited",
        "see disclaimer",
        "GPL-3.0-only AND MIT",
        "GNU Affero GPL v3; MIT License",
    ):
        assert not supply.allowed(licence), licence
    for licence in ("GPL-2.0-only OR BSD-3-Clause", "LGPL-2.1-or-later", "MPL-2.0 AND MIT", "0BSD"):
        assert supply.allowed(licence), licence
