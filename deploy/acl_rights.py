"""The users that Kafka knows and their rights, as `deploy/acls.yaml` declares them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from shared.yaml_files import load_yaml

DECLARED = Path(__file__).with_name("acls.yaml")
EVERY = "*"


class Resource(IntEnum):
    """What a right is about, as the protocol numbers it."""

    TOPIC = 2
    GROUP = 3


class Operation(IntEnum):
    """What may be done, as the protocol numbers it."""

    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One user may do one thing with one topic or group, or with all whose names begin so."""

    user: str
    resource: int
    name: str
    prefixed: bool
    operation: int

    def __str__(self) -> str:
        kind = Resource(self.resource).name.lower() if self.resource in set(Resource) else f"resource {self.resource}"
        may = Operation(self.operation).name if self.operation in set(Operation) else f"operation {self.operation}"
        return f"{self.user}: {may} {kind} {self.name}{'*' if self.prefixed else ''}"


_OPERATIONS = {
    "reads": Operation.READ,  # and so DESCRIBE
    "writes": Operation.WRITE,  # and so DESCRIBE, and writing idempotently
    "creates": Operation.CREATE,
    "configures": Operation.ALTER_CONFIGS,  # and so DESCRIBE_CONFIGS
    "deletes": Operation.DELETE,  # and so DESCRIBE
}


def declared(file: Path = DECLARED) -> dict[str, Any]:
    """Return the declaration."""
    content: dict[str, Any] = load_yaml(file)
    return content


def prefix(namespace: str) -> str:
    """Return how the names of our users begin."""
    return f"{namespace}xinxiang."


def user_of(namespace: str, who: str) -> str:
    """Return the user of a service, of `operator`, or of `unit.<code>`."""
    return prefix(namespace) + who


def rights(namespace: str, codes: Iterable[str], *, one_process: bool = False, file: Path = DECLARED) -> list[Right]:
    """Return every right of every user.

    Args:
        namespace: prefix of topics, groups and users.
        codes: the mailboxes that are not closed.
        one_process: also the user of `python -m services all`, who may what each service may.
        file: the declaration.
    """
    content = declared(file)
    users: dict[str, list[Mapping[str, list[str]]]] = {name: [may] for name, may in content["services"].items()}
    if one_process:
        users["all"] = list(content["services"].values())
    users["operator"] = [content["operator"]]
    for code in codes:
        users[f"unit.{code}"] = [
            {what: [name.replace("{code}", code) for name in names] for what, names in content["unit"].items()}
        ]
    for who, may in (content.get("also") or {}).items():
        users.setdefault(who, []).append(may)
    return sorted(
        {right for who, mays in users.items() for may in mays for right in _of(namespace, user_of(namespace, who), may)}
    )


def _of(namespace: str, user: str, may: Mapping[str, list[str]]) -> Iterator[Right]:
    for what, names in may.items():
        for name in names:
            prefixed = name.endswith(EVERY)
            full = namespace + name.removesuffix(EVERY)
            if what == "groups":
                yield Right(user, Resource.GROUP, full, prefixed, Operation.READ)
            else:
                yield Right(user, Resource.TOPIC, full, prefixed, _OPERATIONS[what])


def commands(wanted: Iterable[Right], bootstrap: str) -> Iterator[str]:
    """Return the same as commands of Kafka's own tools, for who keeps rights by those."""
    common = f"kafka-acls.sh --bootstrap-server {bootstrap} --command-config admin.properties --add --force"
    for right in wanted:
        pattern = "prefixed" if right.prefixed else "literal"
        resource = f"--{Resource(right.resource).name.lower()} '{right.name}' --resource-pattern-type {pattern}"
        operation = Operation(right.operation).name.title().replace("_", "")
        yield f"{common} --allow-principal 'User:{right.user}' --operation {operation} {resource}"
