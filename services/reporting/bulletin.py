"""What stands in a bulletin (R11.2, R11.3): sections of sentences, tables and charts, the same for page, PDF and XLSX.

Everything follows from the issued bulletin alone, so the same one always reads the same. The text is Chinese: the document is an official
one. What stands around it on a page is not part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from services.reporting.charts import Chart, Shape
from services.reporting.issue_view import Comparison, Hot, IssueView, Series
from services.reporting.wording import WORDS, Words, compared, days, listed, names, number, numeral, percent
from shared.calendar.zone import SHANGHAI
from shared.printing.sheet import Share

Value = str | int | float | date | datetime | None
NOTHING: Final = "—"
IN_A_CHART: Final = 15
"""So many lines are drawn; the table has all."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose values keep their types: whole numbers, shares (`Share`), days, limits (aware times), texts; None is not known."""

    name: str
    """Also the name of its sheet."""
    heads: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    widths: tuple[float, ...]
    """How wide columns are beside each other."""
    total: bool = False
    """Whether the last row adds up the others."""

    @property
    def numbers(self) -> tuple[bool, ...]:
        """Whether each column holds numbers, which stand at its right."""
        return tuple(any(isinstance(value, int | float) for value in column) for column in zip(*self.rows, strict=True))


@dataclass(frozen=True, slots=True)
class Section:
    """One numbered section."""

    title: str
    paragraphs: tuple[str, ...]
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def parts(self) -> list[Chart | Table]:
        """Its charts, then its tables: those that have something in them."""
        return [
            *(chart for chart in self.charts if not chart.is_empty),
            *(table for table in self.tables if table.rows),
        ]


def sections(issue: IssueView) -> list[Section]:
    """Return the sections of a bulletin, those that it has something for."""
    words = WORDS[issue.series]
    figures = {one.figure: one for one in issue.comparisons}
    made = [
        _overview(issue, words, figures),
        _natures(issue, words),
        _hot(issue, words),
        _handling(issue, words, figures),
        _undertaken(issue, words, figures),
        _units(issue, words, figures),
        _overdue(issue, words, figures),
        _public(words, figures),
        _corrections(issue),
    ]
    found = [section for section in made if section is not None]
    return [
        Section(f"{numeral(place)}、{one.title}", one.paragraphs, one.charts, one.tables)
        for place, one in enumerate(found, start=1)
    ]


def shown(value: Value) -> str:
    """Return a value of a table as it is read."""
    if value is None:
        return NOTHING
    if isinstance(value, Share):
        return percent(value)
    if isinstance(value, datetime):
        local = value.astimezone(SHANGHAI)
        if local.time() == time.min:  # a limit is the end of the day that it closes (R6.1)
            return f"{local.date() - timedelta(days=1)} 24:00"
        return f"{local:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    return number(value) if isinstance(value, int | float) else value


def title(issue: IssueView) -> str:
    """Return what stands in red at its head: a unit's report begins with the unit's name."""
    return issue.title if not _is_units(issue) or issue.title.startswith(issue.name) else f"{issue.name}{issue.title}"


def file_name(issue: IssueView, kind: str) -> str:
    """Return a name for a copy of it, in ASCII: its id."""
    return f"{issue.id}.{kind}"


def _overview(issue: IssueView, words: Words, figures: dict[str, Comparison]) -> Section:
    span = days(issue.first_day, issue.last_day)
    received = figures.get("received")
    if received is None or not received.now:
        told = compared(received, words).partition("，")[2] if received else ""
        text = f"{words.now}（{span}），{issue.name}没有收到来信" + (f"，{told}" if told else "") + "。"
    else:
        text = f"{words.now}（{span}），{issue.name}共收到来信{compared(received, words)}。"
    for code, verb in (("registered", "登记受理"), ("noted", "掌握"), ("discarded", "不予受理")):
        if (one := figures.get(code)) is not None and one.now:
            text += f"{verb}{compared(one, words)}。"
    if (late := figures.get("read_late")) is not None and late.now is not None:
        text += f"未按日积日清要求阅看{compared(late, words)}。" if late.now else "来信均按日积日清要求阅看。"
    heads = ["项目", words.now]
    columns: list[list[Value]] = [
        [f"{one.label}（{one.unit}）" for one in issue.comparisons],
        [_of(one.now) for one in issue.comparisons],
    ]
    if issue.before is not None:
        heads += [words.before, "增减"]
        columns += [
            [_of(one.before) for one in issue.comparisons],
            [_less(one.now, one.before) for one in issue.comparisons],
        ]
    if issue.year_before is not None and words.year_before != words.before:
        heads += [words.year_before, "同比增减"]
        columns += [
            [_of(one.year_before) for one in issue.comparisons],
            [_less(one.now, one.year_before) for one in issue.comparisons],
        ]
    rows = tuple(zip(*columns, strict=True))
    table = Table("主要指标", tuple(heads), rows, (3.2, *[1.2] * (len(heads) - 1)))
    return Section("来信概况", (text,), (_curve(issue),) if len(issue.curve) > 1 else (), (table,) if rows else ())


def _of(value: float | None) -> Value:
    if value is None:
        return None
    return int(value) if float(value).is_integer() else round(value, 1)


def _less(now: float | None, before: float | None) -> Value:
    return None if now is None or before is None else _of(round(now - before, 1))


def _curve(issue: IssueView) -> Chart:
    labels = tuple(_short_period(point.period, issue.series) for point in issue.curve)
    return Chart(
        "curve",
        f"近{len(issue.curve)}{_PERIODS[issue.series]}收到和答复来信",
        Shape.COLUMNS,
        labels,
        (
            ("收到来信", tuple(point.received for point in issue.curve)),
            ("答复来信人", tuple(point.answered for point in issue.curve)),
        ),
    )


_PERIODS: Final = {Series.WEEKLY: "周", Series.MONTHLY: "个月", Series.QUARTERLY: "个季度", Series.YEARLY: "年"}


def _short_period(period: str, series: Series) -> str:
    """Return a period as it has room under a drawing: `7` of a week or month, `26Q1`, `2026`."""
    year, _, part = period.partition("-")
    if series in {Series.WEEKLY, Series.MONTHLY} and part.lstrip("W").isdigit():
        return str(int(part.lstrip("W")))
    return f"{year[2:]}{part}" if part else year


def _natures(issue: IssueView, words: Words) -> Section:
    whole = sum(part.count for part in issue.natures)
    text = (
        f"按性质分，{listed(((part.label, part.count) for part in issue.natures), whole)}。"
        if whole
        else f"{words.now}没有收到来信。"
    )
    earlier = {part.code: part.count for part in issue.before.natures} if issue.before else None
    year = {part.code: part.count for part in issue.year_before.natures} if issue.year_before else None
    columns: list[tuple[str, tuple[int | None, ...]]] = [(words.now, tuple(part.count for part in issue.natures))]
    for head, counts in ((words.before, earlier), (words.year_before, year)):
        if counts is not None and (head != words.before or counts is earlier):
            columns.append((head, tuple(counts.get(part.code, 0) for part in issue.natures)))
    labels = tuple(part.label for part in issue.natures)
    rows = tuple(
        (label, *(values[place] for _, values in columns), Share(columns[0][1][place] / whole) if whole else None)  # type: ignore[operator]
        for place, label in enumerate(labels)
    )
    sums = (*(sum(value or 0 for value in values) for _, values in columns), Share(1) if whole else None)
    heads = ("性质", *(head for head, _ in columns), "占比")
    table = Table("按性质", heads, (*rows, ("合计", *sums)), (2, *[1.0] * (len(heads) - 1)), total=True)
    chart = Chart("natures", "来信按性质分类", Shape.BARS, labels, tuple(columns))
    return Section("分类情况", (text,), (chart,), (table,) if any(sums) else ())


def _hot(issue: IssueView, words: Words) -> Section | None:
    paragraphs, charts, tables = [], [], []
    for name, kind, parts in (("domains", "领域", issue.hot_domains), ("regions", "地区", issue.hot_regions)):
        found = [part for part in parts if part.count]
        if found:
            told = "；".join(_hot_words(part, words) for part in found[:5])
            paragraphs.append(f"来信较集中的{kind}依次为：{told}。")
            charts.append(_hot_chart(name, kind, found[:IN_A_CHART], words))
            tables.append(_hot_table(kind, found, words))
    return Section("热点领域和地区", tuple(paragraphs), tuple(charts), tuple(tables)) if paragraphs else None


def _hot_words(part: Hot, words: Words) -> str:
    if part.before is None:
        return f"{part.label}{part.count}件"
    if part.before == part.count:
        return f"{part.label}{part.count}件（与{words.before}持平）"
    more = "增加" if part.count > part.before else "减少"
    return f"{part.label}{part.count}件（较{words.before}{more}{abs(part.count - part.before)}件）"


def _hot_chart(name: str, kind: str, parts: Sequence[Hot], words: Words) -> Chart:
    series: list[tuple[str, tuple[int | None, ...]]] = [(words.now, tuple(part.count for part in parts))]
    if any(part.before is not None for part in parts):
        series.append((words.before, tuple(part.before for part in parts)))
    return Chart(f"hot-{name}", f"来信较集中的{kind}", Shape.BARS, tuple(part.label for part in parts), tuple(series))


def _hot_table(kind: str, parts: Sequence[Hot], words: Words) -> Table:
    if all(part.before is None for part in parts):
        return Table(f"热点{kind}", (kind, words.now), tuple((part.label, part.count) for part in parts), (3.2, 1))
    rows = tuple((part.label, part.count, part.before, _less(part.count, part.before)) for part in parts)
    return Table(f"热点{kind}", (kind, words.now, words.before, "增减"), rows, (3.2, 1, 1, 1))


def _handling(issue: IssueView, words: Words, figures: dict[str, Comparison]) -> Section:
    whole = sum(way.count for way in issue.ways)
    text = (
        f"{words.now}立项处理{whole}件，其中{listed(((way.label, way.count) for way in issue.ways), whole)}。"
        if whole
        else ""
    )
    if (answered := figures.get("answered")) is not None:
        text += f"答复来信人{compared(answered, words)}。"
    for code, verb in (("returned", "退件"), ("sent_back", "退办"), ("extended", "批准延期")):
        if (one := figures.get(code)) is not None and one.now:
            text += f"{verb}{compared(one, words)}。"
    rows = tuple((way.label, way.count, Share(way.count / whole) if whole else None) for way in issue.ways)
    tables = (Table("处理方式", ("处理方式", "件数", "占比"), rows, (2, 1, 1)),) if rows else ()
    return Section("办理情况", (text or f"{words.now}没有立项处理的来信。",), (), tables)


def _undertaken(issue: IssueView, words: Words, figures: dict[str, Comparison]) -> Section | None:
    """What a unit was assigned and how it answered (R11.3); the bulletins of the mayor's mailbox have no such section."""
    if not _is_units(issue):
        return None
    told = _told(_ASSIGNMENTS, words, figures)
    return Section("承办交办件情况", (f"{words.now}{told}。" if told else f"{words.now}没有承办交办件。",))


_ASSIGNMENTS: Final = (
    ("assigned", "收到交办"),
    ("answered_in_time", "按时回复"),
    ("answered_late", "逾期回复"),
    ("timeliness", "按时率"),
)


def _told(codes: Sequence[tuple[str, str]], words: Words, figures: dict[str, Comparison]) -> str:
    """Return those of some figures that are known, each with how it moved."""
    found = ((verb, figures[code]) for code, verb in codes if code in figures)
    return "；".join(f"{verb}{compared(one, words)}" for verb, one in found if one.now is not None)


def _is_units(issue: IssueView) -> bool:
    """Whether its figures of assignments are those that the mailbox got, as in a unit's report."""
    return bool(getattr(issue, "undertaken", False))


def _units(issue: IssueView, words: Words, figures: dict[str, Comparison]) -> Section | None:
    name = "各部门办理时效" if _is_units(issue) else "各单位办理时效"
    if not issue.units:
        return None if _is_units(issue) else Section(name, (f"{words.now}没有交办件在办。",))
    assigned = sum(unit.assigned for unit in issue.units)
    in_time = sum(unit.answered_in_time for unit in issue.units)
    late = sum(unit.answered_late for unit in issue.units)
    overdue = sum(unit.overdue for unit in issue.units)
    text = (
        f"{words.now}共交办{assigned}件，涉及{sum(1 for unit in issue.units if unit.assigned)}个单位；"
        if assigned
        else ""
    )
    text += f"各单位按时回复{in_time}件，逾期回复{late}件，期末逾期未复{overdue}件。"
    if not _is_units(issue) and (told := _told((("timeliness", "按时率"),), words, figures)):
        text += f"{told}。"
    ranked = [unit for unit in issue.units if unit.timeliness is not None]
    best = [unit.name for unit in ranked if unit.timeliness == 1]
    if best:
        text += f"到期件全部按时回复的有{names(best)}。"
    if worst := [
        f"{unit.name}（{percent(unit.timeliness or 0)}）" for unit in reversed(ranked) if (unit.timeliness or 0) < 1
    ][:3]:
        text += f"按时率较低的有{'、'.join(worst)}。"
    heads = ("名次", "承办单位", "交办", "按时回复", "逾期回复", "逾期未复", "延期", "催办", "退办", "退件", "按时率")
    rows: list[tuple[Value, ...]] = [
        (
            unit.rank,
            unit.name,
            unit.assigned,
            unit.answered_in_time,
            unit.answered_late,
            unit.overdue,
            unit.extended,
            unit.urged,
            unit.sent_back,
            unit.returned,
            None if unit.timeliness is None else Share(unit.timeliness),
        )
        for unit in issue.units
    ]
    counted = zip(*(row[2:-1] for row in rows), strict=True)
    rows.append((None, "合计", *(sum(column) for column in counted), None))
    drawn = [unit for unit in issue.units if unit.answered_in_time or unit.answered_late or unit.overdue][:IN_A_CHART]
    chart = Chart(
        "units",
        f"{name[:3]}办理交办件情况" + (f"（前{len(drawn)}名）" if len(issue.units) > IN_A_CHART else ""),
        Shape.STACKED,
        tuple(unit.name for unit in drawn),
        (
            ("按时回复", tuple(unit.answered_in_time for unit in drawn)),
            ("逾期回复", tuple(unit.answered_late for unit in drawn)),
            ("逾期未复", tuple(unit.overdue for unit in drawn)),
        ),
    )
    widths = (1.1, 4.2, 1.1, *[1.15] * 3, *[1.05] * 4, 1.5)
    return Section(
        "各单位办理时效", (text,), (chart,), (Table("各单位办理时效", heads, tuple(rows), widths, total=True),)
    )


def _overdue(issue: IssueView, words: Words, figures: dict[str, Comparison]) -> Section:
    told = []
    if (one := figures.get("became_overdue")) is not None and one.now is not None:
        told.append(f"{words.now}新增逾期{compared(one, words)}")
    if (one := figures.get("overdue")) is not None and one.now is not None:
        told.append(f"期末逾期未复{compared(one, words)}" if one.now else "期末没有逾期未复的交办件")
    if (one := figures.get("urged")) is not None and one.now is not None:
        told.append(f"发出催办单{compared(one, words)}" if one.now else "没有发出催办单")
    text = "；".join(told) + "。" if told else ""
    text += "逾期催办和退办件均在公示栏公示，累计时间自动显示。"
    rows = tuple(
        (
            one.number_text,
            one.nature.label if one.nature else None,
            one.domain,
            one.unit,
            one.since,
            one.working_days,
            one.due_at,
            "已逾期" if one.overdue else "期限内",
        )
        for one in issue.longest_open
    )
    if not rows:
        return Section("超期与公示", (text, "期末没有未办结的来信。"))
    heads = ("编号", "性质", "领域", "承办单位", "登记日期", "工作日", "办理期限", "状态")
    table = Table("久未办结来信", heads, rows, (3.4, 1, 2.1, 2.6, 2.2, 1.3, 3.1, 1.3))
    return Section("超期与公示", (text, f"办理时间最长的未办结来信{len(rows)}件如下。"), (), (table,))


def _public(words: Words, figures: dict[str, Comparison]) -> Section:
    told = [
        f"{verb}{compared(one, words)}"
        for code, verb in (("published", "网上公示"), ("withheld", "不予公示"))
        if (one := figures.get(code)) is not None and one.now is not None
    ]
    return Section("公开情况", ("；".join(told) + "。" if told else f"{words.now}没有公示来信。",))


def _corrections(issue: IssueView) -> Section | None:
    if not issue.corrections:
        return None
    rows = tuple(
        (one.number_text, one.label + (f"（{one.of}）" if one.of else ""), one.was, one.now, one.now - one.was)
        for one in issue.corrections
    )
    table = Table("更正", ("期号", "项目", "原印发", "更正为", "相差"), rows, (3, 3, 1, 1, 1))
    return Section("更正", ("以下往期数字因印发后计入的办理记录而有变化，往期文本不改。",), (), (table,))
