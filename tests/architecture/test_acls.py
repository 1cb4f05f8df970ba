"""Rights at Kafka follow from one declaration, which is what services really use; every Kafka client takes its options from one place."""

import re
from pathlib import Path

import pytest

from deploy.acl_rights import Operation, Resource, Right, commands, declared, rights
from deploy.topics import declared as topics
from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.runtime import Service
from services.settings import Settings
from shared.contracts.catalogue import FACTS, MAILBOX

ROOT = Path(__file__).parents[2]
CLIENT = re.compile(r"\b(?:AIOKafkaConsumer|AIOKafkaProducer|AIOKafkaAdminClient|KafkaBroker)\(([^)]*)")
DECLARES_ONLY = {"deploy/asyncapi.py"}
"""Documents messages, and never connects."""


@pytest.fixture(scope="module", params=NAMES)
async def service(request: pytest.FixtureRequest) -> Service:
    """Each service, built and not started."""
    return build(request.param, Kit(Settings()))


async def test_each_service_may_read_what_it_subscribes_to_and_the_directory_and_nothing_else(service: Service) -> None:
    heard = {"directory"}
    for subscriber in service.broker.subscribers:
        heard |= {topic.name for topic in subscriber.topics}  # type: ignore[attr-defined]
        if subscriber.pattern:  # type: ignore[attr-defined]
            assert service.name == "routing"  # the one that listens to a family of topics
            heard.add("actions.*")
    assert set(declared()["services"][service.name]["reads"]) == heard


async def test_each_service_has_the_groups_of_its_subscribers_and_no_others(service: Service) -> None:
    groups = {subscriber.group_id for subscriber in service.broker.subscribers}  # type: ignore[attr-defined]
    assert set(declared()["services"][service.name]["groups"]) == groups


@pytest.mark.parametrize("name", NAMES)
def test_each_service_may_write_facts_and_tell_mailboxes_only_if_the_catalogue_says_that_it_does(name: str) -> None:
    writes = set(declared()["services"][name]["writes"])
    assert ("letters" in writes) == (name in {fact.source for fact in FACTS})
    assert ("mailbox.*" in writes) == (name in {message.source for message in MAILBOX})
    assert {topic for topic in writes if topic.startswith("letters.parked")} == {f"letters.parked.{name}"}


def test_every_declared_topic_can_be_read_or_written_by_somebody_and_no_right_is_on_another() -> None:
    names = {topic.name for topic in topics("", ["education"])}
    covered = set()
    for right in rights("", ["education"]):
        if right.resource == Resource.TOPIC and right.name != "drill-":
            mine = {name for name in names if name == right.name or (right.prefixed and name.startswith(right.name))}
            assert mine, f"{right} is on no topic that there is"
            covered |= mine
    assert covered == names


def test_only_the_operator_deletes_topics_and_only_those_of_a_drill() -> None:
    user = "x-xinxiang.operator"
    made = rights("x-", ["education"])
    deleted = Right(user, Resource.TOPIC, "x-drill-", True, Operation.DELETE)
    assert [right for right in made if right.operation == Operation.DELETE] == [deleted]
    of_drills = {(right.user, right.resource, right.operation) for right in made if right.name == "x-drill-"}
    operations = (Operation.READ, Operation.WRITE, Operation.CREATE, Operation.DELETE)
    assert of_drills == {
        *((user, Resource.TOPIC, operation) for operation in operations),
        (user, Resource.GROUP, Operation.READ),
    }


def test_a_unit_has_just_its_pair_of_topics_and_its_groups_also_where_its_code_begins_like_another_s() -> None:
    made = [right for right in rights("x-", ["edu", "edu-basic"]) if right.user == "x-xinxiang.unit.edu"]
    user = "x-xinxiang.unit.edu"
    assert set(made) == {
        Right(user, Resource.TOPIC, "x-mailbox.edu", False, Operation.READ),
        Right(user, Resource.TOPIC, "x-actions.edu", False, Operation.WRITE),
        Right(user, Resource.GROUP, "x-unit.edu", False, Operation.READ),
        Right(user, Resource.GROUP, "x-unit.edu.", True, Operation.READ),
    }


def test_the_user_of_all_services_in_one_process_may_what_each_of_them_may() -> None:
    made = rights("", [], one_process=True)
    together = {(r.resource, r.name, r.prefixed, r.operation) for r in made if r.user == "xinxiang.all"}
    single = {f"xinxiang.{name}" for name in NAMES}
    assert together == {(r.resource, r.name, r.prefixed, r.operation) for r in made if r.user in single}


def test_rights_can_be_had_as_commands_of_kafka_s_own_tools() -> None:
    shown = list(commands(rights("", ["education"]), "kafka:9093"))
    assert (
        "kafka-acls.sh --bootstrap-server kafka:9093 --command-config admin.properties --add --force "
        "--allow-principal 'User:xinxiang.unit.education' --operation Read --topic 'mailbox.education' "
        "--resource-pattern-type literal"
    ) in shown
    assert len(shown) == len(rights("", ["education"]))


def test_every_kafka_client_of_the_product_takes_brokers_and_credentials_from_one_place() -> None:
    seen = 0
    for file in sorted(path for folder in ("shared", "services", "deploy") for path in (ROOT / folder).rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        for made in CLIENT.finditer(file.read_text(encoding="utf-8")):
            if name not in DECLARES_ONLY:
                assert re.search(r"\*\*(client_options|broker_options|options|kafka)\b", made[1]), f"{name}: {made[0]}"
                seen += 1
    assert seen >= 8


def test_nothing_in_the_services_takes_the_brokers_without_the_credentials() -> None:
    for folder in ("shared", "services"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.name not in {"settings.py", "wires.py"}:
                assert "kafka_bootstrap" not in file.read_text(encoding="utf-8"), f"{file.name}: take settings.kafka"
