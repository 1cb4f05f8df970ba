"""What is private never becomes public, on any path (R9.1): a mark is planted in every private field, and everything public is searched.

The crawl is done while a letter is handled and stands on the notice board, while its text waits for approval, once it is public and a
correction waits, and after its withdrawal. Beside it: a letter whose citizen refused publication, one that was withheld, and a report.
"""

import logging
from datetime import timedelta
from typing import Any, Final

import pytest

from shared.security.issue import issue_token
from tests.conftest import MONDAY, World, eventually
from tests.public_crawl import Crawl
from tests.report_search import NO_GROUND, City, city_of
from tests.unit.test_publication_cleaning import MARK, full_of_secrets, photo

PUBLIC: Final = {
    "subject": "公开标题灯塔街",
    "body": "公开正文：路口照明不足，请求增设。",
    "reply": "公开答复：已增设照明二盏。",
}
PRIVATE: Final = {
    "the citizen's name": "欧阳匿藏",
    "the citizen's phone": "13798765401",
    "the citizen's e-mail": "cangmi.7401@anxiang-mail.com",
    "the citizen's address": "幽隐巷七十七号四零一室",
    "the original subject": "暗标题甲子",
    "the original body": "暗正文乙丑",
    "the attachment's name": "暗附件丙寅",
    "what the attachment hides": MARK,
    "the slip's opinion": "暗拟办丁卯",
    "the slip's requirements": "暗要求戊辰",
    "a progress note": "暗进展己巳",
    "the reason for more time": "暗延期庚午",
    "the decision on more time": "暗批复辛未",
    "an instruction": "暗批示壬申",
    "a report on the instruction": "暗汇报癸酉",
    "the end of the instruction": "暗办结甲戌",
    "a reply that was sent back": "暗旧复乙亥",
    "the reason for sending it back": "暗退因丙子",
    "how to do it again": "暗重办丁丑",
    "the original reply": "暗新复戊寅",
    "the original answer": "暗原答己卯",
    "the staff's names": "暗职员庚辰",
    "the staff's subjects": "subj-qzx",
    "a text that was not approved": "暗废稿辛巳",
    "a correction that waits": "暗更正壬午",
    "the remark on the withdrawal": "暗撤因癸未",
    "a letter whose citizen refused": "暗拒公甲申",
    "a letter that was withheld": "暗不公乙酉",
    "a report": "暗举报丙戌",
    "who is reported": "暗被举丁亥",
}
DUTY: Final = ("subj-qzx-duty", "mayor", "duty_officer", "clerk", "head", "leader")
HEAD: Final = ("subj-qzx-head", "mayor", "head", "leader")
UNIT: Final = ("subj-qzx-unit", "education", "clerk", "head", "leader")
UNIT_HEAD: Final = ("subj-qzx-unit-head", "education", "head", "leader")
SENDER: Final = {
    "name": PRIVATE["the citizen's name"],
    "phone": PRIVATE["the citizen's phone"],
    "email": PRIVATE["the citizen's e-mail"],
    "address": "重庆市渝中区" + PRIVATE["the citizen's address"],
}
FILE: Final = PRIVATE["the attachment's name"]


def p(what: str) -> str:
    """A sentence with the mark of a private field."""
    return f"{PRIVATE[what]}，请注意。"


class Story:
    """A letter on its way through the city, full of marks."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.ids: list[str] = []
        self.files: list[str] = []

    async def sent(self, subject: str, body: str, **more: Any) -> str:
        name = f"{FILE}.jpg"

        async def uploaded() -> str:
            answer = await self.city.client.post("/intake/attachments", files={"file": (name, photo(), "image/jpeg")})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["attachment"])

        more = {"attachments": [await eventually(uploaded)], "sender": SENDER, **more}
        letter_id = await self.city.submit(
            more.pop("mailbox", "mayor"), more.pop("nature", "help"), subject=subject, body=body, **more
        )
        self.ids.append(letter_id)
        return letter_id

    async def handled(self) -> str:
        """Until the unit owes a reply and is urged in public."""
        city = self.city
        letter = await self.sent(
            f"{PRIVATE['the original subject']}请看", f"{PRIVATE['the original body']}，我是{SENDER['name']}，请处理。"
        )
        await city.registered(letter, DUTY)
        slip = {"receiver": "education", "opinion": p("the slip's opinion"), "answer_by": "assigner"}
        await city.moved(letter, "slips", DUTY, {**slip, "requirements": p("the slip's requirements")})
        await city.moved(letter, "slips/s1/approve", HEAD)
        await city.moved(letter, "handoffs/s1/collect", UNIT)
        instruction = {"text": p("an instruction"), "report_by": "2026-03-06"}
        await city.moved(letter, "instructions", UNIT, instruction)
        await city.moved(letter, "instructions/i1/follow-ups", UNIT, {"text": p("a report on the instruction")})
        await city.moved(letter, "instructions/i1/end", UNIT, {"text": p("the end of the instruction")})
        asked = {"reason": p("the reason for more time"), "wanted_day": "2026-03-25"}
        await city.moved(letter, "handoffs/s1/extensions", UNIT, asked)
        refused = {"outcome": "refused", "reason": p("the decision on more time")}
        await city.moved(letter, "handoffs/s1/extensions/e1/decide", HEAD, refused)
        return letter

    async def answered(self, letter: str) -> None:
        """Until the citizen has an answer, after a first reply that was sent back."""
        city = self.city
        await city.moved(letter, "handoffs/s1/progress", UNIT, {"text": p("a progress note")})
        await city.moved(letter, "handoffs/s1/replies", UNIT, {"text": p("a reply that was sent back")})
        await city.moved(letter, "handoffs/s1/replies/r1/approve", UNIT_HEAD)
        again = {"reason": p("the reason for sending it back"), "requirements": p("how to do it again")}
        await city.moved(letter, "handoffs/s1/replies/r1/send-back", DUTY, again)
        await city.moved(letter, "handoffs/s1/replies", UNIT, {"text": p("the original reply")})
        await city.moved(letter, "handoffs/s1/replies/r2/approve", UNIT_HEAD)
        await city.moved(letter, "answer", DUTY, {"channel": "online", "text": p("the original answer")})

    async def answered_directly(self, letter: str, text: str) -> None:
        slip = {"way": "direct", "receiver": "mayor", "opinion": "拟办", "requirements": "办理"}
        await self.city.registered(letter, DUTY)
        await self.city.moved(letter, "slips", DUTY, slip)
        await self.city.moved(letter, "slips/s1/approve", HEAD)
        await self.city.moved(letter, "answer", DUTY, {"channel": "phone", "text": text})

    async def beside(self) -> None:
        """The letters that are never public: the citizen refused, it is withheld, it is a report."""
        refused = await self.sent(
            f"{p('a letter whose citizen refused')}标题", p("a letter whose citizen refused") * 2, may_publish=False
        )
        await self.answered_directly(refused, p("a letter whose citizen refused"))
        withheld = await self.sent(f"{p('a letter that was withheld')}标题", p("a letter that was withheld") * 2)
        await self.answered_directly(withheld, p("a letter that was withheld"))
        text = dict.fromkeys(PUBLIC, p("a letter that was withheld"))
        await self.decided(withheld, "prepare", {**text, **NO_GROUND, "privacy": True}, DUTY)
        await self.decided(withheld, "withhold", {}, HEAD)
        report = await self.sent(
            f"{p('a report')}标题",
            p("a report") * 2,
            nature="report",
            reported_mailbox="water",
            reported_names=[PRIVATE["who is reported"]],
        )
        await self.answered_directly(report, p("a report"))

    async def decided(self, letter: str, move: str, body: Any, who: tuple[str, ...]) -> Any:
        view = await self.city.does(who, "POST", f"/publication/cases/{letter}/{move}", body)
        await self.city.settled(letter)
        return view

    async def prepared(self, letter: str, **changes: Any) -> str:
        body = {**PUBLIC, **NO_GROUND, "attachments": self.files, **changes}
        return str((await self.decided(letter, "prepare", body, DUTY))["prepared"]["text_hash"])

    async def upload(self, letter: str, content: bytes) -> None:
        files = {"file": (f"{FILE}.pdf", content, "application/pdf")}
        path = f"/publication/cases/{letter}/attachments"
        answer = await self.city.client.post(path, files=files, headers=self.city.world.token(*DUTY))
        assert answer.status_code == 201, answer.text
        self.files.append(answer.json()["id"])

    async def crawl(self, *also_private: str) -> Crawl:
        """Search everything; the public words are private too, but for when they are public."""
        numbers = [f"YFX-2026-{serial}" for serial in range(1, 6)]
        known = {
            "number": numbers,
            "name": ["附件1.jpg", "附件2.pdf", f"{FILE}.jpg", "1"],
            "letter_id": self.ids[:1],
            "attachment_id": self.files[:1] or ["1"],
            "file_id": self.files[:1] or ["1"],
            "code": ["mayor", "education"],
            "mailbox": ["mayor", "education"],
            "unit": ["mayor", "education"],
            "week": ["2026-W10", "2026-W14"],
            "month": ["2026-03", "2026-04"],
            "year": ["2026"],
            "path": ["xinxiang.css"],
        }
        queries = {
            **dict.fromkeys(("q", "text", "query", "words"), ("照明", "灯塔街")),
            "from": ("2026-03-02",),
            "to": ("2026-04-30",),
            "month": ("2026-03", "2026-04"),
            "unit": ("mayor", "education"),
            "mailbox": ("mayor",),
            "code": ("mayor",),
        }
        private = {**PRIVATE, **{f"the letter's id {n}": one for n, one in enumerate(self.ids)}}
        private |= {f"public: {word}": word for word in also_private}
        private |= {f"a file's id {n}": one for n, one in enumerate(self.files)}
        watched = (*PUBLIC.values(), "YFX-2026-1")
        crawl = Crawl(self.city.client, known, private, queries, watched=watched)
        await crawl.everything()
        return crawl


def nothing_private(crawl: Crawl, story: Story) -> None:
    """What is asked for by its id may name that id in the answer; nothing else may."""
    ids = {*story.ids, *story.files}
    found = {
        asked: private - {name for name, text in crawl.markers.items() if text in ids and text in asked}
        for asked, private in crawl.found.items()
    }
    assert {asked: private for asked, private in found.items() if private} == {}


async def test_r9_1_nothing_private_is_on_any_public_path_before_approval_after_it_or_after_withdrawal(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    for others in ("pymongo", "httpx", "httpcore", "aiokafka"):  # the driver's commands and this test's own requests
        caplog.set_level(logging.WARNING, logger=others)
    named = PRIVATE["the staff's names"]

    def token(subject: str, mailbox: str, *roles: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {issue_token(subject, mailbox, roles, keys_dir=world.keys, name=named)}"}

    monkeypatch.setattr(world, "token", token)
    async with city_of(world) as city:
        story = Story(city)
        letter = await story.handled()
        await story.beside()
        world.move_clock(MONDAY + timedelta(days=30))

        async def on_board() -> bool:
            return bool((await city.client.get("/public/board.json")).json()["total"] == 1)

        await eventually(on_board, 30)
        crawl = await story.crawl(*PUBLIC.values())
        nothing_private(crawl, story)
        assert crawl.holding["YFX-2026-1"] >= {"/public/board", "/public/board.json"}, (
            "the crawl does not find what is there"
        )

        await story.answered(letter)
        await story.upload(letter, photo())
        await story.upload(letter, full_of_secrets())
        await story.prepared(letter, reply=p("a text that was not approved"))
        text_hash = await story.prepared(letter)
        nothing_private(await story.crawl(*PUBLIC.values()), story)

        await story.decided(letter, "approve", {"text_hash": text_hash, "confirm_marks": True}, HEAD)
        await story.prepared(letter, reply=p("a correction that waits"))
        crawl = await story.crawl()
        nothing_private(crawl, story)
        page = "/public/letters/YFX-2026-1"
        for part in PUBLIC.values():
            assert crawl.holding[part] >= {page, f"{page}.json"}, "the crawl does not find what is there"
        assert crawl.holding[PUBLIC["subject"]] >= {"/public/letters", "/public/letters.json"}
        for name in ("%E9%99%84%E4%BB%B61.jpg", "%E9%99%84%E4%BB%B62.pdf"):
            assert f"{page}/attachments/{name}" in crawl.paths, sorted(crawl.paths)
        assert len(crawl.visited) > 500

        case = await city.does(DUTY, "GET", f"/publication/cases/{letter}")
        assert case["prepared"] is not None
        remark = {"ground": "privacy", "remark": p("the remark on the withdrawal")}
        await story.decided(letter, "withdraw", remark, HEAD)
        crawl = await story.crawl(*PUBLIC.values())
        nothing_private(crawl, story)
        assert f"{page}/attachments/%E9%99%84%E4%BB%B61.jpg" not in crawl.paths

        logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
        private = {what for what, text in PRIVATE.items() if text in logged}
        assert private == set()
