"""What the README tells others to run works as it stands there: the portal's curl and the unit's system in Python."""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn

from services.application import application
from services.intake.app import build as build_intake
from services.routing.app import build as build_routing
from services.runtime import Service
from shared.contracts.facts import Fact, LetterReceived, LetterRegistered
from shared.contracts.mailbox import ActionDone, ActionRefused
from shared.contracts.types import Actor, Number
from tests.conftest import MONDAY, World, eventually
from tests.served import served

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "contract" / "golden"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _block(heading: str, language: str) -> str:
    """The first block of code under a heading."""
    found = re.search(rf"^## {heading}\n.*?^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert found, f"the README has no {language} under {heading!r}"
    return found[1]


@contextlib.asynccontextmanager
async def listening(*services: Service) -> AsyncIterator[int]:
    """Run services behind a real port; gives the port."""
    app = application(services, services[0].kit)
    async with served(uvicorn.Config(app, port=0, lifespan="on", log_config=None)) as port:
        yield port


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    return output.decode()


async def test_the_portal_s_curl_makes_a_letter(world: World) -> None:
    intake = build_intake(world.kit())
    async with listening(intake) as port:
        command = _block("Plugging in a portal", "sh").replace("127.0.0.1:8101", f"127.0.0.1:{port}")

        async def accepted() -> str:
            answer = await _run("bash", "-c", command)
            assert '"receipt"' in answer, answer
            return answer

        await eventually(accepted)

        async def stored() -> bool:
            return await intake.letters.aggregates.count({"mailbox": "mayor", "stage": "unread"}) == 1

        await eventually(stored)


async def test_the_unit_s_system_collects_and_answers_what_it_is_assigned(world: World, tmp_path: Path) -> None:
    program = tmp_path / "unit.py"
    text = _block("Plugging in a unit's system", "python")
    program.write_text(
        text.replace("127.0.0.1:19092", world.settings.kafka_bootstrap)
        .replace('"mailbox.', f'"{world.namespace}mailbox.')
        .replace('"actions.', f'"{world.namespace}actions.'),
        encoding="utf-8",
    )
    routing = build_routing(world.kit())
    async with world.running(routing) as client:
        await world.publish(*_registered())
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        head = world.token("mayor-head", "mayor", "head")
        slip = {"receiver": "yuzhong", "opinion": "拟交办", "requirements": "请答复", "answer_by": "assignee"}

        async def prepared() -> bool:
            answer = await client.post("/routing/letters/letter-1/slips", json=slip, headers=clerk)
            assert answer.status_code == 200, answer.text
            return True

        await eventually(prepared)
        await client.post("/routing/letters/letter-1/slips/s1/approve", headers=head)
        unit = await asyncio.create_subprocess_exec(
            sys.executable, str(program), stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        try:

            async def finished() -> bool:
                letter = (await client.get("/routing/letters/letter-1", headers=head)).json()
                assert letter["stage"] == "finished", letter
                assert letter["answer"]["text"] == "已修复。"
                return True

            await eventually(finished, 30)

            async def told() -> bool:
                messages = await world.messages("mailbox.yuzhong")
                assert not [message for message in messages if isinstance(message, ActionRefused)]
                done = [message.action for message in messages if isinstance(message, ActionDone)]
                assert done == ["CollectLetter", "SubmitReply", "ApproveReply"]
                return True

            await eventually(told)
        finally:
            unit.terminate()
            shown, _ = await unit.communicate()
    assert "xinxiang.AssignmentArrived.v1 letter-1" in shown.decode()


def _registered() -> list[Fact]:
    """A letter to the mayor's mailbox that waits for its disposition."""
    golden = json.loads((GOLDEN / "xinxiang.LetterReceived.v1.json").read_text(encoding="utf-8"))["value"]
    received = LetterReceived.model_validate({**golden, "letter_id": "letter-1"})
    clerk = Actor(subject="mayor-clerk", mailbox="mayor")
    number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=1)
    return [received, LetterRegistered(letter_id="letter-1", at=MONDAY, by=clerk, number=number)]
