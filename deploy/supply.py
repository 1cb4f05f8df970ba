"""`python -m deploy.supply sbom|audit|licences`: what the system is made of besides its own code, and what is known against it.

`sbom` writes the bill of materials (CycloneDX 1.6, JSON) to `build/sbom.json`: every package that runs with its hashes; the images and the
programs beside them by version, `excluded` where only tests and demonstrations use them.
`audit` asks a database of advisories about every package that is locked, for running and for development; it needs one that answers
(`--url`: a mirror of OSV), and a package that could not be asked about is no pass. Exit status 0: nothing known; 1: something is, or a
package could not be asked about.
`licences` writes `docs/licences.md`; exit status 1 where a licence is unknown or not among those allowed.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.engines import fetch
from deploy.engines.go_programs import GO_MODULES, GO_TOOLS
from deploy.engines.places import CHECKOUT
from shared.yaml_files import load_yaml

RUNTIME_LOCK = CHECKOUT / "requirements.lock"
LOCKS = (RUNTIME_LOCK, CHECKOUT / "requirements-dev.lock")
"""What runs, and what it is developed with."""
COMPOSE = CHECKOUT / "deploy" / "compose.yaml"
DOCKERFILE = CHECKOUT / "deploy" / "Dockerfile"
SBOM = CHECKOUT / "build" / "sbom.json"
LICENCES = CHECKOUT / "docs" / "licences.md"
ALLOWED = re.compile(
    r"\b(?:MIT|0?BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|Lesser General Public|"
    r"Unlicense|HPND|Historical Permission|Zlib|CC0)\b",
    re.IGNORECASE,
)
"""Licences under which a city may run and change the system without opening what it adds; LGPL packages are used as they are."""
REFUSED = re.compile(r"\bA?GPL|Affero|GNU General Public", re.IGNORECASE)
"""Licences that would ask for that; beside an allowed one they count, unless either may be chosen (`OR`)."""
ENGINES: Sequence[tuple[str, str, str]] = (
    ("Apache Kafka", "the broker", "Apache-2.0"),
    ("PostgreSQL", "the store", "PostgreSQL"),
    ("DocumentDB", "the store's document extension", "MIT"),
    ("FerretDB", "the store's front", "Apache-2.0"),
    ("Noto CJK", "the fonts of printed forms", "OFL-1.1"),
    ("Prometheus", "metrics and alerts", "Apache-2.0"),
    ("Grafana", "dashboards, a program of its own beside the system", "AGPL-3.0"),
    ("nginx", "the proxy of one machine", "BSD-2-Clause"),
)
"""What runs beside the services: name, what it does, licence."""
HEAD = """# Licences

What runs in the services' processes, as pinned in `requirements.lock`; made by `python -m deploy.supply licences`. Allowed are
licences under which a city may run and change the system without opening what it adds; packages
under the LGPL and MPL are used as they are published.

"""


def locked(lock: Path) -> dict[str, str]:
    """Return the packages that a lock pins: normalised name → version."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {_normal(name): version for name, version in found}


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licences() -> dict[str, str]:
    """Return what each installed package says of its licence: normalised name → licence."""
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {_normal(package["Name"]): " ".join(package["License"].split()) for package in listed}


def refused(found: Mapping[str, str]) -> list[str]:
    """Return a sentence on each package whose licence is unknown or not allowed."""
    return [
        f"{name}: {licence!r} is not among the licences allowed ({Path(__file__).name}, ALLOWED)"
        for name, licence in found.items()
        if not allowed(licence)
    ]


def allowed(licence: str) -> bool:
    """Whether one of the licences that may be chosen is allowed, and none of those that come with it is refused."""
    choices = re.split(r"\bOR\b", licence)
    return any(ALLOWED.search(choice) and not REFUSED.search(choice) for choice in choices)


def page() -> tuple[str, list[str]]:
    """Return the page of licences and what is wrong with them. Packages for other systems than this one are left out."""
    installed = licences()
    pinned = {name: version for name, version in locked(RUNTIME_LOCK).items() if name in installed}
    rows = [f"| {name} | {version} | {installed[name]} |" for name, version in sorted(pinned.items())]
    beside = [f"| {name} | {what} | {licence} |" for name, what, licence in ENGINES]
    text = HEAD + "| package | version | licence |\n|---|---|---|\n" + "\n".join(rows)
    text += "\n\n## Beside the services\n\nPrograms of their own, reached over the network or read as files.\n\n"
    text += "| program | what for | licence |\n|---|---|---|\n" + "\n".join(beside) + "\n"
    return text, refused({name: installed[name] for name in pinned})


def write_licences() -> int:
    """Write the page; return 1 if a licence is not allowed."""
    text, wrong = page()
    LICENCES.write_text(text, encoding="utf-8")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


def write_sbom(target: Path = SBOM) -> dict[str, Any]:
    """Write the bill of materials of what runs and return it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["cyclonedx_py", "requirements", str(RUNTIME_LOCK), "--pyproject", str(CHECKOUT / "pyproject.toml")]
    command += ["--output-reproducible", "--of", "JSON", "-o", str(target)]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, text=True)
    made: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    made["components"] += beside()
    target.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return made


def images() -> list[str]:
    """Return the images, `name:tag`, that ours is made on and that run beside it."""
    composed = load_yaml(COMPOSE)["services"].values()
    others = {service["image"] for service in composed if not service["image"].startswith("xinxiang:")}
    return [*re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE), *sorted(others)]


def beside() -> list[dict[str, str]]:
    """Return the components that are no packages of Python: images by tag, fetched programs by version. Neither has a hash here."""
    made = []
    for image in images():
        name, _, tag = image.partition("@")[0].rpartition(":")
        made.append(_component("container", name, tag, f"pkg:docker/{name}@{tag}", "required"))
    from_go = {"ferretdb": fetch.FERRETDB_PACKAGE}
    from_go |= {name: package for name, (package, _) in GO_TOOLS.items()}
    from_go |= {name: package for name, (package, _, _) in GO_MODULES.items()}
    for name, artifact in fetch.ARTIFACTS.items():
        version = re.sub(r"^\D+-", "", artifact.key)
        purl = f"pkg:golang/{from_go[name].lower()}@v{version}" if name in from_go else f"pkg:generic/{name}@{version}"
        if name == "kafka":
            purl = f"pkg:maven/org.apache.kafka/kafka_2.13@{version}"
        made.append({**_component("application", name, version, purl, "excluded"), "description": artifact.what})
    return made


def _component(kind: str, name: str, version: str, purl: str, scope: str) -> dict[str, str]:
    return {"bom-ref": purl, "type": kind, "name": name, "version": version, "purl": purl, "scope": scope}


def audit(more: Sequence[str]) -> int:
    """Ask about all locked packages; `more` is passed on to pip-audit. Exit status as said above."""
    status = 0
    for lock in LOCKS:
        print(f"{lock.name}:", flush=True)
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "-r",
            str(lock),
            "--require-hashes",
            "--disable-pip",
            "--strict",
            *more,
        ]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        said = done.stderr.strip().splitlines()
        print("\n".join(said[-1:] if "Traceback (most recent call last):" in said else said), file=sys.stderr)
        if done.returncode:
            status = 1
            print(_remedy(done.stderr), file=sys.stderr)
    return status


def _remedy(said: str) -> str:
    """What to do about what pip-audit says: advisories, or no answer."""
    if re.search(r"Found \d+ known vulnerabilit", said):
        return "an advisory: take the version that mends it into pyproject.toml, `make lock`, `make test`"
    return "not every package could be asked about: run this where the database of advisories answers"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.supply", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("sbom", help=f"write {SBOM.relative_to(CHECKOUT)}")
    asking = verbs.add_parser("audit", help="ask what is known against the locked packages")
    asking.add_argument("--service", choices=["pypi", "osv"], default="osv", help="whose advisories; osv if not given")
    asking.add_argument(
        "--url", help="where OSV, or a mirror of it, answers queries, such as https://api.osv.dev/v1/query"
    )
    verbs.add_parser("licences", help=f"write {LICENCES.relative_to(CHECKOUT)}")
    given = parser.parse_args(arguments)
    if given.verb == "licences":
        return write_licences()
    if given.verb == "audit":
        return audit(["--vulnerability-service", given.service, *(["--osv-url", given.url] if given.url else [])])
    made = write_sbom()
    print(f"{SBOM}: {len(made['components'])} components, CycloneDX {made['specVersion']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
