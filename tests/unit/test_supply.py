"""What the system is made of: a bill of materials that holds every locked package, and licences that a city may live with."""

import re
from pathlib import Path

from deploy import supply


def test_the_bill_of_materials_holds_every_package_of_the_lock_with_its_hashes(tmp_path: Path) -> None:
    made = supply.write_sbom(tmp_path / "sbom.json")
    assert made["bomFormat"] == "CycloneDX"
    found = {component["purl"].removeprefix("pkg:pypi/"): component for component in made["components"]}
    assert {name.partition("@")[0] for name in found} >= supply.locked(supply.RUNTIME_LOCK).keys()
    for component in made["components"]:
        (source,) = component["externalReferences"]
        assert {digest["alg"] for digest in source["hashes"]} == {"SHA-256"}, component["name"]


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
