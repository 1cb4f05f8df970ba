"""Open data: published letters by month of publication, as CSV and JSON lines, with a dictionary and a licence (R9.2)."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from starlette.responses import HTMLResponse, Response, StreamingResponse

from services.publication.open_data import (
    DataIndex,
    Dictionary,
    Licence,
    Month,
    bounds,
    csv_head,
    csv_line,
    json_line,
    row,
)
from services.publication.questions import MONTH
from services.publication.site import Letters
from shared.storage import StoreUnavailable, place
from shared.web.documented import file_of
from shared.web.languages import Lang, language_of
from shared.web.problems import Problem, ServiceUnavailable

BATCH = 200
"""Letters read and sent at a time."""
_TYPES = {"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/x-ndjson; charset=utf-8"}

Suffix = Annotated[Literal["csv", "jsonl"], Path(description="`csv` or `jsonl`.")]


def router(letters: Letters, licence: Licence, lasts: Mapping[str, str]) -> APIRouter:
    """Return the endpoints; `lasts` says how long an answer may be kept."""
    routes = APIRouter(prefix="/public", tags=["public"])

    async def index() -> DataIndex:
        months = sorted((await letters.search.counts()).get("published", {}).items(), reverse=True)
        return DataIndex(
            licence=licence,
            total=sum(count for _, count in months),
            months=[
                Month(month=month, count=count, csv=f"/public/data/{month}.csv", jsonl=f"/public/data/{month}.jsonl")
                for month, count in months
            ],
        )

    @routes.get("/data.json", response_model=DataIndex, summary="Open data: which months there are (R9.2)")
    async def data_json() -> Response:
        """List the months of publication with how many letters each has, and the licence."""
        return Response((await index()).model_dump_json(), 200, {**lasts}, "application/json")

    @routes.get("/data", response_class=HTMLResponse, summary="Open data, a page (R9.2)")
    async def data(lang: Lang = "") -> Response:
        """Say what there is, what the fields mean, and what may be done with it."""
        language = language_of(lang)
        try:
            content = await index()
        except StoreUnavailable:
            return letters.problem(ServiceUnavailable("the document store"), language)
        except Problem as error:
            return letters.problem(error, language)
        return letters.pages.render(
            "data.html", language=language, headers=lasts, content=content, dictionary=Dictionary(licence=licence)
        )

    @routes.get("/data/dictionary.json", response_model=Dictionary, summary="The data dictionary (R9.2)")
    async def dictionary() -> Response:
        """Say what each field of the files means, in Chinese and English."""
        return Response(Dictionary(licence=licence).model_dump_json(), 200, {**lasts}, "application/json")

    @routes.get(
        "/data/{month}.{suffix}",
        response_class=Response,
        responses=file_of(*_TYPES.values()),
        summary="The letters of a month (R9.2)",
    )
    async def of_month(month: str, suffix: Suffix) -> Response:
        """Send the letters published in a month (Asia/Shanghai), newest first; a month without letters is an empty file."""
        if not MONTH.fullmatch(month):
            raise Problem(
                404,
                "没有这个月份的数据 / No data of this month",
                "月份应如 2026-03；有哪些月份见 /public/data。 / Months are written like 2026-03; /public/data lists those there are.",
                slug="no-such-month",
                rule="R9.2",
            )
        since, before = (place(moment, "") for moment in bounds(month))
        # The first letters are read before the answer begins: a store that is away is a 503, not half a file.
        first = await letters.site.between(since, before, BATCH)

        async def lines() -> AsyncIterator[str]:
            if suffix == "csv":
                yield csv_head()
            found, after = first
            while True:
                rows = (row(letters.names.page(letter), licence) for letter in found)
                yield "".join(csv_line(one) if suffix == "csv" else json_line(one) for one in rows)
                if after is None:
                    return
                found, after = await letters.site.between(since, after, BATCH)

        headers = {**lasts, "Content-Disposition": f'attachment; filename="letters-{month}.{suffix}"'}
        if licence.address:
            headers["Link"] = f'<{licence.address}>; rel="license"'
        return StreamingResponse(lines(), headers=headers, media_type=_TYPES[suffix])

    return routes
