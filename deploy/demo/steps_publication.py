"""Step 6: publication; prepared, reviewed on the four grounds, approved by another person (R9.1)."""

import re
from typing import Any

from deploy.demo import plan
from deploy.demo.city import settled
from deploy.demo.stage import Story, Written, at, eventually, expect
from deploy.demo.steps_letters import all_of, refused

PERSONAL = re.compile(r"[0-9０-９]{7,}|渝[A-Z]\w{5}|我叫|My name")
"""What makes the demonstration's clerks say yes to the question of privacy."""


def answered(story: Story) -> list[Written]:
    """Return the letters whose citizens have an answer."""
    return [letter for letter in story.letters.values() if letter.reply and letter.fate]


def decider(letter: Written) -> str:
    """Return the mailbox that answered, which decides on publication."""
    return letter.mailbox if letter.fate == "assigner" else letter.unit


async def publish_first(story: Story) -> None:
    """What is answered in the first week is decided on that Friday; who prepares may not approve."""
    await _publish(story)


async def publish_second(story: Story) -> None:
    """The rest follows after the festival."""
    await story.pass_until(at(plan.PUBLISHED_SECOND))
    await _publish(story)


async def _publish(story: Story) -> None:
    waiting = [letter for letter in answered(story) if not letter.published]
    tried = {"approving": False}

    async def decide(letter: Written) -> None:
        city, mailbox = story.city, decider(letter)

        async def opened() -> dict[str, Any]:
            return await city.case(letter.letter_id, mailbox)

        case = await settled(opened)
        if not letter.sample["publication_consent"]:

            async def status() -> object:
                return (await opened())["status"]

            await eventually(f"{letter.number}, without consent", "withheld", status)
            await _withheld(story, letter, "consent", (await opened())["withheld"]["at"])
            return
        text = (case["original"]["subject"], case["original"]["body"], case["original"]["answer"])
        private = bool(PERSONAL.search("\n".join(text)))
        prepared = await city.prepare_publication(letter.letter_id, mailbox, *text, ["privacy"] if private else [])
        text_hash = prepared["prepared"]["text_hash"]
        if private:
            decided = await city.withhold(letter.letter_id, mailbox)
            await _withheld(story, letter, "privacy", decided["withheld"]["at"])
            return
        if not tried["approving"]:
            tried["approving"] = True
            both = city.token_of(city.person(mailbox)[0], mailbox, "clerk", "head")
            path = f"/publication/cases/{letter.letter_id}/approve"
            own = city.ask("POST", path, headers=both, body={"text_hash": text_hash})
            expect(
                "rule of approving one's own text", "R9.1", (await refused(own, 403, "approving one's own text")).rule
            )
        decided = await city.approve_publication(letter.letter_id, mailbox, text_hash)
        story.did("published", story.letter(letter.key, published="published"), decided["published"]["at"])

    await all_of(waiting, decide, "公示审查 reviewed")


async def _withheld(story: Story, letter: Written, why: str, moment: str) -> None:
    story.did("withheld", story.letter(letter.key, published=why), moment)


async def published_so_far(story: Story) -> str:
    """What was approved is public, as a list and as a page each; what was withheld is not to be found."""
    public = {letter.number_ascii: letter for letter in story.letters.values() if letter.published == "published"}

    async def listed() -> object:
        return sorted(line["number"] for line in await story.city.published())

    await eventually("numbers in the public list", sorted(public), listed)

    async def shows(letter: Written) -> None:
        page = await story.city.published_letter(letter.number_ascii)
        expect(
            f"public text of {letter.number}",
            (letter.sample["subject"], letter.reply),
            (page["subject"], page["reply"]),
        )

    await all_of(public.values(), shows, "公开页 pages")
    example = next(iter(public.values()))
    html = await story.city.page(f"/public/letters/{example.number_ascii}")
    expect(
        f"page of {example.number} has its number and subject",
        True,
        example.number in html and example.sample["subject"] in html,
    )
    withheld = [one for one in story.letters.values() if one.published not in ("", "published")]
    for letter in withheld:
        path = f"/public/letters/{letter.number_ascii}.json"
        await refused(story.city.ask("GET", path), 404, f"the withheld letter {letter.number}")
    sender = example.sample["sender"]["name"]
    expect(f"the citizen's name on the page of {example.number}", False, f">{sender}<" in html)

    async def last_line() -> object:
        return (await story.city.standing(example.receipt))["history"][-1]["text"]

    await eventually(f"last line under {example.receipt}", "来信和答复已公开", last_line)
    return f"公开 {len(public)} 封，不公开 {len(withheld)} 封（未经同意、隐私） / published, withheld"
