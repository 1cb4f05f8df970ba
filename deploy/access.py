"""`python -m deploy.access [--check]`: write the tables `services/<name>/rights.py` as `docs/access.md`, for an auditor.

With `--check` nothing is written: the command fails where the committed page is not what would be written. It always fails where an
endpoint or an action has no row in the tables, or a row has no endpoint any more.
"""

import argparse
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from deploy.engines.places import CHECKOUT
from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.routing.rights import ACTIONS
from services.settings import Settings
from shared.contracts import catalogue
from shared.security.rights import Relation, Right
from shared.security.tokens import Role
from shared.web.documented import document_problems

PAGE = CHECKOUT / "docs" / "access.md"
METHODS = ("get", "post", "put", "patch", "delete")
SHOWN = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER, Role.UNIT_SYSTEM)
"""The columns. The sixth role, admin, is named in the notes where it may anything."""

HEAD = """# Who may what

Made from the tables `services/<name>/rights.py` and `services/routing/moves.py` by `python -m deploy.access`; do not edit. The services ask
these tables; `tests/component/test_access.py` tries every row with every role and relation.

A cell says in which relation to the letter or mailbox the role suffices. Role and mailbox are those of the session, for who signed in
(the directory's staff list, and `ROLES_FILE`), or of the token. Empty: never. So a stranger unit
(无关单位), a department of the same unit that has no part in the letter, and whoever had a slip withdrawn may nothing but what anybody may.
`duty` under another role than duty_officer: who has that role and belongs to the duty office. The role admin opens nothing in this table.

**A report (举报) is kept from whom it is about**, whatever the table says (R3.3, R10.2): from the reported unit with all its departments,
and from each reported person, wherever they work, in the duty office or as the approving head too. For them there is no such letter.
The mailbox above the unit then stands in all of the unit's relations (`shared/contracts/reports.py`).

**Who approves is another person than who prepared**: slips (R4.2), replies (R6.2) and publications (R9.1).
"""


def rights() -> dict[str, Mapping[str, Right]]:
    """Return service → its table."""
    return {name: importlib.import_module(f"services.{name}.rights").RIGHTS for name in NAMES}


def document() -> dict[str, Any]:
    """Return the OpenAPI document of all services, which are built and not started."""
    app, kit = FastAPI(), Kit(Settings())
    for name in NAMES:
        for router in build(name, kit).routers:
            app.include_router(router)
    document_problems(app)
    return app.openapi()


def endpoints(document: Mapping[str, Any]) -> list[str]:
    """Return `METHOD path` of every operation of an OpenAPI document."""
    return [
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in METHODS if method in item
    ]


def missing(document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the tables: rows that lack, and rows of what is not there."""
    rows = {key: name for name, table in rights().items() for key in table}
    there = set(endpoints(document))
    wrong = [
        f"{key} has no right: add a row to RIGHTS in services/{_service(key)}/rights.py, and to EXPECTED in tests/access_table.py, "
        "what it should be; then run python -m deploy.access"
        for key in sorted(there - rows.keys())
    ]
    wrong += [
        f"{key} is no endpoint any more: take its row out of services/{rows[key]}/rights.py"
        for key in sorted(rows.keys() - there)
    ]
    wrong += [
        f"the action {action.__name__} has no right: add a row to ACTIONS in services/routing/rights.py, and to EXPECTED in "
        "tests/access_table.py, what it should be; then run python -m deploy.access"
        for action in catalogue.ACTIONS
        if action not in ACTIONS
    ]
    return wrong


def _service(key: str) -> str:
    first = key.partition(" /")[2].partition("/")[0]
    return {"public": "publication"}.get(first, first)


def page() -> str:
    """Return the page."""
    return "\n".join(
        [HEAD, *_relations(), *(line for name, table in rights().items() for line in _table(name, table)), *_actions()]
    )


def _relations() -> Iterator[str]:
    yield from ("## Relations", "", "| relation | 中文 |", "|---|---|")
    yield from (f"| {one.value} | {one.label} |" for one in Relation)
    yield ""


def _head(first: str) -> Iterator[str]:
    roles = " | ".join(f"{role.value} {role.label}" for role in SHOWN)
    yield f"| {first} | what | rule | {roles} | note |"
    yield "|---" * (len(SHOWN) + 4) + "|"


def _row(name: str, right: Right) -> str:
    cells = (", ".join(one.value for one in right.of(role)) for role in SHOWN)
    return f"| `{name}` | {right.what.replace(' / ', ' ')} | {right.rule} | {' | '.join(cells)} | {right.note} |"


def _table(name: str, table: Mapping[str, Right]) -> Iterator[str]:
    yield from (f"## {name}", "", *_head("endpoint"))
    yield from (_row(key, right) for key, right in table.items())
    yield ""


def _actions() -> Iterator[str]:
    yield from (
        "## Actions of units' systems",
        "",
        "On `actions.<code>` the unit is the one the topic is named after; its system vouches for the role of the person it names (clerk,",
        "head or leader). So an action is allowed where any of these roles suffices over HTTP.",
        "",
        "| action | what | rule | relation |",
        "|---|---|---|---|",
    )
    for action, right in ACTIONS.items():
        vouched = dict.fromkeys(one for role in (Role.CLERK, Role.HEAD, Role.LEADER) for one in right.of(role))
        yield f"| `{action.__name__}` | {right.what.replace(' / ', ' ')} | {right.rule} | {', '.join(one.value for one in vouched)} |"
    yield ""


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it; return 0 if it holds and every endpoint has a row."""
    parser = argparse.ArgumentParser(prog="python -m deploy.access", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page differs")
    checks = parser.parse_args(arguments).check
    wrong = missing(document())
    for line in wrong:
        print(re.sub(r"\s+", " ", line))
    wanted = page()
    if not checks:
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        wrong.append("page")
        print(f"{PAGE.relative_to(CHECKOUT)} is not what the tables say; write it: python -m deploy.access")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
