"""Pages of bulletins and statistics in a real browser, in every state: WCAG 2.2 AA, phones, dark mode, print, keyboard (R11.2, R10.4)."""

from collections.abc import Sequence

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser

from tests import bulletins
from tests.browser import LOOKS, Scene, findings, first_view, origin
from tests.paper_desk import desk

MOST_BYTES = 100_000
WEEK, NEXT, LONG, FIRST = (f"weekly-mayor-2026-W0{number}" for number in (7, 8, 6, 1))
ISSUES = [
    bulletins.full(),
    bulletins.preview().model_copy(update={"id": NEXT}),
    bulletins.crowded().model_copy(update={"id": LONG}),
    bulletins.empty().model_copy(update={"id": FIRST}),
]
# What only differs in what it says is looked at once, on a phone.
BUSY = [
    Scene("bulletins", "/bulletins", "〔2026〕第7期"),
    Scene("bulletin", f"/bulletins/{WEEK}", "共收到来信128件"),
    Scene("bulletin-preview", f"/bulletins/{NEXT}", "尚未印发", looks=LOOKS[:1]),
    Scene("bulletin-crowded", f"/bulletins/{LONG}", "第196区人民政府", looks=LOOKS[:1]),
    Scene("bulletin-empty", f"/bulletins/{FIRST}", "没有收到来信", looks=LOOKS[1:2]),
    Scene("statistics", "/statistics", "水电气讯"),
    Scene("statistics-year", "/statistics?year=2026", "2026-01", looks=LOOKS[1:2]),
]
EMPTY = [
    Scene("bulletins-none", "/bulletins", "还没有印发的通报", looks=LOOKS[1:2]),
    Scene("statistics-none", "/statistics", "这一期间还没有来信", looks=LOOKS[:1]),
]


@pytest.mark.parametrize(
    ("app", "scenes"), [(desk(ISSUES), BUSY), (desk([], {}), EMPTY)], ids=["a busy city", "an empty city"]
)
async def test_bulletins_and_statistics_can_be_used_by_everybody(
    app: FastAPI, scenes: Sequence[Scene], browser: Browser
) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://paper") as client, origin(client) as base:
        wrong = await findings(browser, base, scenes)
        for scene in scenes:
            view = await first_view(browser, base + scene.path)
            if view.bytes > MOST_BYTES and scene.path != f"/bulletins/{LONG}":
                wrong.append(f"{scene.name}: {view.bytes} bytes at first sight")
    assert not wrong, "\n".join(wrong)
