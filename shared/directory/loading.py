"""Loads a directory from its files and refuses it with the whole list of what is wrong.

The YAML file names the two CSV files beside it::

    domains: domains.csv        # code,parent,name
    regions: regions.csv        # code,name
    mailboxes:
      - code: mayor
        name: 重庆市市长信箱
        …
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shared.directory.checks import check_mailboxes
from shared.directory.directory import Directory
from shared.directory.models import Domain, Mailbox, Region
from shared.directory.problems import DirectoryError, DirectoryProblem
from shared.yaml_files import load_yaml

MAX_DOMAIN_LEVELS = 3
_SETTINGS = {"domains", "regions", "mailboxes"}
_FIELD_RULES = {"code": "R1.1", "parent": "R1.1", "kind": "R1.1", "prefix": "R3.6", "region": "R3.5"}
_FIELD_REMEDIES = {
    "code": "use a lower-case slug of a-z, 0-9 and single dashes, e.g. water-group",
    "kind": "use one of mayor, district, department_of_government, public_enterprise, department",
    "prefix": "write prefix: {chinese: 2–12 Chinese characters, ascii: 2–12 capital letters}",
    "staff": "write each as {name: …, subject: …, roles: [clerk|head|leader|duty_officer|admin]}",
    "leader": "write leader: {name: …, subject: …}",
    "closed": "write closed: {at: time with zone, successor: code}",
}


def load_directory(file: Path) -> Directory:
    """Load the directory (setting ``DIRECTORY_FILE``) with its domains and regions.

    Raises:
        DirectoryError: something is wrong; it lists every problem found in the three files.
    """
    problems: list[DirectoryProblem] = []
    content = _settings(file, problems)
    domains = _domains(file.parent / content["domains"], problems)
    regions = _regions(file.parent / content["regions"], problems)
    mailboxes = _mailboxes(content["mailboxes"], problems)
    problems.extend(check_mailboxes(mailboxes, regions))
    if problems:
        raise DirectoryError(str(file), problems)
    return Directory(mailboxes, domains.values(), regions.values())


def _settings(file: Path, problems: list[DirectoryProblem]) -> dict[str, Any]:
    try:
        content = load_yaml(file)
    except FileNotFoundError:
        wrong, remedy = "the file does not exist", "set DIRECTORY_FILE to the directory's YAML file"
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        wrong, remedy = f"cannot be read ({error})", "write it as YAML in UTF-8"
    else:
        if isinstance(content, dict) and content.keys() >= _SETTINGS and isinstance(content["mailboxes"], list):
            problems.extend(
                DirectoryProblem(file.name, "R1.1", f"unknown setting {name}", "remove it")
                for name in content.keys() - _SETTINGS
            )
            return content
        wrong, remedy = "must hold domains, regions and a list of mailboxes", "see deploy/sample/directory.yaml"
    raise DirectoryError(str(file), [*problems, DirectoryProblem(file.name, "R1.1", wrong, remedy)])


def _mailboxes(entries: list[Any], problems: list[DirectoryProblem]) -> list[Mailbox]:
    mailboxes = []
    for position, entry in enumerate(entries, start=1):
        code = entry.get("code") if isinstance(entry, dict) else None
        where = str(code or f"mailbox number {position}")
        try:
            mailboxes.append(Mailbox.model_validate(entry))
        except ValidationError as error:
            problems.extend(entry_problems(where, error))
    return mailboxes


def entry_problems(where: str, error: ValidationError) -> Iterator[DirectoryProblem]:
    """Yield what is wrong with one mailbox's entry by itself."""
    for detail in error.errors(include_url=False):
        place = ".".join(str(part) for part in detail["loc"]) or "the entry"
        field = str(detail["loc"][0]) if detail["loc"] else ""
        wrong = f"{place}: {detail['msg']}"
        if detail["type"] == "missing":
            wrong = f"{place} is missing"
        elif detail["type"] == "extra_forbidden":
            wrong = f"{place} is not a field of a mailbox"
        remedy = _FIELD_REMEDIES.get(field, "see deploy/sample/directory.yaml for a complete entry")
        yield DirectoryProblem(where, _FIELD_RULES.get(field, "R1.3"), wrong, remedy)


def _rows(
    file: Path, columns: tuple[str, ...], rule: str, problems: list[DirectoryProblem]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield (file and line, row) of a CSV file; what is malformed goes to ``problems`` instead."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(DirectoryProblem(str(file), rule, f"cannot be read ({error})", "give a CSV file in UTF-8"))
        return
    reader = csv.reader(lines)
    if tuple(next(reader, ())) != columns:
        wrong = f"its first line is not {','.join(columns)}"
        problems.append(DirectoryProblem(file.name, rule, wrong, "add the header line"))
        return
    for values in reader:
        where = f"{file.name}:{reader.line_num}"
        if not values:
            continue
        if len(values) != len(columns):
            wrong = f"{len(values)} columns instead of {len(columns)}"
            problems.append(DirectoryProblem(where, rule, wrong, f"write {','.join(columns)}"))
            continue
        yield where, dict(zip(columns, (value.strip() for value in values), strict=True))


def _regions(file: Path, problems: list[DirectoryProblem]) -> dict[str, Region]:
    regions: dict[str, Region] = {}
    for where, row in _rows(file, ("code", "name"), "R3.5", problems):
        code, name = row["code"], row["name"]
        if not (len(code) == 6 and code.isascii() and code.isdigit() and name):
            wrong = f"{code},{name} is not a region"
            problems.append(DirectoryProblem(where, "R3.5", wrong, "write a six-digit GB/T 2260 code and a name"))
        elif code in regions:
            problems.append(DirectoryProblem(where, "R3.5", f"{code} stands more than once", "keep one"))
        else:
            regions[code] = Region(code=code, name=name)
    return regions


def _domains(file: Path, problems: list[DirectoryProblem]) -> dict[str, Domain]:
    """Read the domains; a parent must stand above its children, which also rules out circles."""
    domains: dict[str, Domain] = {}
    for where, row in _rows(file, ("code", "parent", "name"), "R3.4", problems):
        code, parent, name = row["code"], row["parent"] or None, row["name"]
        above = domains.get(parent) if parent else None
        if not code or not name:
            problems.append(DirectoryProblem(where, "R3.4", "code or name is empty", "give each domain both"))
        elif code in domains:
            problems.append(DirectoryProblem(where, "R3.4", f"{code} stands more than once", "keep one"))
        elif parent and above is None:
            wrong = f"the parent {parent} of {code} does not stand above it"
            problems.append(DirectoryProblem(where, "R3.4", wrong, "list a parent before its children"))
        elif above is not None and above.level >= MAX_DOMAIN_LEVELS:
            wrong = f"{code} is on level {above.level + 1}"
            problems.append(DirectoryProblem(where, "R3.4", wrong, "domains have up to three levels"))
        else:
            path = (*above.path, code) if above else (code,)
            label = f"{above.label} / {name}" if above else name
            domains[code] = Domain(code=code, name=name, parent=parent, path=path, label=label)
    return domains
