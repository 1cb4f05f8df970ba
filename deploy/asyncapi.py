"""`python -m deploy.asyncapi [--check]`: write the AsyncAPI document and the page of messages from the catalogue.

`docs/asyncapi.json` (AsyncAPI 3.0.0) is made by FastStream's own generator from the models in `shared/contracts`, then every topic gets
all its messages, their CloudEvents headers and an example. `docs/messages.md` is the same for people. With `--check` nothing is
written: the command fails and shows what differs where a committed file is not what would be written.

Examples are the golden files of the contract tests: messages as they were once sent, which must stay readable for ever.
"""

import argparse
import ast
import difflib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from faststream.kafka import KafkaBroker
from faststream.specification.asyncapi import AsyncAPI
from pydantic import BaseModel, ConfigDict, Field

from deploy.engines.places import CHECKOUT
from deploy.message_words import FIELD_WORDS
from deploy.messages_page import page
from deploy.topics import DAY_MS, DECLARED
from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.settings import Settings
from shared.contracts import actions, directory, facts, mailbox, submissions, types
from shared.contracts.catalogue import CATALOGUE, name_of, type_name
from shared.contracts.types import Labelled, Value
from shared.yaml_files import load_yaml

DOCUMENT = CHECKOUT / "docs" / "asyncapi.json"
PAGE = CHECKOUT / "docs" / "messages.md"
GOLDEN = CHECKOUT / "tests" / "contract" / "golden"
VERSION = "1.0.0"
PARKED = "letters.parked.{service}"

HEADERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "content-type": ("Media type of the value.", {"const": "application/json"}),
    "ce_specversion": ("CloudEvents version.", {"const": "1.0"}),
    "ce_id": ("Id of the message: the same id again is the same message. For an action: the action's id.", {}),
    "ce_type": ("`xinxiang.<Name>.v<version>`: which schema the value has.", {}),
    "ce_source": (
        "Who says it: `/services/<name>`, or `/units/<code>` for a unit's system.",
        {"format": "uri-reference"},
    ),
    "ce_time": ("When it happened, with its zone.", {"format": "date-time"}),
    "ce_subject": ("The letter's id, on `directory` the mailbox's code; the message's key is the same.", {}),
    "traceparent": ("W3C trace context, where the sender traces.", {}),
}
"""Header → (what it says, more of its schema): CloudEvents 1.0, Kafka protocol binding, binary content mode."""
OPTIONAL_HEADERS = ("traceparent",)
COUNTED = (
    "How many facts this service has published on this letter, on `directory` how many changes there have been, this one included: "
    "1, 2, 3 … without gaps."
)


class ParkedMessage(BaseModel):
    """A message that a service could not handle, with the reason and all that is needed to replay it."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(description="Which service could not handle it.")
    at: str = Field(description="When, with its zone.")
    origin: str = Field(description="Where it stands: `topic/partition/offset`.")
    letter_id: str = Field(description="The letter it is about; empty where that cannot be told.")
    error: str = Field(description="Why, without values of the message.")
    stack: str = Field(description="Where in the code.")
    headers: dict[str, str] = Field(description="The message's headers.")
    value: str = Field(description="The message's value.")


def example_of(model: type[Value]) -> dict[str, Any]:
    """Return the golden message of a type: topic, key, headers, value."""
    file = GOLDEN / f"{type_name(model)}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@lru_cache(maxsize=1)
def followers() -> dict[str, tuple[str, ...]]:
    """Return, for each type of fact, the services whose state it moves."""
    found: dict[str, list[str]] = {}
    for name in NAMES:
        for fact in build(name, Kit(Settings())).letters.domain.on:
            found.setdefault(type_name(fact), []).append(name)
    return {fact: tuple(names) for fact, names in found.items()}


def attribute_docs(model: type) -> dict[str, str]:
    """Return the docstrings that stand below a class's attributes, inherited ones included."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if one.__module__.startswith(("shared.", "deploy.")):
            body = ast.parse(inspect.getsource(one)).body[0]
            assert isinstance(body, ast.ClassDef)
            for statement, after in zip(body.body, body.body[1:], strict=False):
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    match after:
                        case ast.Expr(value=ast.Constant(value=str() as text)):
                            found[statement.target.id] = inspect.cleandoc(text)
    return found


def _declared() -> dict[str, Any]:
    topics: dict[str, Any] = load_yaml(DECLARED)["topics"]
    return topics


def _generated() -> dict[str, Any]:
    """Return FastStream's document: one channel per message, and all schemas."""
    broker = KafkaBroker("kafka:9092")
    for topic, models in CATALOGUE.items():
        for model in models:
            broker.publisher(topic, schema=model, title=type_name(model))
    broker.publisher(PARKED, schema=ParkedMessage, title="ParkedMessage")
    specification = AsyncAPI(
        broker,
        title="信箱 Xinxiang",
        version=VERSION,
        schema_version="3.0.0",
        description="What the services of the public mailbox system say to each other and to units' systems, over Kafka.",
    ).to_specification()
    generated: dict[str, Any] = specification.to_jsonable()
    return generated


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    generated = _generated()
    generated["servers"] = {
        "kafka": {
            "host": "{bootstrap}",
            "protocol": "kafka",
            "description": "The address is the setting KAFKA_BOOTSTRAP. Names of topics begin with the setting NAMESPACE, if it is set.",
            "variables": {"bootstrap": {"default": "127.0.0.1:19092", "description": "host:port"}},
        }
    }
    schemas = {name: _schema(name, schema) for name, schema in generated["components"]["schemas"].items()}
    schemas["CloudEvent"] = _headers(counted=False)
    schemas["CountedCloudEvent"] = _headers(counted=True)
    generated["components"]["schemas"] = dict(sorted(schemas.items()))
    models = [(topic, model) for topic, found in CATALOGUE.items() for model in found]
    generated["components"]["messages"] = dict(
        sorted([(name_of(model), _message(topic, model)) for topic, model in models] + [("ParkedMessage", _parked())])
    )
    generated["channels"] = {_channel_id(topic): _channel(topic) for topic in [*CATALOGUE, PARKED]}
    generated["operations"] = _operations()
    return generated


def _channel_id(topic: str) -> str:
    return topic.partition(".{")[0]


def _models(topic: str) -> list[str]:
    return [name_of(model) for model in CATALOGUE[topic]] if topic in CATALOGUE else ["ParkedMessage"]


def _channel(topic: str) -> dict[str, Any]:
    described = _declared()[topic]
    retention = -1 if described["retention"] == "forever" else described["retention"] * DAY_MS
    channel: dict[str, Any] = {
        "address": topic,
        "description": described["about"],
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _models(topic)},
        "bindings": {
            "kafka": {
                "topic": topic,
                "partitions": described["partitions"],
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": retention},
                "bindingVersion": "0.5.0",
            }
        },
    }
    if "{code}" in topic:
        channel["parameters"] = {
            "code": {"description": "Code of a mailbox in the directory.", "examples": ["yuzhong"]}
        }
    elif "{service}" in topic:
        channel["parameters"] = {"service": {"description": "One of the five services.", "enum": list(NAMES)}}
    return channel


def _operations() -> dict[str, Any]:
    """Return who sends and who takes what."""
    found: dict[str, Any] = {}

    def add(service: str, action: str, topic: str, messages: Iterable[str], summary: str) -> None:
        channel = _channel_id(topic)
        references = [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages]
        if references:
            verb = {"send": "sends", "receive": "takes"}[action]
            found[f"{service}.{verb}.{channel}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": summary,
                "messages": references,
            }

    for service in NAMES:
        for topic in ("letters", "mailbox.{code}"):
            sent = [name_of(model) for model in CATALOGUE[topic] if getattr(model, "source", "") == service]
            add(service, "send", topic, sent, f"What {service} says on {topic}.")
        taken = [name_of(fact) for fact in CATALOGUE["letters"] if service in followers().get(type_name(fact), ())]
        add(service, "receive", "letters", taken, f"The facts that move {service}'s state; it reads past all others.")
        add(service, "send", PARKED, ["ParkedMessage"], f"What {service} could not handle.")
    add("routing", "send", "directory", _models("directory"), "Every change of the directory of mailboxes.")
    for service in NAMES:
        add(service, "receive", "directory", _models("directory"), "Every process follows them all.")
    add("intake", "send", "submissions", _models("submissions"), "The front door's letters, with contact data.")
    add("intake", "receive", "submissions", _models("submissions"), "Each becomes one letter.")
    add("routing", "receive", "actions.{code}", _models("actions.{code}"), "What units' systems ask for.")
    return dict(sorted(found.items()))


def _message(topic: str, model: type[Value]) -> dict[str, Any]:
    name, full = name_of(model), type_name(model)
    example = example_of(model)
    envelope = "CountedCloudEvent" if topic in {"letters", "directory"} else "CloudEvent"
    kind = {"type": "object", "properties": {"ce_type": {"const": full}}}
    return {
        "name": full,
        "title": name,
        "summary": inspect.cleandoc(model.__doc__ or "").replace("\n", " "),
        "contentType": "application/json",
        "headers": {"allOf": [{"$ref": f"#/components/schemas/{envelope}"}, kind]},
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "description": "The mailbox's code." if topic == "directory" else "The letter's id.",
                },
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [{"name": name, "headers": example["headers"], "payload": example["value"]}],
    }


def _parked() -> dict[str, Any]:
    return {
        "name": "ParkedMessage",
        "title": "ParkedMessage",
        "summary": ParkedMessage.__doc__,
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/ParkedMessage"},
    }


def _headers(*, counted: bool) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text, **more} for name, (text, more) in HEADERS.items()}
    required = [name for name in properties if name not in OPTIONAL_HEADERS]
    if counted:
        properties["ce_seq"] = {"type": "string", "pattern": "^[1-9][0-9]{0,6}$", "description": COUNTED}
        required.append("ce_seq")
    return {
        "type": "object",
        "description": "CloudEvents 1.0, Kafka protocol binding, binary content mode.",
        "properties": properties,
        "required": required,
    }


def _schema(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Add what the model's source says of each field, and the Chinese words of enumerations."""
    model = _by_name().get(name)
    if model is not None and issubclass(model, Labelled):
        return {**schema, "x-labels": {member.value: member.label for member in model}}
    words = {**FIELD_WORDS, **attribute_docs(model)} if model else {}
    for field, described in schema.get("properties", {}).items():
        if field in words:
            described["description"] = words[field].replace("\n", " ")
    return schema


@lru_cache(maxsize=1)
def _by_name() -> dict[str, type]:
    modules = (types, facts, mailbox, actions, submissions, directory)
    return {name: thing for module in modules for name, thing in vars(module).items() if inspect.isclass(thing)}


def rendered() -> dict[Path, str]:
    """Return what the files must hold."""
    made = document()
    return {DOCUMENT: json.dumps(made, ensure_ascii=False, indent=2) + "\n", PAGE: page(made)}


def differences(file: Path, wanted: str) -> list[str]:
    """Return how a committed file differs from what it must hold; nothing if it does not."""
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    name = str(file.relative_to(CHECKOUT))
    return list(
        difflib.unified_diff(
            there.splitlines(),
            wanted.splitlines(),
            f"{name} (committed)",
            f"{name} (made from the contracts)",
            lineterm="",
            n=2,
        )
    )


def main(arguments: list[str] | None = None) -> int:
    """Write or check; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.asyncapi", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a committed file is out of date"
    )
    check = parser.parse_args(arguments).check
    stale = 0
    for file, wanted in rendered().items():
        changes = differences(file, wanted)
        if not changes:
            continue
        stale += 1
        if check:
            print("\n".join(changes[:60]), *(["…"] if len(changes) > 60 else []), sep="\n", file=sys.stderr)
        else:
            file.write_text(wanted, encoding="utf-8")
            print(f"{file.relative_to(CHECKOUT)} written")
    if check and stale:
        print(
            "asyncapi: the contracts changed; write the documents anew: .venv/bin/python -m deploy.asyncapi",
            file=sys.stderr,
        )
        return 1
    print("asyncapi: up to date" if not stale else "asyncapi: done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
