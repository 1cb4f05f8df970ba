"""Steps 1 and 2: citizens write, staff screen."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from deploy.demo import plan
from deploy.demo.city import City, Refused, settled, submission
from deploy.demo.stage import NotSeen, Story, Written, at, eventually, expect, progress
from shared.contracts.mailbox import LetterArrived
from shared.security.receipts import receipt_code

T = TypeVar("T")
SAMPLE = Path("deploy/sample/letters.jsonl")
AT_ONCE = 12
FILES = {
    "现场照片.png": bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
    ),
    "测算表.pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 0/Kids[]>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n",
}
"""Name → content of what some citizens attach."""
WITH_FILES = {
    "井盖三个月换了三次还是响": ["现场照片.png"],
    "关于早高峰大站快车与错峰票价的一点测算": ["测算表.pdf", "现场照片.png"],
}


async def all_of(things: Iterable[T], what: Callable[[T], Awaitable[Any]], label: str) -> None:
    """Do something for each thing, twelve at once, and show how far it is."""
    waiting = list(things)
    total, done = len(waiting), 0
    queue = iter(waiting)

    async def work() -> None:
        nonlocal done
        for thing in queue:
            await what(thing)
            done += 1
            if done % 10 == 0 or done == total:
                progress(f"{label} {done}/{total}")

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, total)):
            group.create_task(work())
    progress("")


async def refused(call: Awaitable[Any], status: int, what: str) -> Refused:
    """Return the refusal that must come; raises NotSeen if it does not."""
    try:
        await call
    except Refused as refusal:
        expect(what, status, refusal.status)
        return refusal
    raise NotSeen(what, f"refused with {status}", "it was taken")


def sample_letters() -> list[Written]:
    """Return the 200 sample letters, each with its Idempotency-Key."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    return [Written(key=f"demo-{n:03}", sample=json.loads(line)) for n, line in enumerate(lines, 1)]


# ── letters are written ──────────────────────────────────────────────────────────────────────────────────────────────


async def write(story: Story) -> None:
    """Post the 200 sample letters; some with files."""
    story.letters = {letter.key: letter for letter in sample_letters()}

    async def post(letter: Written) -> None:
        names = WITH_FILES.get(letter.sample["subject"], [])
        files = [(await story.city.attach(name, FILES[name]))["attachment"] for name in names]
        answer = await story.city.submit(submission(letter.sample, files), letter.key)
        story.letter(letter.key, receipt=answer["receipt"])

    await all_of(story.letters.values(), post, "来信 letters")
    # A receipt that is looked up before its letter is stored counts as a guess: so first hear that the mailboxes have them.
    arrived = await story.listener.wait_for(LetterArrived, count=len(story.letters))
    expect("letters that mailboxes were told of", len(story.letters), len(arrived))


async def letters_stand(story: Story) -> str:
    """Every receipt leads to its letter."""

    async def look(letter: Written) -> None:
        found = await settled(lambda: story.city.standing(letter.receipt))
        expect(f"standing of {letter.receipt}: subject", letter.sample["subject"], found["subject"])
        said = json.dumps(found, ensure_ascii=False)
        for name, value in letter.sample["sender"].items():
            if name != "name" and value in said.replace(letter.sample["body"], ""):
                raise NotSeen("what a receipt shows", "no contact data", f"{name} of {letter.receipt}")

    await all_of(story.letters.values(), look, "查询 receipts")
    receipts = {letter.receipt for letter in story.letters.values()}
    expect("receipts, all different", len(story.letters), len(receipts))
    return f"{len(receipts)} 封来信，{len(receipts)} 个查询码 / {len(receipts)} letters, each under its receipt"


# ── what the front door does not let in ──────────────────────────────────────────────────────────────────────────────


async def try_the_door(story: Story) -> None:
    """Nothing to do beforehand: what is tried leaves no letter."""


async def door_holds(story: Story) -> str:
    """A retry makes no second letter; wrong fields, a mistyped receipt and a guesser are refused."""
    first = next(one for one in story.letters.values() if one.sample["subject"] not in WITH_FILES)
    again = await story.city.submit(submission(first.sample), first.key)
    expect("the same letter with the same Idempotency-Key: receipt", first.receipt, again["receipt"])
    bad = submission(first.sample) | {"sender": {"name": "无名", "phone": "12345"}, "body": "太短"}
    problem = await refused(story.city.submit(bad), 422, "a letter with wrong fields")
    wrong = {error["field"].split("/")[1]: error.get("rule") for error in problem.errors}
    expect("the wrong fields and their rules", {"sender": "R2.2", "body": "R2.2"}, wrong)
    mistyped = first.receipt[:-1] + ("0" if first.receipt[-1] != "0" else "1")
    typo = await refused(story.city.standing(mistyped), 422, "a mistyped receipt")
    expect("rule of a mistyped receipt", "R2.2", typo.rule)
    waits = await _guess(story)
    fields = "、".join(sorted(wrong))
    return f"重复提交得同一查询码；错误字段 {fields} 被指出；错码即时提示；猜码者须等待 {waits} 秒 / retry, bad fields, typo, guesser"


async def _guess(story: Story) -> int:
    """Guess receipts from another address of this machine until it has to wait; return for how many seconds."""
    async with City(story.city.urls, Path(), story.city.directory, local_address="127.0.0.2") as stranger:
        for number in range(12):
            try:
                await stranger.standing(receipt_code(b"nobody's secret", str(number)))
            except Refused as refusal:
                if refusal.status == 429:
                    return refusal.retry_after
    raise NotSeen("guessing receipts", "429 after some wrong codes", "it could go on")


# ── screening ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def screen(story: Story) -> None:
    """Clerks of all mailboxes list what is unread, read it, correct it, and register it, note it or do not accept it."""
    by_subject = {letter.sample["subject"]: key for key, letter in story.letters.items()}
    codes = sorted({letter.sample["mailbox"] for letter in story.letters.values()})
    for code in codes:
        expected = {letter.sample["subject"] for letter in story.letters.values() if letter.sample["mailbox"] == code}

        async def listed(code: str = code) -> object:
            return {row["subject"] for row in await story.city.letters(code)}

        await eventually(f"unread letters of {code}", expected, listed)
        for row in await story.city.letters(code):
            key = by_subject[row["subject"]]
            letter = story.letter(
                key,
                letter_id=row["letter_id"],
                mailbox=code,
                classification=row["classification"],
                screening=plan.screening(story.letters[key].sample),
            )
            story.did("received", letter, row["received_at"])
    await all_of(
        [one.key for one in story.letters.values() if one.screening != "tomorrow"], _one(story), "阅办 screened"
    )


def _one(story: Story) -> Callable[[str], Awaitable[None]]:
    async def screened(key: str) -> None:
        await screen_letter(story, key)

    return screened


async def screen_letter(story: Story, key: str) -> None:
    """Do with one letter what its clerk decided."""
    letter, city = story.letters[key], story.city
    letter_id, code = letter.letter_id, letter.mailbox
    await city.read(letter_id, code)
    corrected = plan.CORRECTIONS.get(letter.sample["subject"])
    if corrected:
        view = await city.reclassify(letter_id, code, letter.classification | corrected)
        letter = story.letter(key, classification=view["classification"])
    if letter.screening in {"register", "tomorrow"}:
        view = await city.register(letter_id, code)
        letter = story.letter(key, number=view["number"], number_ascii=view["number_ascii"])
        story.did("registered", letter, view["registered_at"])
    elif letter.screening == "note":
        await city.note(letter_id, code, "转有关单位参考")
        story.did("noted", letter, story.now)
    else:
        await city.discard(letter_id, code, letter.screening)
        story.did(f"discarded {letter.screening}", letter, story.now)


async def screened(story: Story) -> str:
    """Numbers run from 1 without gap or repeat in each mailbox; the citizen sees what was decided; files are whole."""
    serials: dict[str, list[int]] = {}
    for letter in story.letters.values():
        if letter.number_ascii:
            serials.setdefault(letter.mailbox, []).append(int(letter.number_ascii.rsplit("-", 1)[1]))
    for code, found in serials.items():
        expect(f"serial numbers of {code}", list(range(1, len(found) + 1)), sorted(found))
    await all_of([one for one in story.letters.values() if one.number], _registered_shows(story), "编号 numbers")
    for letter in story.letters.values():
        if letter.screening not in {"register", "tomorrow"}:
            wanted = "已存档" if letter.screening == "note" else "不予受理"
            found_state = (await story.city.standing(letter.receipt))["state"]
            expect(f"standing of {letter.sample['subject']}", wanted, found_state)
    for subject in plan.CORRECTIONS:
        letter = next(one for one in story.letters.values() if one.sample["subject"] == subject)
        view = await story.city.letter(letter.letter_id, letter.mailbox)
        expect(f"corrections of {subject}", [letter.classification], [c["after"] for c in view["corrections"]])
    for subject, names in WITH_FILES.items():
        letter = next(one for one in story.letters.values() if one.sample["subject"] == subject)
        view = await story.city.letter(letter.letter_id, letter.mailbox)
        expect(f"files of {subject}", names, [file["name"] for file in view["attachments"]])
        for file in view["attachments"]:
            content = await story.city.download(letter.letter_id, letter.mailbox, file["id"])
            expect(f"SHA-256 of {file['name']}", hashlib.sha256(FILES[file["name"]]).hexdigest(), file["sha256"])
            expect(f"bytes of {file['name']}", FILES[file["name"]], content)
    kinds = Counter(letter.screening for letter in story.letters.values())
    accepted = sum(map(len, serials.values()))
    example = max(story.where(mailbox="mayor"), key=lambda one: int(one.number_ascii.rpartition("-")[2] or 0))
    return (
        f"登记 {accepted} 封（至 {example.number}），掌握 {kinds['note']} 封，不予受理 {len(plan.DISCARDED)} 封 / "
        f"registered, noted, not accepted; {len(serials)} mailboxes, no number missing"
    )


def _registered_shows(story: Story) -> Callable[[Written], Awaitable[None]]:
    async def shows(letter: Written) -> None:
        expect(f"number under {letter.receipt}", letter.number, (await story.city.standing(letter.receipt))["number"])

    return shows


# ── who may not see what ─────────────────────────────────────────────────────────────────────────────────────────────


async def try_to_pry(story: Story) -> None:
    """Nothing to do beforehand."""


async def secrets_kept(story: Story) -> str:
    """No token 401, another's mailbox 403; a report (举报) is not to be found for the unit that it is about."""
    city = story.city
    path = "/intake/mailboxes/mayor/letters"
    await refused(city.ask("GET", path), 401, "the mayor's mailbox without a token")
    await refused(
        city.ask("GET", path, headers=city.token("education")), 403, "the mayor's mailbox for another's clerk"
    )
    reports = [one for one in story.letters.values() if "reported_mailbox" in one.sample]
    for letter in reports:
        about = letter.sample["reported_mailbox"]
        for place in (f"/intake/letters/{letter.letter_id}", f"/routing/letters/{letter.letter_id}"):
            await refused(city.ask("GET", place, headers=city.token(about)), 404, f"a report about {about} at {place}")
        told = story.listener.all(LetterArrived, lambda m, i=letter.letter_id: m.letter_id == i, f"mailbox.{about}")  # type: ignore[misc]
        expect(f"what {about} was told of a report about it", [], told)
    return f"无令牌 401，越权 403，{len(reports)} 封举报对被举报单位不可见 / 401, 403, reports hidden"


async def read_next_day(story: Story) -> None:
    """On the next morning the letter that was left is read at last (R3.1)."""
    await story.pass_until(at(plan.COLLECTED))
    (letter,) = story.where(screening="tomorrow")
    await eventually("the reading clock", (plan.POSTED, "overdue", True), lambda: _reading_clock(story, letter))
    story.did("read late", letter, at(plan.POSTED))
    await screen_letter(story, letter.key)


async def reading_was_late(story: Story) -> str:
    """Deadline shows the reading clock as overdue, now stopped."""
    (letter,) = story.where(screening="tomorrow")
    await eventually("the reading clock", (plan.POSTED, "stopped", True), lambda: _reading_clock(story, letter))
    return f"{letter.number} 应于 {plan.POSTED} 阅看，次日才阅 / read a day late, and known to be"


async def _reading_clock(story: Story, letter: Written) -> object:
    clocks = await story.city.clocks(letter.letter_id, letter.mailbox)
    (clock,) = [clock for clock in clocks if clock["kind"] == "reading"]
    return clock["last_day"], clock["state"], clock["overdue_since"] is not None
