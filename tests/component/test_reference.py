"""`/docs`, the HTTP interface to read and to try, in a browser: it works where nothing else can be reached."""

from playwright.async_api import Browser

from services.intake.app import build
from tests.browser import Look, opened, origin, picture
from tests.conftest import World


async def test_the_interface_can_be_read_in_a_closed_network(world: World, browser: Browser) -> None:
    async with world.running(build(world.kit())) as client, origin(client) as base, opened(browser, Look()) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(base + "/docs")
        post = page.locator("#swagger-ui .opblock-post", has_text="/intake/letters").first
        await post.click()
        await post.locator(".opblock-body").get_by_text("Idempotency-Key").first.wait_for()
        await picture(page, "docs")
        assert all(url.startswith((base, "data:")) for url in asked), asked
