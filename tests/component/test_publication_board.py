"""The notice board on real engines, for replies that were sent back (R7.4)."""

from datetime import timedelta

from services.publication.app import build
from shared.contracts.facts import NoticePosted, NoticeRemoved, ReplyDueChanged, ReplySentBack
from tests.component.test_publication import DUE, Letter
from tests.conftest import MONDAY, World, eventually

REDO_DUE = DUE + timedelta(days=14)


async def test_r7_4_a_reply_sent_back_by_the_mayors_mailbox_is_shown_until_the_next_reply(world: World) -> None:
    letter = Letter(31)
    ends = {"sender": "mayor", "receiver": "education"}
    sent_back = ReplySentBack(
        letter_id=letter.id,
        at=MONDAY + timedelta(days=1),
        handoff_id="s1",
        reply_id="r1",
        **ends,
        reason="张三丰所问未答",
        requirements="逐项答复",
        count=1,
    )
    moved = ReplyDueChanged(
        letter_id=letter.id,
        at=MONDAY + timedelta(days=1),
        handoff_id="s1",
        receiver="education",
        before=DUE,
        due_at=REDO_DUE,
        why="sent_back",
        detail="第1次退办",
    )
    replied, answered = letter.answered()
    async with world.running(build(world.kit())) as client:
        await world.publish(*letter.handed(), replied, sent_back, moved)

        async def shown() -> bool:
            return bool((await client.get("/public/board.json")).json()["total"] == 1)

        await eventually(shown)
        (entry,) = (await client.get("/public/board.json")).json()["entries"]
        assert (entry["number"], entry["for_what"], entry["sent_back"], entry["urged"]) == (
            "YFX-2026-31",
            "sent_back",
            1,
            0,
        )
        assert (entry["overdue_seconds"], entry["overdue_working_days"]) == (0, 0)
        page = (await client.get("/public/board")).text
        assert "第1次退办" in page
        assert "张三丰" not in page

        world.move_clock(REDO_DUE + timedelta(hours=26), rate=0)
        (late,) = (await client.get("/public/board.json")).json()["entries"]
        assert late["overdue_seconds"] == 26 * 3600

        await world.publish(replied, answered)

        async def gone() -> bool:
            return bool((await client.get("/public/board.json")).json()["total"] == 0)

        await eventually(gone)

    async def recorded() -> list[type]:
        own = [type(f) for f in await world.facts_of(letter.id) if f.source == "publication"]
        return own if NoticeRemoved in own else []

    assert await eventually(recorded) == [NoticePosted, NoticeRemoved]
