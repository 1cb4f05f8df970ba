"""The public pages of publication in their states, for `tests/component/test_pages_accessible.py`: an empty city and a full one."""

from collections.abc import Sequence
from datetime import timedelta

import httpx

from services.publication.app import build
from services.runtime import Service
from shared.contracts.facts import Fact, LetterPublished, PublicationWithdrawn, ReplyDueChanged, ReplySentBack
from shared.contracts.types import PublishedFile, WithdrawalGround
from tests.browser import FEW, Look, Scene, Stage
from tests.component.test_publication import CLERK, DUE, Letter
from tests.conftest import MONDAY, World, eventually

SCREENS = (Look(1920, typed=True), Look(1080), Look(360), Look(360, language="en"), Look(1920, language="en"))
"""A lobby's screen lying and standing, and whoever opens it on a phone; its colours are the same in both schemes."""
LETTERS = 30
URGED = 23
FILES = tuple(
    PublishedFile(
        id=f"{place:032x}", name=f"附件{place}.{kind}", media_type=media, size=120_000 * place, sha256="0" * 64
    )
    for place, (kind, media) in enumerate((("pdf", "application/pdf"), ("jpg", "image/jpeg")), start=1)
)
LONG = "请有关部门说明小区地下车库消防通道被长期占用、业委会多次反映仍未解决的原因和下一步的整改时间表" * 8


def services(world: World) -> Sequence[Service]:
    """Publication alone."""
    return [build(world.kit())]


def published(letter: Letter, at: int) -> LetterPublished:
    """An approved text."""
    text = f"{LONG}（第{letter.number.serial}封）\n\nhttps://www.example.gov.cn/{'a' * 90}\n" + LONG
    return LetterPublished(
        letter_id=letter.id,
        at=MONDAY + timedelta(minutes=at),
        mailbox="education",
        number=letter.number,
        subject=f"校门口缺少斑马线（第{letter.number.serial}封）" if at % 2 else LONG[:60],
        body=text,
        reply=text,
        attachments=FILES if at == 1 else (),
        text_hash="0" * 64,
        prepared_by=CLERK,
    )


def sent_back(letter: Letter) -> list[Fact]:
    """A reply that the mayor's mailbox sent back, whose redo is late already."""
    ends = {"letter_id": letter.id, "at": MONDAY + timedelta(days=1), "handoff_id": "s1", "receiver": "education"}
    return [
        letter.answered()[0],
        ReplySentBack(**ends, reply_id="r1", sender="mayor", reason="所问未答", requirements="逐项答复", count=1),
        ReplyDueChanged(**ends, before=DUE, due_at=DUE - timedelta(hours=6), why="sent_back", detail="第1次退办"),
    ]


async def nothing(world: World, client: httpx.AsyncClient) -> None:
    """Nobody has written yet."""


async def much(world: World, client: httpx.AsyncClient) -> None:
    """Published letters for two pages of the list, and a board of urged and sent-back ones."""
    facts: list[Fact] = []
    for serial in range(1, LETTERS + 1):
        letter = Letter(serial)
        facts += [*letter.handed(), *letter.answered(), published(letter, serial)]
    for serial in range(101, 101 + URGED):
        letter = Letter(serial)
        facts += [*letter.handed(), letter.urged(1 + serial % 3, DUE - timedelta(hours=serial))]
    gone = Letter(LETTERS + 1)
    facts += [*gone.handed(), *gone.answered(), published(gone, LETTERS + 1)]
    facts.append(
        PublicationWithdrawn(
            letter_id=gone.id,
            at=MONDAY + timedelta(hours=2),
            mailbox="education",
            number=gone.number,
            ground=WithdrawalGround.PRIVACY,
        )
    )
    again = Letter(200)
    facts += [*again.handed(), *sent_back(again)]
    await world.publish(*facts)
    world.move_clock(DUE + timedelta(days=3, hours=4), rate=0)

    async def shown() -> bool:
        board = (await client.get("/public/board.json")).json()
        letters = (await client.get("/public/letters.json?limit=100")).json()
        withdrawn = (await client.get(f"/public/letters/YFX-2026-{LETTERS + 1}.json")).status_code == 410
        return board["total"] == URGED + 1 and len(letters["items"]) == LETTERS and withdrawn

    await eventually(shown)


EMPTY = Stage(
    "an empty city",
    services,
    nothing,
    [
        Scene("home-empty", "/public/", "政府系统公开电子信箱", looks=FEW),
        Scene("letters-empty", "/public/letters", "目前还没有公开的信件", looks=FEW),
        Scene("board-empty", "/public/board", "目前没有催办、退办未复的来信", looks=FEW),
        Scene("lobby-empty", "/public/board/lobby", "目前没有催办、退办未复的来信", looks=(Look(1920), Look(1080))),
        Scene("how", "/public/how", "10个工作日内答复"),
        Scene("page-missing", "/public/nothing", "没有找到这个页面", 404, looks=FEW),
        Scene("letter-missing", "/public/letters/YFX-2026-999", "没有这封公开信件", 404, looks=FEW),
    ],
)
FULL = Stage(
    "a busy city",
    services,
    much,
    [
        Scene("home", "/public/", "政府系统公开电子信箱"),
        Scene("letters", "/public/letters", "更早的信件"),
        Scene("letter", "/public/letters/YFX-2026-1", "附件2.jpg"),
        Scene("letter-withdrawn", f"/public/letters/YFX-2026-{LETTERS + 1}", "涉及个人隐私", 410, looks=FEW),
        Scene("search-found", "/public/letters?q=斑马线&nature=help", "最相符的在前", looks=FEW),
        Scene("search-none", "/public/letters?q=天文台", "没有找到相符的公开信件", looks=FEW),
        Scene("search-wrong", "/public/letters?q=，。", "检索词", 422, looks=FEW),
        Scene("data", "/public/data", "开放数据", looks=FEW),
        Scene("board", "/public/board", "渝府信〔2026〕200号"),
        Scene("lobby", "/public/board/lobby?still=true", "自动翻屏", looks=SCREENS),
        Scene("lobby-last", "/public/board/lobby?screen=3&still=true", "渝府信〔2026〕200号", looks=SCREENS[:2]),
        Scene("lobby-turning", "/public/board/lobby", "暂停翻屏", looks=(Look(1920), Look(360))),
        Scene("problem", "/public/letters?cursor=no", "翻页标记无效", 400, looks=FEW),
    ],
)
