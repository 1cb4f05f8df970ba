"""The AsyncAPI document and the page of messages say what the contracts say."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy import asyncapi
from shared.contracts.catalogue import CATALOGUE, TYPE_OF
from shared.messaging.parking import Message, record_of


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi.document()


def test_the_committed_documents_are_up_to_date() -> None:
    assert asyncapi.main(["--check"]) == 0


def test_the_check_fails_and_shows_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "asyncapi.json"
    stale.write_text(asyncapi.DOCUMENT.read_text(encoding="utf-8").replace("SlipRefused", "SlipRejected"))
    monkeypatch.setattr(asyncapi, "DOCUMENT", stale)
    monkeypatch.setattr(asyncapi, "CHECKOUT", tmp_path)
    monkeypatch.setattr(asyncapi, "PAGE", tmp_path / "messages.md")
    assert asyncapi.main(["--check"]) == 1
    shown = capsys.readouterr().err
    assert "SlipRejected" in shown
    assert "python -m deploy.asyncapi" in shown
    assert not (tmp_path / "messages.md").exists(), "a check writes nothing"
    assert asyncapi.main([]) == 0
    assert asyncapi.main(["--check"]) == 0


def test_every_message_of_the_catalogue_is_in_its_channel(document: dict[str, Any]) -> None:
    for topic, models in CATALOGUE.items():
        channel = next(c for c in document["channels"].values() if c["address"] == topic)
        names = [document["components"]["messages"][name]["name"] for name in channel["messages"]]
        assert names == [TYPE_OF[model] for model in models]


def test_every_field_of_every_message_is_explained(document: dict[str, Any]) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert not silent, "write a docstring below the field in shared/contracts"


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for value in part.values() for found in references(value)]
        return [found for value in part for found in references(value)] if isinstance(part, list) else []

    for reference in references(document):
        there: Any = document
        for step in reference.removeprefix("#/").split("/"):
            there = there[step]


def test_every_fact_is_sent_by_one_service_and_taken_by_another(document: dict[str, Any]) -> None:
    for name in document["channels"]["letters"]["messages"]:
        reference = {"$ref": f"#/channels/letters/messages/{name}"}
        parties: dict[str, set[str]] = {"send": set(), "receive": set()}
        for operation, described in document["operations"].items():
            if reference in described["messages"]:
                parties[described["action"]].add(operation.partition(".")[0])
        assert len(parties["send"]) == 1, name
        assert parties["receive"], f"nobody follows {name}"


def test_what_is_parked_looks_as_documented() -> None:
    message = Message("letters", 3, 17, "letter-1", (("ce_id", b"\xff"),), b"{", error="no JSON", stack="")
    record = json.loads(record_of(message, "routing", datetime(2026, 3, 2, tzinfo=UTC)))
    assert asyncapi.ParkedMessage.model_validate(record).origin == "letters/3/17"
