"""What every message must have, so that anyone can read it without asking its sender, today and in years."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from services import NAMES
from shared.calendar.clock import Clock
from shared.contracts import catalogue
from shared.contracts.actions import Action
from shared.contracts.catalogue import (
    ACTIONS,
    BY_TYPE,
    CATALOGUE,
    DIRECTORY,
    FACTS,
    MAILBOX,
    UnknownMessageType,
    parse,
    type_name,
)
from shared.contracts.envelope import attributes
from shared.contracts.facts import Fact, LetterNoted
from shared.contracts.types import Contact, Value
from shared.messaging.arrivals import Arrivals
from shared.messaging.work import Domain

GOLDEN = Path(__file__).with_name("golden")
MODELS = [model for models in CATALOGUE.values() for model in models]
FILES = sorted(GOLDEN.glob("*.json"))


def golden(model: type[Value]) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{type_name(model)}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("model", MODELS, ids=type_name)
def test_every_message_says_what_it_means_and_has_a_version(model: type[Value]) -> None:
    assert model.__doc__, f"{model.__name__} needs a docstring: what happened, and the rule id"
    assert model.__doc__ not in {base.__doc__ for base in model.__mro__[1:]}
    version: int = model.version  # type: ignore[attr-defined]
    assert version >= 1
    assert BY_TYPE[f"xinxiang.{model.__name__.removesuffix(f'V{version}')}.v{version}"] is model


@pytest.mark.parametrize("model", [*FACTS, *MAILBOX, *DIRECTORY], ids=type_name)
def test_every_fact_and_every_message_to_a_mailbox_has_one_service_that_sends_it(model: Any) -> None:
    assert model.source in NAMES


def test_no_type_is_listed_twice() -> None:
    assert len(BY_TYPE) == len(MODELS)


@pytest.mark.parametrize("model", MODELS, ids=type_name)
def test_every_message_has_a_golden_file(model: type[Value]) -> None:
    file = GOLDEN / f"{type_name(model)}.json"
    assert file.exists(), (
        f"{file.name} is missing: write one message as it is sent (topic, key, headers, value), like its neighbours. "
        "It is the example in docs/messages.md, and must stay readable for ever."
    )


def _holds(now: Any, once: Any) -> bool:
    """Whether everything that was sent once is there, at any depth; fields may have been added."""
    if isinstance(once, dict):
        return isinstance(now, dict) and all(name in now and _holds(now[name], once[name]) for name in once)
    if isinstance(once, list):
        return isinstance(now, list) and len(now) == len(once) and all(map(_holds, now, once))
    return bool(now == once)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_message_once_sent_stays_readable(file: Path) -> None:
    sent = json.loads(file.read_text(encoding="utf-8"))
    assert file.stem in BY_TYPE, f"{file.stem} was sent once: its model must stay in the catalogue, with an upgrade()"
    read = BY_TYPE[file.stem].model_validate_json(json.dumps(sent["value"]))
    assert _holds(json.loads(read.model_dump_json()), sent["value"]), "a field got lost or changed its meaning"
    parse(file.stem, json.dumps(sent["value"]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_message_travels_on_the_topic_of_its_type(file: Path) -> None:
    sent = json.loads(file.read_text(encoding="utf-8"))
    envelope = attributes(sent["headers"])
    families = {"mailbox": "mailbox.{code}", "actions": "actions.{code}"}
    topic = families.get(sent["topic"].partition(".")[0], sent["topic"])
    assert envelope.type == file.stem
    assert BY_TYPE[envelope.type] in CATALOGUE[topic]
    about = "mailbox" if topic == "directory" else "letter_id"
    assert sent["key"] == envelope.subject == sent["value"][about]
    assert (envelope.seq > 0) == (topic in {"letters", "directory"})


@pytest.mark.parametrize("model", MODELS, ids=type_name)
def test_every_message_round_trips_through_json(model: type[Value]) -> None:
    message = model.model_validate(golden(model)["value"])
    again = model.model_validate_json(message.model_dump_json())
    assert again == message
    assert again.model_dump_json() == message.model_dump_json()


@pytest.mark.parametrize("model", MODELS, ids=type_name)
def test_a_reader_ignores_fields_of_a_newer_sender(model: type[Value]) -> None:
    value = golden(model)["value"]
    assert model.model_validate({**value, "added_in_the_future": {"a": 1}}) == model.model_validate(value)


@pytest.mark.parametrize("model", [*FACTS, *MAILBOX, *DIRECTORY], ids=type_name)
def test_every_time_says_its_zone(model: type[Value]) -> None:
    with pytest.raises(ValidationError, match="zone"):
        model.model_validate({**golden(model)["value"], "at": "2026-03-02T09:30:00"})


def _parts(model: type[Value]) -> set[str]:
    return set(model.model_json_schema().get("$defs", {}))


@pytest.mark.parametrize("model", [*FACTS, *DIRECTORY], ids=type_name)
def test_contact_data_never_enters_the_record(model: type[Value]) -> None:
    assert Contact.__name__ not in _parts(model)
    assert not {"phone", "email", "address", "contact"} & set(model.model_fields)


def test_the_look_for_contact_data_is_able_to_find_it() -> None:
    class Careless(Fact):
        source: ClassVar[str] = "intake"
        contact: Contact

    assert Contact.__name__ in _parts(Careless)


@pytest.mark.parametrize("model", ACTIONS, ids=type_name)
def test_no_action_says_for_which_unit_it_is(model: type[Action]) -> None:
    """The topic's name says it: a unit could otherwise act for another."""
    assert not {"mailbox", "unit", "receiver"} & set(model.model_fields)


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(UnknownMessageType, match=r"xinxiang\.Nonsense\.v1"):
        parse("xinxiang.Nonsense.v1", b"{}")


# ── how a version is added ───────────────────────────────────────────────────────────────────────────────────────────


class LetterNotedV2(Fact):
    """Made up: from version 2 on, a noted letter says where it is filed."""

    version: ClassVar[int] = 2
    source: ClassVar[str] = "intake"
    remark: str
    shelf: str


class LetterNotedV1(LetterNoted):
    """Version 1 as it is kept once there is a version 2: the same fields, and how to lift it."""

    version: ClassVar[int] = 1

    def upgrade(self) -> LetterNotedV2:
        return LetterNotedV2(letter_id=self.letter_id, at=self.at, by=self.by, remark=self.remark, shelf="unfiled")


@pytest.fixture
def two_versions(monkeypatch: pytest.MonkeyPatch) -> str:
    for model in (LetterNotedV1, LetterNotedV2):
        monkeypatch.setitem(catalogue.BY_TYPE, type_name(model), model)
        monkeypatch.setitem(catalogue.TYPE_OF, model, type_name(model))
    return json.dumps(golden(LetterNoted)["value"])


def test_an_old_message_is_lifted_to_the_newest_version(two_versions: str) -> None:
    assert type_name(LetterNotedV2) == "xinxiang.LetterNoted.v2"
    old = parse("xinxiang.LetterNoted.v1", two_versions)
    assert isinstance(old, LetterNotedV2)
    assert old.shelf == "unfiled"
    new = parse("xinxiang.LetterNoted.v2", old.model_copy(update={"shelf": "A7"}).model_dump_json())
    assert isinstance(new, LetterNotedV2)
    assert new.shelf == "A7"


def test_a_service_that_follows_the_newest_version_also_takes_the_old_ones(two_versions: str) -> None:
    domain: Domain[Any] = Domain("reporting", {LetterNotedV2: lambda _state, fact: fact})
    fact = Arrivals(domain, Clock()).fact(attributes(golden(LetterNoted)["headers"]), two_versions.encode())
    assert isinstance(fact, LetterNotedV2)
