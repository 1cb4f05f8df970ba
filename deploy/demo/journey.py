"""The journey as a list of steps, run or looked at again."""

import time
from collections.abc import Sequence

from deploy.demo import (
    steps_archive,
    steps_assignment,
    steps_deadline,
    steps_figures,
    steps_letters,
    steps_publication,
)
from deploy.demo.stage import SCREENING_RATE, NotSeen, Step, Story, progress, say, shanghai
from shared.calendar.clock import write_clock_file

STEPS: Sequence[Step] = (
    Step("市民递交来信", "citizens write letters", steps_letters.write, steps_letters.letters_stand),
    Step("入口把关", "the front door holds", steps_letters.try_the_door, steps_letters.door_holds),
    Step("阅信、校正、登记编号", "clerks screen and register", steps_letters.screen, steps_letters.screened),
    Step("各看各的信", "everybody sees their own only", steps_letters.try_to_pry, steps_letters.secrets_kept),
    Step("拟办、审批、交办", "assigned to units", steps_assignment.assign, steps_assignment.assigned),
    Step(
        "单位系统签收、答复",
        "a unit's own system answers",
        steps_assignment.system_answers,
        steps_assignment.system_answered,
    ),
    Step("日积日清", "read a day late", steps_letters.read_next_day, steps_letters.reading_was_late),
    Step("单位网上签收", "units collect over HTTP", steps_assignment.collect, steps_assignment.collected),
    Step("承办回复、答复来信人", "replies and answers", steps_assignment.reply_early, steps_assignment.replied_early),
    Step("公示（一）", "published", steps_publication.publish_first, steps_publication.published_so_far),
    Step("十个工作日", "ten working days", steps_deadline.answer_in_time, steps_deadline.answered_in_time),
    Step("临期提醒", "reminded", steps_deadline.remind, steps_deadline.reminded),
    Step("逾期、催办、公示栏", "overdue, urged, on the board", steps_deadline.fall_due, steps_deadline.fell_due),
    Step("迟复撤栏", "late answers leave the board", steps_deadline.answer_late, steps_deadline.answered_late),
    Step("第二次催办", "urged again", steps_deadline.urge_again, steps_deadline.urged_again),
    Step("公示（二）", "published, the rest", steps_publication.publish_second, steps_publication.published_so_far),
    Step("市长信箱工作周报", "the weekly bulletin", steps_figures.count, steps_figures.counted),
    Step("存档、登记表、打印", "kept and on paper", steps_archive.file, steps_archive.filed),
)


async def run(story: Story) -> bool:
    """Go the whole journey from an empty store; return whether every step was seen to happen. The first that was not ends it."""
    story.save(finished=False)
    write_clock_file(story.clock_file, None, SCREENING_RATE)
    for number, step in enumerate(STEPS, 1):
        began = time.monotonic()
        say(f"{number:2}/{len(STEPS)} {step.chinese} {step.english}  [{shanghai(story.now)}]")
        try:
            await step.do(story)
            seen = await step.seen(story)
        except NotSeen as missing:
            progress("")
            say(f"    ✗ {missing}")
            return False
        except Exception as error:  # noqa: BLE001 - whatever a step met is what it shows
            progress("")
            say(f"    ✗ {_flat(error)}")
            return False
        say(f"    ✓ {seen}  ({time.monotonic() - began:.1f} s)")
    write_clock_file(story.clock_file, None, 1.0)
    story.save(finished=True)
    return True


async def look_again(story: Story) -> bool:
    """Look for every step of an earlier run; return whether all can still be seen. What two steps show alike is looked at once."""
    for number, step in enumerate(STEPS, 1):
        if any(step.seen is earlier.seen for earlier in STEPS[: number - 1]):
            continue
        began = time.monotonic()
        try:
            seen = await step.seen(story)
            say(f"{number:2}/{len(STEPS)} ✓ {step.chinese} {step.english}: {seen}  ({time.monotonic() - began:.1f} s)")
        except Exception as error:  # noqa: BLE001 - whatever a step met is what it shows
            progress("")
            say(f"{number:2}/{len(STEPS)} ✗ {step.chinese} {step.english}: {_flat(error)}")
            return False
    return True


def _flat(error: BaseException) -> str:
    """Return the first error inside groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, NotSeen) else f"{type(error).__name__}: {error}"
