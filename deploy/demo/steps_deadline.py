"""Step 4: the ten working days; reminded, overdue, urged, on the notice board; and the late answers."""

import asyncio
from collections import Counter

from deploy.demo import plan
from deploy.demo.stage import NotSeen, Story, Written, at, eventually, expect
from deploy.demo.steps_assignment import answers_stand, of_fate, reply
from deploy.demo.steps_letters import all_of
from shared.calendar.zone import end_of_day
from shared.contracts.mailbox import DueSet, ReminderArrived, UrgingArrived

OPEN_AT_THE_LIMIT = ("late", "explained", "silent", "uncollected")
URGED = ("late", "silent", "uncollected")
NEVER = ("silent", "uncollected")


async def answer_in_time(story: Story) -> None:
    """The festival passes; on the eighth working day the units that are in time reply."""
    await story.pass_until(at(plan.ANSWERED_IN_TIME))
    await all_of(of_fate(story, "in-time"), lambda one: reply(story, one), "回复 replied")


async def answered_in_time(story: Story) -> str:
    """All hand-offs are due at the end of the tenth working day, make-up Saturdays counted; answers in time show."""
    assigned = [one for one in story.letters.values() if one.fate]
    due = end_of_day(at(plan.LAST_DAY).date())
    heard = await story.listener.wait_for(DueSet, count=len(assigned))
    expect("due moments told to units", {due}, {one.message.due_at for one in heard})  # type: ignore[attr-defined]
    expect("how many", len(assigned), len(heard))
    sample = assigned[0]
    clocks = [clock for clock in await story.city.clocks(sample.letter_id, sample.unit) if clock["kind"] == "reply"]
    expect(f"last day of {sample.number} at deadline", [plan.LAST_DAY], [clock["last_day"] for clock in clocks])
    await answers_stand(story, of_fate(story, "in-time"))
    return f"期限均为 {plan.LAST_DAY} 24 时（跨春节，含两个补班周六）；{len(of_fate(story, 'in-time'))} 封按时答复 / due dates, in time"


async def remind(story: Story) -> None:
    """Two working days before the limit who still has letters is reminded; one unit explains its progress."""
    await story.pass_until(at(plan.REMINDED))
    for letter in of_fate(story, "explained"):
        text = "正在与用人单位核对考勤和工资台账，预计三月三日前答复"
        await story.city.record_progress(letter.letter_id, letter.handoff_id, letter.unit, text)


async def reminded(story: Story) -> str:
    """Reminders are on the units' topics, for open letters only."""
    wanted = sorted(one.letter_id for one in of_fate(story, *OPEN_AT_THE_LIMIT))
    heard = await story.listener.wait_for(ReminderArrived, count=len(wanted))
    expect("letters that units were reminded of", wanted, sorted(one.message.letter_id for one in heard))  # type: ignore[attr-defined]
    for letter in of_fate(story, "explained"):
        view = await story.city.handling(letter.letter_id, letter.unit)
        expect(f"progress recorded on {letter.number}", 1, len(view["handoffs"][-1]["progress"]))
    return f"{len(wanted)} 封临近期限，已提醒承办单位 / reminded on their topics"


async def fall_due(story: Story) -> None:
    """The limit passes. What is not explained is urged, and stands on the notice board with its accumulated time."""
    await story.pass_until(at(plan.BOARD_SEEN))
    urged = of_fate(story, *URGED)
    wanted = sorted(one.number_ascii for one in urged)
    await eventually("letters on the notice board", wanted, lambda: _on_board(story))
    board = await story.city.board()
    # Monday 2 March: the first working day after the limit.
    expect("working days overdue on the board", {1}, {entry["overdue_working_days"] for entry in board["entries"]})
    late = (at(plan.BOARD_SEEN) - end_of_day(at(plan.LAST_DAY).date())).total_seconds()
    shown = min(entry["overdue_seconds"] for entry in board["entries"])
    expect("calendar time overdue on the board is what passed", True, late <= shown < late + 86_400)
    before = {entry["number"]: entry["overdue_seconds"] for entry in board["entries"]}
    await asyncio.sleep(1.2)
    after = {entry["number"]: entry["overdue_seconds"] for entry in (await story.city.board())["entries"]}
    if not all(after[number] > before[number] for number in before):
        raise NotSeen("the accumulated time on the board", "it grows", (before, after))
    page = await story.city.page("/public/board")
    expect("numbers on the board's page", [], [one.number for one in urged if one.number not in page])


async def fell_due(story: Story) -> str:
    """Overdue is declared for all that were open, urging slips went to all but the one that was explained."""
    for letter in of_fate(story, *OPEN_AT_THE_LIMIT):
        await eventually(f"{letter.number} was declared overdue", True, lambda one=letter: _declared(story, one))  # type: ignore[misc]
    wanted = sorted(one.letter_id for one in of_fate(story, *URGED))
    first = await story.listener.wait_for(UrgingArrived, lambda m: m.count == 1, count=len(wanted))
    expect("letters with a first urging slip (第一次催办)", wanted, sorted(one.message.letter_id for one in first))  # type: ignore[attr-defined]
    topics = {(one.topic, one.message.letter_id) for one in first}  # type: ignore[attr-defined]
    expect(
        "on the assignees' topics", {(f"mailbox.{one.unit}", one.letter_id) for one in of_fate(story, *URGED)}, topics
    )
    units = len({one.unit for one in of_fate(story, *URGED)})
    return (
        f"{len(wanted)} 封逾期催办、上公示栏，涉 {units} 个单位；已说明进展的 1 封不催 / overdue, urged, on the board"
    )


async def answer_late(story: Story) -> None:
    """Some answer at last; their entries leave the board."""
    await story.pass_until(at(plan.ANSWERED_LATE))
    await all_of(of_fate(story, "late", "explained"), lambda one: reply(story, one), "迟复 late")
    await _board_has_only(story, of_fate(story, *NEVER))


async def answered_late(story: Story) -> str:
    """The board has only those that never answered; the citizens of the others see their answers."""
    letters = of_fate(story, "late", "explained")
    await answers_stand(story, letters)
    await _board_has_only(story, of_fate(story, *NEVER))
    return f"{len(letters)} 封迟复，已撤下公示栏 / answered late, off the board"


async def urge_again(story: Story) -> None:
    """Three working days later the silent ones are urged a second time."""
    await story.pass_until(at(plan.URGED_AGAIN))
    wanted = len(of_fate(story, *NEVER))
    await story.listener.wait_for(UrgingArrived, lambda m: m.count == 2, count=wanted)
    for heard in story.listener.all(UrgingArrived):
        message = heard.message
        letter = next(one for one in story.letters.values() if one.letter_id == message.letter_id)  # type: ignore[attr-defined]
        story.did("urged", letter, message.at, letter.unit)  # type: ignore[attr-defined]


async def urged_again(story: Story) -> str:
    """The second urging slips are on the units' topics, and the board counts them."""
    never = of_fate(story, *NEVER)
    wanted = sorted(one.letter_id for one in never)
    second = await story.listener.wait_for(UrgingArrived, lambda m: m.count == 2, count=len(wanted))
    expect("letters with a second urging slip (第二次催办)", wanted, sorted(one.message.letter_id for one in second))  # type: ignore[attr-defined]

    async def counted() -> object:
        return {entry["number"] for entry in (await story.city.board())["entries"] if entry["urged"] >= 2}

    await eventually("entries of the board urged twice", {one.number_ascii for one in never}, counted)
    entries = (await story.city.board())["entries"]
    days = max(entry["overdue_working_days"] for entry in entries)
    by_unit = Counter(one.unit for one in never)
    return f"{len(never)} 封第二次催办，公示栏累计 {days} 个工作日 / urged twice: {', '.join(by_unit)}"


async def _on_board(story: Story) -> list[str]:
    return sorted(entry["number"] for entry in (await story.city.board())["entries"])


async def _board_has_only(story: Story, letters: list[Written]) -> None:
    wanted = sorted(one.number_ascii for one in letters)
    await eventually("letters on the notice board", wanted, lambda: _on_board(story))


async def _declared(story: Story, letter: Written) -> bool:
    handoff = (await story.city.handling(letter.letter_id, "mayor"))["handoffs"][-1]
    return handoff["overdue_at"] is not None
