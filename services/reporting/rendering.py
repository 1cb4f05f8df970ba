"""A bulletin as PDF and XLSX (R11.2, R11.3). Pure: the same issued bulletin gives the same bytes."""

from datetime import UTC, datetime, time
from typing import Any, Final

from services.reporting.bulletin import Section, Table, Value, sections, shown, title
from services.reporting.charts import Chart, svg
from services.reporting.figures import BY_CODE
from services.reporting.issue_view import IssueView
from services.reporting.wording import WORDS, days
from shared.printing.fonts import FAMILY
from shared.printing.press import Press, qr_svg
from shared.printing.registers import Column
from shared.printing.sheet import Sheet, workbook_of
from shared.printing.text import printable
from shared.web.languages import shanghai_date

_MILLIMETRES: Final = 14
"""Of a sheet's column, for each part of a table's width."""


def pdf(press: Press, issue: IssueView, link: str) -> bytes:
    """Return a bulletin laid out as an official one; `link` is its page's address, which the code at its end leads to; empty: none.

    Takes a second or two: go through `press.long`.

    Raises:
        CannotPrint: there are no fonts.
    """
    covered = press.type().covered

    def block(part: Chart | Table) -> dict[str, Any]:
        if isinstance(part, Table):
            return _table(part)
        drawn = svg(part, font=FAMILY, show=lambda text: printable(text, covered).replace("\u200b", ""))
        return {"kind": "chart", "svg": drawn, "alt": f"{part.title}：{part.description}", "title": part.title}

    data = {
        "title": title(issue),
        "number": issue.number_text,
        "issuer": issue.issuer,
        "date": shanghai_date(issue.issued_at) if issue.issued_at else "预览",
        "subject": f"{issue.name}{WORDS[issue.series].now}工作情况",
        "about": f"（{days(issue.first_day, issue.last_day)}）",
        "sections": [
            {
                "title": section.title,
                "paragraphs": section.paragraphs,
                "blocks": [block(part) for part in section.parts],
            }
            for section in sections(issue)
        ],
        "annex": {"title": "附：统计口径", "lines": meanings(issue)},
        "distribution": [
            (label, "，".join(names))
            for label, names in (("主送", issue.main_recipients), ("抄送", issue.copied_to))
            if names
        ],
        "printed": f"{issue.issuer}　" + (f"{shanghai_date(issue.issued_at)}印发" if issue.issued_at else "尚未印发"),
        "copies": "（共印　　份）" if issue.issued_at else "",
        "small": small_print(issue, link),
        "qr": qr_svg(link) if issue.issued_at and link else "",
        "link": link,
    }
    return press.render("bulletin", data, made_at(issue))


def xlsx(issue: IssueView) -> bytes:
    """Return a bulletin's tables as a workbook: one sheet that says what it is, then one for each table."""
    about = (f"{title(issue)}{issue.number_text}", days(issue.first_day, issue.last_day))
    whole = sections(issue)
    first = Sheet("概况", about, (Column("项目", 40), Column("内容", 160)), _cover(issue, whole))
    tables = [table for section in whole for table in section.tables]
    sheets = [
        Sheet(
            table.name,
            (*about, table.name),
            [
                # What times stand in tables are limits (`bulletin.shown`).
                Column(head, max(width * _MILLIMETRES, 10 + 4 * len(head)), deadline=True)
                for head, width in zip(table.heads, table.widths, strict=True)
            ],
            table.rows,
            table.total,
        )
        for table in (*tables, _curve(issue), *_breakdowns(issue))
        if table.rows
    ]
    return workbook_of([first, *sheets], made_at(issue))


def meanings(issue: IssueView) -> list[str]:
    """Return what each figure counts, a line each."""
    labels = {
        **{code: figure.label for code, figure in BY_CODE.items()},
        **{one.figure: one.label for one in issue.comparisons},
    }
    return [f"{labels.get(code, code)}：{meaning}。" for code, meaning in issue.definitions.items()]


def small_print(issue: IssueView, link: str) -> list[str]:
    """Return what is needed to check that a copy is the issued one."""
    if issue.hash is None:
        return ["本文为预览，尚未印发，数字仍会变动。"]
    return [f"编号 {issue.id}", f"SHA-256 {issue.hash}", *([f"核对：{link}"] if link else [])]


def made_at(issue: IssueView) -> datetime:
    """Return the time that stands in the files: that of issue; of a preview, the beginning of its last day."""
    return issue.issued_at or datetime.combine(issue.last_day, time(), UTC)


def _table(table: Table) -> dict[str, Any]:
    return {
        "kind": "table",
        "title": table.name,
        "heads": table.heads,
        "widths": table.widths,
        "rows": [[shown(value) for value in row] for row in table.rows],
        "numbers": table.numbers,
        "total": table.total,
    }


def _cover(issue: IssueView, whole: list[Section]) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = [
        ("名称", title(issue)),
        ("期号", issue.number_text),
        ("编号", issue.id),
        ("信箱", issue.name),
        ("印发单位", issue.issuer),
        ("起", issue.first_day),
        ("止", issue.last_day),
        ("印发时间", issue.issued_at),
        ("SHA-256", issue.hash),
    ]
    rows += [(section.title, paragraph) for section in whole for paragraph in section.paragraphs]
    rows += [("主送", "，".join(issue.main_recipients)), ("抄送", "，".join(issue.copied_to))]
    return rows + [("统计口径", line) for line in meanings(issue)]


def _curve(issue: IssueView) -> Table:
    rows = tuple(
        (p.period, p.first_day, p.received, p.answered, p.assigned, p.answered_in_time, p.answered_late)
        for p in issue.curve
    )
    heads = ("期间", "起始日", "收到来信", "答复来信人", "交办", "按时回复", "逾期回复")
    return Table("走势", heads, rows, (2, 2, 1.5, 1.5, 1.5, 1.5, 1.5))


def _breakdowns(issue: IssueView) -> list[Table]:
    figures = issue.figures
    parts = (
        ("全部领域", "领域", figures.domains),
        ("全部地区", "地区", figures.regions),
        ("不予受理原因", "原因", figures.discard_reasons),
    )
    return [
        Table(
            name,
            (head, "代码", "件数"),
            tuple((one.label, one.code, one.count) for one in found if one.count),
            (4, 3, 1.2),
        )
        for name, head, found in parts
    ]
