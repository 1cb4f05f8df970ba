"""How many letters a second get their redactions proposed (R9.1): subject, letter and answer together, one process, one core, no store.

Counted in CPU time: the sample letters with a line of personal data of a kind each, and every tenth as long as the longest that are taken.
"""

import json
import time
from pathlib import Path

from services.publication.redaction import Kind, redactor
from services.settings import REDACTION
from tests.bench.mail import samples
from tests.bench.results import Result, check, percentile
from tests.bench.town import Town

AIM = 200.0
ROUNDS = 5
LONGEST = 5_000
PERSONAL = (
    "\n我叫王丽华，电话139 0000 1234，住人民路12号3幢2单元15-4。",
    "\n身份证11010519491231002X，老伴李建国，户号62001884。",
    "\n车牌渝AD12345，微信wang-lihua88，邮箱wanglihua@163.com。",
)
REPLIES = Path("deploy/sample/replies.jsonl")


async def measure(town: Town) -> list[Result]:
    """Measure; what was found is counted."""
    propose = redactor(REDACTION).propose
    letters = _letters()
    propose(letters[0])
    taken, kinds = [], dict.fromkeys(Kind, 0)
    for _ in range(ROUNDS):
        for letter in letters:
            began = time.process_time()
            found = propose(letter, by_office=(2,))
            taken.append(time.process_time() - began)
            for text in found:
                for mark in text.marks:
                    kinds[mark.kind] += 1
            check("where the name in the answer is marked", found[2].marks[0].start, 0)
    characters = sum(len(text) for letter in letters for text in letter)
    return [
        Result(
            "redaction proposals",
            len(taken) / sum(taken),
            "letters/s",
            AIM,
            "higher",
            beside={
                "letters": len(taken),
                "characters a letter": characters / len(letters),
                "p50 ms": percentile(taken, 0.5) * 1000,
                "p99 ms": percentile(taken, 0.99) * 1000,
                "marks": {kind.value: count for kind, count in kinds.items() if count},
            },
            note="one core; what limits it: looking at each surname in the text, in Python",
        )
    ]


def _letters() -> list[tuple[str, str, str]]:
    answers = [json.loads(line)["text"] for line in REPLIES.read_text(encoding="utf-8").splitlines()]
    letters = []
    for place, letter in enumerate(samples()):
        body = letter["body"] + PERSONAL[place % len(PERSONAL)]
        if place % 10 == 0:
            body = (body * (LONGEST // len(body) + 1))[:LONGEST]
        letters.append((letter["subject"], body, f"王丽华女士：{answers[place % len(answers)]}"))
    return letters
