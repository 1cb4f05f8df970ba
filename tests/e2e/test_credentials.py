"""Everybody at Kafka can do what is theirs, and nothing else: the broker denies by default, over SASL/SCRAM and TLS. The store asks who
is there, too.
"""

import asyncio
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx
import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    NoError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from pydantic import SecretStr

from deploy import acls
from deploy.acl_admin import Authority, Refused
from deploy.acl_rights import declared, user_of
from deploy.engines.ports import free
from services import NAMES
from shared.contracts.envelope import attributes
from shared.messaging.connection import why_refused
from shared.storage import Store, StoreUnavailable
from tests.city_hall import ENTRY
from tests.conftest import eventually
from tests.e2e.fleet import Run
from tests.e2e.guarded import Guarded, GuardedWorld, admin, consumer, producer
from tests.e2e.journey import Fate, Journey, Tale
from tests.operator import Said, ops

FAMILIES = ("letters", "directory", "submissions", "mailbox.education", "mailbox.mayor", "actions.education")
PARKED = tuple(f"letters.parked.{name}" for name in NAMES)
READ = {
    "intake": {"letters", "directory", "submissions"},
    "routing": {"letters", "directory", "actions.education"},
    "deadline": {"letters", "directory"},
    "publication": {"letters", "directory"},
    "reporting": {"letters", "directory"},
    "unit.education": {"mailbox.education"},
}
WRITTEN = {
    "intake": {"letters", "submissions", "mailbox.education", "mailbox.mayor", "letters.parked.intake"},
    "routing": {"letters", "directory", "mailbox.education", "mailbox.mayor", "letters.parked.routing"},
    "deadline": {"letters", "letters.parked.deadline"},
    "publication": {"letters", "letters.parked.publication"},
    "reporting": {"letters.parked.reporting"},
    "unit.education": {"actions.education"},
}
GROUPS = {
    "intake": {"intake", "intake-submissions"},
    "routing": {"routing", "routing-history", "routing-actions"},
    "unit.education": {"unit.education", "unit.education.archive"},
}
WRONG = "not-the-password-of-anybody"
SOME_GROUPS = ("intake", "routing-history", "deadline", "unit.education", "unit.water", "unit.education-basic", "else")


async def test_letters_go_their_whole_way_where_everybody_has_just_their_own_rights(guarded: Guarded) -> None:
    world = guarded.world
    async with guarded.fleet.city() as city:
        journey = Journey(world, [city])
        await journey.whole()
        await journey.check()
        await _nobody_has_a_right_without_need(world)
        for run in guarded.fleet.runs:
            assert await run.metric("xinxiang_parked_letters") == 0
            assert "AuthorizationFailed" not in run.log.read_text()


async def _nobody_has_a_right_without_need(world: GuardedWorld) -> None:
    """Each topic that a service may write to is one that it wrote to, but for those that are rarely needed."""
    wrote: dict[str, set[str]] = {name: set() for name in NAMES}
    for topic in ("letters", "submissions", "mailbox.mayor", "mailbox.education"):
        for record in await world.records(topic):
            wrote[attributes(record.headers).source].add(re.sub(r"^mailbox\..*", "mailbox.*", topic))
    for name, may in declared()["services"].items():
        rare = {f"letters.parked.{name}", "directory"}
        assert wrote[name] == set(may["writes"]) - rare, name


@pytest.mark.parametrize("who", READ)
async def test_nobody_reads_a_topic_that_is_not_theirs(guarded: Guarded, who: str) -> None:
    said = await _fetched(guarded.world, who, (*FAMILIES, *PARKED))
    assert {topic for topic, error in said.items() if error is NoError} == READ[who]
    assert set(said.values()) == {NoError, TopicAuthorizationFailedError}


@pytest.mark.parametrize("who", WRITTEN)
async def test_nobody_writes_to_a_topic_that_is_not_theirs(guarded: Guarded, who: str) -> None:
    for topic in {*FAMILIES, *PARKED, "actions.water"} - WRITTEN[who]:
        async with producer(guarded.world.as_user(who)) as sending:
            with pytest.raises(TopicAuthorizationFailedError):
                await sending.send_and_wait(guarded.world.namespace + topic, b"{}", key=b"letter-1", partition=0)


@pytest.mark.parametrize("who", GROUPS)
async def test_nobody_joins_a_group_that_is_not_theirs(guarded: Guarded, who: str) -> None:
    kafka, namespace = guarded.world.as_user(who), guarded.world.namespace
    topic = namespace + min(READ[who])
    for group in {*SOME_GROUPS} - GROUPS[who]:
        with pytest.raises(GroupAuthorizationFailedError):
            async with consumer(kafka, topic, group=namespace + group) as reading:
                await reading.getone()


async def test_a_unit_s_groups_are_its_own_and_work(guarded: Guarded) -> None:
    kafka, namespace = guarded.world.as_user("unit.education"), guarded.world.namespace
    async with producer(guarded.world.settings.kafka) as sending:
        await sending.send_and_wait(f"{namespace}mailbox.education", b"{}", key=b"letter-1")
    for group in GROUPS["unit.education"]:
        async with consumer(kafka, f"{namespace}mailbox.education", group=namespace + group) as reading:
            record = await asyncio.wait_for(reading.getone(), 20)
            assert record.topic == f"{namespace}mailbox.education"
            await reading.commit()


@pytest.mark.parametrize("who", ["unit.education", *NAMES])
async def test_nobody_makes_deletes_or_changes_topics_or_looks_at_rights(guarded: Guarded, who: str) -> None:
    namespace = guarded.world.namespace
    async with admin(guarded.world.as_user(who)) as asking:
        makes = ["letters2", "mailbox.new", "actions.new"] if who != "routing" else ["letters2", "directory2"]
        made = await asking.create_topics([NewTopic(namespace + name, 1, 1) for name in makes])
        assert {for_code(code) for _, code, _ in made.topic_errors} == {TopicAuthorizationFailedError}
        deleted = await asking.delete_topics([namespace + name for name in ("letters", "mailbox.education")])
        assert {for_code(code) for _, code in deleted.topic_error_codes} == {TopicAuthorizationFailedError}
        shorter = ConfigResource(ConfigResourceType.TOPIC, f"{namespace}letters", configs={"retention.ms": "1"})
        answers = await asking.alter_configs([shorter])
        assert {for_code(row[0]) for answer in answers for row in answer.resources} == {TopicAuthorizationFailedError}
        for question in (Authority(asking).rights, Authority(asking).users):
            with pytest.raises(Refused, match="ClusterAuthorizationFailed"):
                await question()


async def test_a_unit_sees_of_all_topics_and_groups_only_its_own(guarded: Guarded) -> None:
    world = guarded.world
    async with admin(world.as_user("unit.education")) as asking:
        seen = await asking.list_topics()
        assert set(seen) == {f"{world.namespace}{family}.education" for family in ("mailbox", "actions")}
        hidden = await asking.describe_topics([f"{world.namespace}mailbox.water"])
        assert [for_code(topic["error_code"]) for topic in hidden] == [TopicAuthorizationFailedError]
        groups = {name for name, _ in await asking.list_consumer_groups()}
        assert groups <= {world.namespace + group for group in GROUPS["unit.education"]}
        assert groups


async def test_a_unit_that_is_added_gets_its_user_and_a_closed_one_loses_it_at_once(guarded: Guarded) -> None:
    world = guarded.world
    user = user_of(world.namespace, "unit.east-lake")
    routing = guarded.fleet.of("routing").url
    duty = world.token("mayor-duty", "mayor", "duty_officer")
    async with guarded.fleet.city() as city:
        added = await city.http.post(
            f"{routing}/routing/directory/mailboxes", json={"entry": ENTRY, "reason": "新设"}, headers=duty
        )
        assert added.status_code == 201, added.text
        found = await acls.apply(world.settings, world.passwords)
        assert found.new_users == {user}
        assert not found.surplus
        kafka = world.as_user("unit.east-lake")
        own = await _fetched(world, "unit.east-lake", ("mailbox.east-lake", "mailbox.mayor"))
        assert own == {"mailbox.east-lake": NoError, "mailbox.mayor": TopicAuthorizationFailedError}
        async with producer(kafka) as sending:
            topic = f"{world.namespace}actions.east-lake"
            await sending.send_and_wait(topic, b"{}", key=b"letter-1")
            closed = await city.http.post(
                f"{routing}/routing/directory/mailboxes/east-lake/close",
                json={"reason": "并入", "successor": "education"},
                headers=duty | {"If-Match": added.headers["etag"]},
            )
            assert closed.status_code == 200, closed.text
            found = await acls.apply(world.settings, world.passwords)
            assert found.old_users == {user}
            assert not (world.passwords / user).exists()

            async def cut_off() -> bool:
                with pytest.raises(TopicAuthorizationFailedError):
                    await sending.send_and_wait(topic, b"{}", key=b"letter-1")
                return True

            await eventually(cut_off)
        assert "KAFKA_PASSWORD" in await why_refused(kafka)
    assert not await acls.apply(world.settings, None)


async def test_a_password_that_is_changed_takes_the_old_one_s_place_and_letters_go_on(guarded: Guarded) -> None:
    world, routing = guarded.world, guarded.fleet.of("routing")
    whose = ("routing", "unit.education")
    before = {who: world.as_user(who) for who in whose}
    await acls.apply(world.settings, world.passwords, rotate=[user_of(world.namespace, who) for who in whose])

    async def taken() -> bool:
        new = [await why_refused(world.as_user(who)) for who in whose]
        old = [await why_refused(before[who]) for who in whose]
        return not any(new) and all("KAFKA_PASSWORD" in said for said in old)

    await eventually(taken)
    assert stat.S_IMODE((world.passwords / user_of(world.namespace, "routing")).stat().st_mode) == 0o600
    await routing.leave()
    routing.start()
    await eventually(routing.is_ready, 60)
    async with guarded.fleet.city() as city:
        journey, tale = Journey(world, [city], count=0), Tale(903, Fate.ANSWERED, "education")
        await journey.submit(tale)
        await journey.screen(tale)
        await journey.hand_out(tale)


async def test_a_password_that_the_broker_does_not_take_stands_in_no_file(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, user = guarded.world, user_of(guarded.world.namespace, "unit.water")
    before = world.as_user("unit.water")

    async def refuse(_: Authority, passwords: Mapping[str, str]) -> None:
        assert set(passwords) == {user}
        raise Refused("not now")

    monkeypatch.setattr(Authority, "set_passwords", refuse)
    with pytest.raises(Refused):
        await acls.apply(world.settings, world.passwords, rotate=[user])
    assert world.as_user("unit.water") == before
    assert not await why_refused(before)


async def test_the_operator_s_user_may_do_all_that_its_commands_do_and_delete_nothing_but_a_drill(
    guarded: Guarded, tmp_path: Path
) -> None:
    world = guarded.world
    kafka = world.as_user("operator")
    settings = world.settings.model_copy(
        update={"kafka_username": kafka.username, "kafka_password": SecretStr(kafka.password)}
    )
    async with producer(world.settings.kafka) as sending:
        await sending.send_and_wait(f"{world.namespace}mailbox.education", b"{}", key=b"letter-1")

    async def done(*arguments: str | Path) -> Said:
        said = await ops(world, *arguments, settings=settings)
        assert "Authorization" not in said.out + said.err, said.err
        return said

    assert (await done("lag", "--json")).status == 0
    assert (await done("parked", "list", "--json")).status in {0, 1}
    backup = tmp_path / "backup"
    made = await done("backup", "create", backup, "--json")
    assert made.status == 0, made.err
    drill = await done("drill", backup, "--yes", "--reason", "may it?", "--json")
    assert drill.status == 0, drill.err or drill.out
    assert drill.answer["records"] == made.answer["records"]
    async with admin(world.settings.kafka) as asking:
        assert not [name for name in await asking.list_topics() if name.startswith(f"{world.namespace}drill-")]

    async with admin(kafka) as asking:
        refused = await asking.delete_topics([world.namespace + name for name in ("letters", "mailbox.education")])
        assert {for_code(code) for _, code in refused.topic_error_codes} == {TopicAuthorizationFailedError}

    # Who lacks a right is told what gives it, and by no traceback.
    kafka = world.as_user("reporting")
    less = world.settings.model_copy(
        update={"kafka_username": kafka.username, "kafka_password": SecretStr(kafka.password)}
    )
    refused_drill = await ops(world, "drill", backup, "--yes", "--reason", "may it?", settings=less)
    assert (refused_drill.status, "python -m deploy.acls apply" in refused_drill.err) == (1, True), refused_drill.err
    store = Store(world.settings.mongo_url, world.namespace)
    await store.drop("ops")
    store.close()


async def test_the_store_lets_nobody_in_but_its_user(guarded: Guarded) -> None:
    url = guarded.world.settings.mongo_url
    scheme, user, password, rest = re.split("//|:(?!//)|@", url, maxsplit=3)
    for who in ("", f"somebody:{password}@", f"{user}:{WRONG}@"):
        store = Store(f"{scheme}//{who}{rest}", guarded.world.namespace)
        with pytest.raises(StoreUnavailable, match="MONGO_URL"):
            await store.ping()
        store.close()
    store = Store(url, guarded.world.namespace)
    await store.ping()
    store.close()


@pytest.mark.parametrize("setting", ["KAFKA_PASSWORD", "MONGO_URL"])
async def test_a_wrong_password_is_refused_and_told_without_the_password(guarded: Guarded, setting: str) -> None:
    world = guarded.world
    run = guarded.fleet.of("reporting")
    other = Run("reporting", free(1)[0], run.log.with_name("wrong.log"), dict(run.environment), scheme="https")
    if setting == "MONGO_URL":
        other.environment[setting] = re.sub(r":[^:@]*@", f":{WRONG}@", run.environment[setting])
    else:
        wrong = world.passwords.parent / "wrong-password"
        wrong.write_text(f"{WRONG}\n")
        other.environment["KAFKA_PASSWORD_FILE"] = str(wrong)
    other.start()
    try:

        async def told() -> bool:
            assert not await other.is_ready()
            try:
                said = (await other.get("/health/ready")).text
            except httpx.TransportError:
                return False
            assert setting in said, said
            return True

        await eventually(told, 60)
        assert (await other.get("/health/live")).status_code == 200
        said, log = (await other.get("/health/ready")).text, other.log.read_text()
        assert (user_of(world.namespace, "reporting") in said) == (setting == "KAFKA_PASSWORD")
        assert setting in log
        assert WRONG not in log + said
    finally:
        other.kill()


async def _fetched(world: GuardedWorld, who: str, topics: Iterable[str]) -> dict[str, type[Exception]]:
    """Topic → what the broker says to somebody who fetches its first partition without asking first what there is."""
    asked = [(world.namespace + topic, [(0, 0, 1_000)]) for topic in topics]
    async with admin(world.as_user(who)) as client:
        answer = await client._send_request(FetchRequest(10, 0, 1_000, 0, asked))
    return {
        name.removeprefix(world.namespace): for_code(code)
        for name, partitions in answer.topics
        for _, code, *_ in partitions
    }
