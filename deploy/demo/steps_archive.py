"""Step 8: what is kept (R10.1–R10.3) and what goes on paper (R4.6): lists over all letters, histories, a slip and the register."""

from typing import Final

import httpx

from deploy.demo import plan
from deploy.demo.city import Refused
from deploy.demo.stage import NotSeen, Story, eventually, expect

KEPT: Final = frozenset({"register", "note", "tomorrow"})
"""What clerks did with letters that stay: all but those they did not accept."""
START: Final = "0" * 64
"""What the first entry of a history names as the one before it."""


async def file(story: Story) -> None:
    """Nothing to do: everything was recorded as it happened."""


async def filed(story: Story) -> str:
    """The mayor's list has every letter once, their histories are unbroken, a slip and the register print."""
    duty = story.city.token("mayor", "duty_officer")
    own = [letter for letter in story.letters.values() if letter.mailbox == "mayor"]
    wanted = sorted(letter.letter_id for letter in own if letter.screening in KEPT)

    async def listed() -> list[str]:
        rows = await story.city.pages("/routing/mailboxes/mayor/letters", duty, list="all", limit=100)
        return sorted(row["letter_id"] for row in rows)

    await eventually("letters in the mayor's list of all", wanted, listed)
    numbered = [letter for letter in own if letter.number]
    entries = sum([await _unbroken(story, letter.letter_id) for letter in numbered])
    days = {"from": plan.POSTED, "to": plan.COUNTED}
    page = await story.city.ask("GET", "/routing/mailboxes/mayor/register.html", headers=duty, params=days)
    missing = [letter.number for letter in numbered if letter.number not in page.text]
    expect("numbers that the register lacks", [], missing)
    assigned = next(letter for letter in numbered if letter.handoff_id)
    paper = await _printed(story, f"/routing/letters/{assigned.letter_id}/slips/{assigned.handoff_id}.pdf")
    return (
        f"{len(wanted)} 封在列，{len(numbered)} 封的留痕 {entries} 条环环相扣，登记表齐全；交办单{paper[0]} / "
        f"all listed, histories unbroken, the register complete; {paper[1]}"
    )


async def _unbroken(story: Story, letter_id: str) -> int:
    """Return how many entries a history has; each must name the hash of the one before it (R10.1)."""
    last, entries = START, 0
    items = await story.city.pages(f"/routing/letters/{letter_id}/history", story.city.token("mayor"), limit=100)
    for entry in items:
        if entry["previous"] != last:
            raise NotSeen(
                f"entry {entry['n']} of the history of {letter_id}: the hash before it", last, entry["previous"]
            )
        last, entries = entry["hash"], entries + 1
    if not entries:
        raise NotSeen(f"the history of {letter_id}", "entries", items)
    return entries


async def _printed(story: Story, path: str) -> tuple[str, str]:
    """Return in words how a slip came out on paper; a host that fonts cannot be fetched on prints none, and says so (R4.6)."""
    try:
        paper = await story.city.ask("GET", path, headers=story.city.token("mayor"))
    except Refused as refused:
        if refused.status != httpx.codes.SERVICE_UNAVAILABLE:
            raise
        return "未打印（缺中文字体）", "no slip printed, for want of Chinese fonts"
    expect("the slip is a PDF", b"%PDF", paper.content[:4])
    return "可打印", "a slip prints"
