"""Every page in every state, in a real browser: WCAG 2.2 AA, phones, dark mode, print, the keyboard.

`tests/browser.py` says how to add a page.
"""

import pytest
from playwright.async_api import Browser

from tests import pages_intake, pages_publication
from tests.browser import Stage, findings, first_view, origin
from tests.conftest import World

MOST_BYTES = 100_000
MOST_REQUESTS = 6
STAGES = (
    pages_publication.EMPTY,
    pages_publication.FULL,
    pages_intake.WRITE,
    pages_intake.FLOOD,
    pages_intake.FOLLOW,
)
"""What is played; a service with pages adds its own."""


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
async def test_every_page_can_be_used_by_everybody(stage: Stage, world: World, browser: Browser) -> None:
    async with world.running(*stage.services(world)) as client:
        await stage.happened(world, client)
        async with origin(client) as base:
            wrong = await findings(browser, base, stage.scenes)
            for scene in stage.scenes:
                if scene.then is None:
                    view = await first_view(browser, base + scene.path)
                    if view.bytes > MOST_BYTES or view.requests > MOST_REQUESTS:
                        wrong.append(f"{scene.name}: {view.bytes} bytes in {view.requests} requests at first sight")
    assert not wrong, "\n".join(wrong)
