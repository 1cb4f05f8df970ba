"""What stands in a bulletin, on real engines: the longest-open letters, and the same numbers as everywhere else (R10.4, R11.2)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.reporting.app import build
from services.reporting.issuing import Issuing
from shared.contracts.facts import CitizenAnswered, LetterRegistered
from shared.contracts.types import Actor, Channel, Nature, Number
from tests.component.test_reporting import START, packed, send
from tests.component.test_reporting_issues import DUTY, WEEKLY, at, letter, until_issued
from tests.conftest import World, eventually
from tests.histories import histories, working_days


async def test_r11_2_the_longest_open_letters_are_those_of_the_period_s_end_without_reports_about_somebody(
    world: World,
) -> None:
    world.move_clock(at("2026-03-11T09:00"))
    about = {"reported_mailbox": "education"}
    names = ("oldest", "answered-in-time", "answered-since", "report", "newest")
    arrived = {name: letter(name, at(f"2026-02-{17 + place:02}T10:00")) for place, name in enumerate(names)}
    classification = arrived["report"].classification.model_copy(update={**about, "nature": Nature.REPORT})
    arrived["report"] = arrived["report"].model_copy(update={"classification": classification})
    service = build(world.kit())
    async with world.running(service) as client:
        for place, fact in enumerate(arrived.values(), start=1):
            number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=place)
            moment = fact.at + timedelta(hours=1)
            await world.publish(fact, LetterRegistered(letter_id=fact.letter_id, at=moment, number=number))
        await world.publish(
            answer("answered-in-time", at("2026-03-06T10:00")), answer("answered-since", at("2026-03-10T10:00"))
        )
        ids = [f"weekly-mayor-2026-W{number:02}" for number in (8, 9, 10)]
        await until_issued(client, ids, series="weekly")
        week_10 = (await client.get(f"/reporting/issues/{ids[2]}")).json()
        assert [line["number_text"] for line in week_10["longest_open"]] == [
            "渝府信〔2026〕1号",
            "渝府信〔2026〕3号",
            "渝府信〔2026〕5号",
        ]
        first = week_10["longest_open"][0]
        assert (first["since"], first["mailbox"], first["overdue"]) == ("2026-02-17", "mayor", False)
        assert first["working_days"] == working_days(at("2026-02-17T11:00"), at("2026-03-08T23:59"))
        week_9 = (await client.get(f"/reporting/issues/{ids[1]}")).json()
        assert [line["number"] for line in week_9["longest_open"]] == [
            "YFX-2026-1",
            "YFX-2026-2",
            "YFX-2026-3",
            "YFX-2026-5",
        ]
        world.move_clock(at("2026-05-01T09:00"))
        late = [f"weekly-mayor-2026-W{number:02}" for number in range(11, 18)]
        await until_issued(client, [*ids, *late], series="weekly")
        known = [(await client.get(f"/reporting/issues/{name}")).json()["longest_open_known"] for name in late]
        assert known == [False, False, True, True, True, True, True]


def answer(name: str, moment: datetime) -> CitizenAnswered:
    author = Actor(subject="mayor-clerk", mailbox="mayor")
    return CitizenAnswered(
        letter_id=name, at=moment, mailbox="mayor", channel=Channel.ONLINE, text="已修复。", author=author
    )


async def test_r10_4_page_data_bulletin_and_gauges_show_the_same_numbers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.move_clock(at("2026-02-12T09:00"))
    service = build(world.kit())
    async with world.running(service) as client:
        await send(service, packed(histories(18, 60, START)))
        await until_issued(client, WEEKLY, series="weekly")
        now = (await client.get("/reporting/weeks/2026-W07")).json()["figures"]
        preview = (await client.get("/reporting/issues/weekly-mayor-2026-W07")).json()
        query = "from=2026-02-09&to=2026-02-16"
        figures = (await client.get(f"/reporting/mailboxes/mayor/figures?{query}", headers=world.token(*DUTY))).json()
        for measure in service.measures:
            await measure()
        compared = {line["figure"]: line["now"] for line in preview["comparisons"]}
        page = (await client.get("/reporting/weeks/2026-W07/page")).text
        assert now["received"] > 0
        for name in ("received", "registered", "answered", "finished", "open_letters", "published", "withheld"):
            assert now[name] == preview["figures"][name] == figures[name] == compared[name] == gauge(name), name
            assert f'<td class="n">{now[name]}</td>' in page
        handled = now["assigned"]["total"]
        for name in ("assigned", "answered_in_time", "extended", "urged", "sent_back", "returned", "open", "overdue"):
            assert handled[name] == compared[name] == sum(u[name] for u in now["assigned"]["units"]) == gauge(name), (
                name
            )
            assert f'<td class="n">{handled[name]}</td>' in page
        assert sum(part["count"] for part in now["natures"]) == now["received"]
        assert {part["code"] for part in now["dispositions"]} == {"direct", "assign", "forward", "submit_up", "noted"}
        assert next(p["count"] for p in now["dispositions"] if p["code"] == "assign") == handled["assigned"]
        issuing = service.part(Issuing)

        async def none_missing() -> bool:
            await issuing.measure()
            return missing() == 0.0

        await eventually(none_missing)

        # Nobody can make it: the alert's gauge counts from the hour at which it was due.
        service.sweeps_of_one.clear()
        monkeypatch.setattr(issuing.counted, "through", _never)
        world.move_clock(at("2026-02-18T01:00"))

        async def missed() -> bool:
            await issuing.measure()
            return missing() >= timedelta(days=2).total_seconds()

        await eventually(missed)


async def _never(*_: Any) -> bool:
    return False


def missing() -> float:
    return REGISTRY.get_sample_value("xinxiang_bulletin_missing_seconds", {"service": "reporting"}) or 0.0


def gauge(figure: str) -> float | None:
    labels = {"service": "reporting", "mailbox": "mayor", "figure": figure}
    return REGISTRY.get_sample_value("xinxiang_week_figure", labels)
