"""Every page in every state, in a real browser: WCAG 2.2 AA, phones, dark mode, print, the keyboard (issue of all public pages).

`tests/browser.py` says how to add a page.
"""

import pytest
from playwright.async_api import Browser

from tests import pages_publication
from tests.browser import Stage, findings, origin
from tests.conftest import World

STAGES = (
    pages_publication.EMPTY,
    pages_publication.FULL,
)
"""What is played; a service with pages adds its own."""


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
async def test_every_page_can_be_used_by_everybody(stage: Stage, world: World, browser: Browser) -> None:
    async with world.running(*stage.services(world)) as client:
        await stage.happened(world, client)
        async with origin(client) as base:
            wrong = [line for scene in stage.scenes for line in await findings(browser, base, scene)]
    assert not wrong, "\n".join(wrong)
