"""The page of messages for people, `docs/messages.md`, from the AsyncAPI document."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

FOREWORD = """# Messages

<!-- Made by `python -m deploy.asyncapi` from shared/contracts. Do not edit: change the contracts and make it again. -->

Everything that the five services say to each other and to units' systems. The same for machines: [asyncapi.json](asyncapi.json).
How a unit's system works with it, step by step: [unit-systems.md](unit-systems.md).
Where the words come from: the Chinese regulation on public mailboxes; its rules are cited by id (R6.1).

The key of every message is the letter's id (on `directory` the mailbox's code), so all messages on one letter are in one partition, in
order. The value is JSON in UTF-8. Times carry their zone. Fields that a reader does not know must be ignored: newer senders may add some.

## The envelope

CloudEvents 1.0, Kafka protocol binding, binary mode: the attributes are headers of the Kafka message.

"""
REPLAYED = """
A message that was parked and is published again also carries `replayof` (where the parked one stands: `topic/partition/offset`), and
`replaydrop: true` where it only records the decision to skip it; `replayat`, `replayby` and `replaywhy` say when, by whom and why that was
decided. See [operating.md](operating.md).
"""
VERSIONS = """
## Versions

`version` is a part of the type: `xinxiang.LetterRegistered.v1`. A message never changes its meaning and never loses a field. What cannot be
said by adding an optional field becomes a new type, `….v2`; readers understand both for ever. How that is done:
[CONTRIBUTING.md](../CONTRIBUTING.md).
"""


def page(document: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    schemas = document["components"]["schemas"]
    parts = [FOREWORD, _table(_headers(schemas["CountedCloudEvent"])), REPLAYED, VERSIONS]
    parts.append("\n## Topics\n\n" + _topics(document))
    for channel_id, channel in document["channels"].items():
        if channel_id != "letters.parked":
            parts.append(f"\n## `{channel['address']}`\n\n{channel['description']}\n")
            parts += [_message(document, channel_id, name) for name in channel["messages"]]
    parked = document["channels"]["letters.parked"]
    parts.append(f"\n## `{parked['address']}`\n\n{parked['description']}. Not a CloudEvent: a plain JSON record.\n\n")
    parts.append(_table(_fields(schemas["ParkedMessage"], schemas)))
    parts.append("\n## Parts of messages\n" + "".join(_part(name, schemas) for name in sorted(_shared(document))))
    return "".join(parts).rstrip("\n") + "\n"


def _topics(document: Mapping[str, Any]) -> str:
    rows = [("topic", "what", "partitions", "kept")]
    for channel in document["channels"].values():
        kafka = channel["bindings"]["kafka"]
        days = kafka["topicConfiguration"]["retention.ms"] // 86_400_000
        kept = "for ever" if days < 0 else f"{days} days"
        rows.append((f"`{channel['address']}`", channel["description"], str(kafka["partitions"]), kept))
    return _table(rows)


def _message(document: Mapping[str, Any], channel_id: str, name: str) -> str:
    message = document["components"]["messages"][name]
    schema = document["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
    sends = _who(document, "send", channel_id, name) or ["a unit's system"]
    takes = _who(document, "receive", channel_id, name) or (["the unit's system"] if channel_id == "mailbox" else [])
    example = json.dumps(message["examples"][0]["payload"], ensure_ascii=False, indent=2)
    lines = [f"\n### {name}\n\n{message['summary']}\n\n`{message['name']}` · sent by {', '.join(sends)}"]
    if takes:
        lines.append(f" · taken by {', '.join(takes)}")
    lines.append("\n\n" + _table(_fields(schema, document["components"]["schemas"])))
    lines.append(f"\n<details><summary>Example</summary>\n\n```json\n{example}\n```\n\n</details>\n")
    return "".join(lines)


def _who(document: Mapping[str, Any], action: str, channel_id: str, name: str) -> list[str]:
    reference = {"$ref": f"#/channels/{channel_id}/messages/{name}"}
    return [
        operation_id.partition(".")[0]
        for operation_id, operation in document["operations"].items()
        if operation["action"] == action and reference in operation["messages"]
    ]


def _headers(schema: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    yield "header", "always", "what it says"
    for name, described in schema["properties"].items():
        always = "on `letters`, `directory`" if name == "ce_seq" else ("yes" if name in schema["required"] else "no")
        text = described["description"] + (f" `{described['const']}`" if "const" in described else "")
        yield f"`{name}`", always, text


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    yield "field", "type", "what it says"
    for name, described in schema["properties"].items():
        text = described.get("description", "")
        if name not in schema.get("required", ()):
            text = f"{text} Optional{_default(described)}.".strip()
        yield f"`{name}`", _type(described, schemas), text


def _default(described: Mapping[str, Any]) -> str:
    value = described.get("default")
    return "" if value in (None, "", [], ()) else f", otherwise `{json.dumps(value, ensure_ascii=False)}`"


def _type(described: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "allOf" in described:
        return _type(described["allOf"][0], schemas)
    if "anyOf" in described:
        return " or ".join(_type(one, schemas) for one in described["anyOf"])
    if described.get("type") == "array":
        return f"list of {_type(described['items'], schemas)}"
    if described.get("format") == "date-time":
        return "time"
    kind = {"integer": "whole number", "boolean": "true or false", "null": "null", "object": "object"}.get(
        described.get("type", ""), "text"
    )
    limits = [f"{word} {described[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in described]
    if "maxLength" in described:
        limits.append(f"{described.get('minLength', 0)}–{described['maxLength']:,} characters")
    return f"{kind}, {', '.join(limits)}" if limits else kind


def _shared(document: Mapping[str, Any]) -> set[str]:
    """Return the names of schemas that messages are made of."""
    schemas = document["components"]["schemas"]
    whole = {m["payload"]["$ref"].rpartition("/")[2] for m in document["components"]["messages"].values()}
    return {name for name in schemas if name not in whole and not name.endswith("CloudEvent")}


def _part(name: str, schemas: Mapping[str, Any]) -> str:
    schema = schemas[name]
    head = f"\n### {name}\n\n{schema.get('description', '')}\n\n"
    if "enum" in schema:
        labels = schema.get("x-labels", {})
        return head + _table([("value", "中文"), *((f"`{value}`", labels.get(value, "")) for value in schema["enum"])])
    return head + _table(_fields(schema, schemas))


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    first, *others = rows
    lines = [first, tuple("---" for _ in first), *others]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |\n" for row in lines
    )
