"""What a bulletin costs on paper, as a workbook and as a page, and what readers of the statistics page cost; no engine has a part in it."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import httpx

from services.reporting.issue_view import IssueView
from services.reporting.rendering import pdf, xlsx
from tests import bulletins
from tests.bench.results import Result, check, percentile
from tests.bench.town import Town
from tests.paper import press, reader
from tests.paper_desk import desk

AIM_SECONDS = 3.0
TIMES = 20
READERS = 200
LINK = "https://mail.city.test/bulletins/weekly-mayor-2026-W07"


def others(issue: IssueView, count: int) -> list[IssueView]:
    """Return bulletins that differ, so that nothing laid out for one serves the next."""
    numbers = [line.model_copy(update={"assigned": line.assigned + 1}) for line in issue.units]
    return [
        issue.model_copy(
            update={
                "serial": serial,
                "hash": f"{serial:064x}",
                "issued_at": bulletins.ISSUED + timedelta(weeks=serial),
                "units": numbers[serial:] + numbers[:serial],
            }
        )
        for serial in range(1, count + 1)
    ]


def _seconds(make: Callable[[IssueView], bytes], issues: Sequence[IssueView]) -> list[float]:
    taken = []
    for issue in issues:
        began = time.perf_counter()
        made = make(issue)
        taken.append(time.perf_counter() - began)
        check("an empty file", bool(made), True)
    return taken


async def measure(_: Town) -> list[Result]:
    """Make bulletins one after the other in this process, then ask for pages over the service's own routes."""
    printer = press()
    full, crowded = bulletins.full(), bulletins.crowded()
    (first,) = _seconds(lambda issue: pdf(printer, issue, LINK), [full])
    papers = _seconds(lambda issue: pdf(printer, issue, LINK), others(full, TIMES))
    long_ones = _seconds(lambda issue: pdf(printer, issue, LINK), others(crowded, 5))
    sheets = len(reader(pdf(printer, crowded, LINK)).pages)
    books = _seconds(xlsx, others(full, TIMES))
    issues = others(full, TIMES)
    named = [issue.model_copy(update={"id": f"weekly-mayor-{2000 + place}-W07"}) for place, issue in enumerate(issues)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(desk(named)), base_url="http://paper") as client:
        pages = [(await _asked(client, f"/bulletins/{issue.id}", 1))[0] for issue in named]
        again = await _asked(client, f"/bulletins/{named[-1].id}", READERS)
        statistics = await _asked(client, "/statistics", READERS)
    return [
        Result(
            "a bulletin as PDF, the slowest",
            round(max(first, *papers, *long_ones), 3),
            "s",
            AIM_SECONDS,
            "lower",
            {
                "the first, fonts and charts being loaded": round(first, 3),
                "p50 of a usual one": round(percentile(papers, 0.5), 3),
                f"of 200 units, {sheets} pages": round(max(long_ones), 3),
            },
            "nearly all of it is typst laying out",
        ),
        Result("a bulletin as XLSX, p50", round(percentile(books, 0.5) * 1000, 1), "ms", None, "lower"),
        Result(
            "a bulletin as page, p50",
            round(percentile(pages, 0.5) * 1000, 1),
            "ms",
            None,
            "lower",
            {"asked for again": round(percentile(again, 0.5) * 1000, 1)},
        ),
        Result(
            "the statistics page, p50",
            round(percentile(statistics, 0.5) * 1000, 1),
            "ms",
            None,
            "lower",
            {"p99": round(percentile(statistics, 0.99) * 1000, 1)},
            "months are read and charts drawn at most once a minute; the rest is HTTP",
        ),
    ]


async def _asked(client: httpx.AsyncClient, path: str, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        answer = await client.get(path)
        taken.append(time.perf_counter() - began)
        check(path, answer.status_code, 200)
    return taken
