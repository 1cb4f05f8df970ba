"""Routes of the register 处理情况登记表 (附表9, R10.3): as a page, on paper and as a spreadsheet."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path as Folder
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from services.routing import register, rights
from services.routing.access import is_kept_from
from services.routing.asking import CITY, Dated, Filters, query_of
from services.routing.desk import who_of
from services.routing.listing import Listing, Sort
from services.routing.repository import ListName
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.printing.press import Press
from shared.printing.registers import Register, print_register
from shared.printing.sheet import MEDIA_TYPE, workbook
from shared.security.rights import Relation
from shared.security.tokens import Authenticated, Caller
from shared.web.templates import Pages

FOLDER: Final = Folder(__file__).parent / "pages"


class Kind(StrEnum):
    """What a register is made as."""

    HTML = "html"
    PDF = "pdf"
    XLSX = "xlsx"


FORMATS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "text/html": {"schema": {"type": "string"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
        },
        "description": "登记表 the register",
    }
}
Asked = Annotated[Filters, Depends()]


def add(router: APIRouter, listing: Listing, tree: Directory, press: Press, clock: Callable[[], datetime]) -> None:
    """Add the routes."""
    pages = Pages(FOLDER, now=clock)

    async def made(caller: Caller, mailbox: str, kind: Kind, filters: Filters, request: Request) -> Response:
        """Make a register: without other wishes of the letters registered in the period, in the order of their registration."""
        dated = filters.dated or Dated.REGISTERED
        wanted = replace(filters, dated=dated, sort=filters.sort or Sort(dated.value), order=filters.order or "asc")
        query = query_of(wanted, ListName.ALL, mailbox, tree)
        now = clock()
        found = await register.lines(
            listing, query, tree, now, lambda letter: is_kept_from(letter, who_of(caller), tree)
        )
        name = register.file_name(query, filters.since, filters.until, kind.value)
        headers = {"Cache-Control": "private, no-store", "Content-Disposition": f'inline; filename="{name}"'}
        if kind is Kind.PDF:
            texts = list(found.texts())
            paper = Register(register.TITLE, register.NAME, found.about, register.COLUMNS, texts)
            content = await press.long.take(partial(print_register, press, paper, now))
            return Response(content, media_type="application/pdf", headers=headers)
        if kind is Kind.XLSX:
            about = (register.TITLE, *found.about)
            work = partial(workbook, "处理情况登记表", about, register.COLUMNS, found.cells, now)
            return Response(await press.long.take(work), media_type=MEDIA_TYPE, headers=headers)
        page = partial(
            pages.text,
            "register.html",
            title=register.TITLE,
            name=register.NAME,
            about=found.about,
            columns=register.COLUMNS,
            lines=found.texts(),
            path=request.url.path.removesuffix(".html"),
            asked=f"?{request.url.query}" if request.url.query else "",
        )
        return Response(await press.long.take(page), media_type="text/html", headers=headers)

    @router.get(
        "/mailboxes/{code}/register.{kind}",
        response_class=Response,
        responses=FORMATS,
        summary="处理情况登记表 The register of a mailbox (附表9, R10.3)",
    )
    async def of_mailbox(
        caller: Authenticated,
        code: Annotated[str, Path(max_length=80)],
        kind: Kind,
        filters: Asked,
        request: Request,
    ) -> Response:
        """For staff and systems of the mailbox and the duty office: letters that belong to it or were handed to it."""
        rights.REGISTER.check(caller, {Relation.NAMED: (code,)})
        if code not in tree:
            raise NotFound("R2.1", "名录中没有这个信箱 / The directory has no such mailbox")
        return await made(caller, code, kind, filters, request)

    @router.get(
        "/register.{kind}",
        response_class=Response,
        responses=FORMATS,
        summary="全市处理情况登记表 The register of the city (附表9, R10.3)",
    )
    async def of_city(caller: Authenticated, kind: Kind, filters: Asked, request: Request) -> Response:
        """For the duty office: letters of all mailboxes."""
        rights.CITY_REGISTER.check(caller, {})
        return await made(caller, CITY, kind, filters, request)
