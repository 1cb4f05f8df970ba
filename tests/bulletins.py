"""Invented bulletins to render: a full one, one of an empty week, one with far too many units with far too long names."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from services.reporting.figures import Figure
from services.reporting.issue_view import Comparison, Correction, Hot, IssueView, OpenLetter, Point, Series, UnitLine
from services.reporting.views import FiguresView, Part
from shared.contracts.types import InvalidReason, Nature
from shared.directory import load_directory

FIRST = date(2026, 2, 9)
ISSUED = datetime(2026, 2, 16, 1, 0, tzinfo=UTC)
TREE = load_directory(Path(__file__).parent / "data" / "directory.yaml")
_NATURES = dict(zip(Nature, (31, 45, 33, 2, 12, 5), strict=True))
_WAYS = (("direct", "直办", 14), ("assign", "交办", 56), ("forward", "转阅", 21), ("submit", "呈办", 3))
_DOMAINS = ("水电气", "交通出行", "教育", "城市管理", "住房保障", "环境保护", "劳动就业")
_REGIONS = ("渝中区", "江北区", "九龙坡区", "沙坪坝区", "南岸区", "万州区")
_UNITS = ("市教委", "市水利局", "渝中区人民政府", "江北区人民政府", "市交通局", "市住房城乡建委", "万州区人民政府")


def figures(received: int, natures: dict[Nature, int] | None = None, *, back: int = 0) -> FiguresView:
    """The figures of a week, `back` weeks before the sample's: those of them that bulletins show besides their own."""
    first = FIRST - timedelta(weeks=back)
    counts = natures or {}
    some = [Part(code="utilities-water", label="水电气讯 / 供水", count=received)] if received else []
    known: dict[str, Any] = {
        "mailbox": "mayor",
        "name": "市长信箱",
        "first_day": first,
        "last_day": first + timedelta(days=6),
        "received": received,
        "natures": [Part(code=kind.value, label=kind.label, count=counts.get(kind, 0)) for kind in Nature],
        "domains": some,
        "regions": [Part(code="500103", label="渝中区", count=received)] if received else [],
        "discard_reasons": [Part(code=r.value, label=r.label, count=2 if received else 0) for r in InvalidReason][:1],
    }
    return FiguresView.model_construct(**known)


def unit(rank: int | None, name: str, **numbers: Any) -> UnitLine:
    """One unit's line; what is not given is 0."""
    counts = dict.fromkeys(
        ("assigned", "answered_in_time", "answered_late", "overdue", "extended", "urged", "sent_back", "returned"), 0
    )
    return UnitLine(
        rank=rank, mailbox=f"u{rank}", name=name, timeliness=numbers.pop("timeliness", None), **{**counts, **numbers}
    )


def units(names: tuple[str, ...] = _UNITS) -> list[UnitLine]:
    """Lines of units, the timeliest first, the last one without anything that fell due."""
    lines = []
    for place, name in enumerate(names[:-1]):
        late = place * 2 // 3
        lines.append(
            unit(
                place + 1,
                name,
                assigned=14 - place % 12,
                answered_in_time=12 - place % 9,
                answered_late=late,
                overdue=place // 3,
                extended=place % 2,
                urged=late,
                sent_back=place % 3 // 2,
                timeliness=(12 - place % 9) / (12 - place % 9 + late + place // 3),
            )
        )
    return [*lines, unit(None, names[-1], assigned=1)]


def comparisons() -> list[Comparison]:
    """Every figure, with all that can happen to one: more, fewer, equal, from nothing, not known before."""
    told = [
        (Figure.RECEIVED, "件", 128, 116, 133),
        (Figure.READ_LATE, "件", 0, 2, 0),
        (Figure.REGISTERED, "件", 97, 90, None),
        (Figure.DISCARDED, "件", 2, 2, None),
        (Figure.NOTED, "件", 9, 0, None),
        (Figure.ANSWERED, "件", 96, 101, None),
        (Figure.ASSIGNED, "件", 56, 56, None),
        (Figure.BECAME_OVERDUE, "件", 4, 0, None),
        (Figure.OVERDUE, "件", 7, 9, None),
        (Figure.URGED, "次", 6, 8, None),
        (Figure.PUBLISHED, "件", 61, 44, None),
        (Figure.WITHHELD, "件", 12, 12, None),
    ]
    found = [
        Comparison(figure=f.value, label=f.label, unit=u, now=n, before=b, year_before=y) for f, u, n, b, y in told
    ]
    return [*found, Comparison(figure="timeliness", label="按时率", unit="%", now=93.8, before=91.7, year_before=None)]


def full(**changed: Any) -> IssueView:
    """A week in which much happened."""
    whole: dict[str, Any] = {
        "id": "weekly-mayor-2026-W07",
        "series": Series.WEEKLY,
        "title": "市长信箱工作周报",
        "mailbox": "mayor",
        "name": "市长信箱",
        "issuer": "重庆市人民政府值班室",
        "period": "2026-W07",
        "first_day": FIRST,
        "last_day": FIRST + timedelta(days=6),
        "year": 2026,
        "serial": 7,
        "total_serial": 59,
        "issued_at": ISSUED,
        "hash": hashlib.sha256(b"7").hexdigest(),
        "figures": figures(128, _NATURES),
        "before": figures(116, dict(zip(Nature, (30, 40, 38, 0, 6, 2), strict=True)), back=1),
        "year_before": figures(133, dict(zip(Nature, (33, 50, 38, 1, 6, 5), strict=True)), back=52),
        "comparisons": comparisons(),
        "natures": figures(128, _NATURES).natures,
        "hot_domains": [
            Hot(code=f"d{place}", label=name, count=40 - 5 * place, before=None if place == 4 else 40 - 6 * place)
            for place, name in enumerate(_DOMAINS)
        ],
        "hot_regions": [Hot(code=f"r{place}", label=name, count=30 - 4 * place) for place, name in enumerate(_REGIONS)],
        "ways": [{"code": code, "label": label, "count": count} for code, label, count in _WAYS],
        "units": units(),
        "longest_open": [
            OpenLetter(
                number=f"YFX-2026-{place}",
                number_text=f"渝府信〔2026〕{place}号",
                nature=Nature.HELP if place % 2 else None,
                domain=_DOMAINS[place % 7],
                mailbox="water",
                unit=_UNITS[place % 7],
                since=FIRST - timedelta(days=30 - place),
                working_days=22 - place,
                due_at=None if place == 3 else datetime(2026, 2, 2 + place, 16, tzinfo=UTC),
                overdue=place < 3,
            )
            for place in range(1, 7)
        ],
        "curve": [
            Point(
                period=f"2026-W{week:02}" if week > 0 else f"2025-W{52 + week}",
                first_day=FIRST - timedelta(weeks=7 - week),
                received=100 + week * 4,
                answered=90 + week * 3 % 11,
                assigned=50,
                answered_in_time=40,
                answered_late=2,
            )
            for week in range(-4, 8)
        ],
        "corrections": [
            Correction(
                issue="weekly-mayor-2026-W06",
                number_text="〔2026〕第6期（总第58期）",
                figure="received",
                label="收到来信",
                of=None,
                was=117,
                now=116,
            )
        ],
        "main_recipients": ["市长、副市长", "市政府秘书长、副秘书长"],
        "copied_to": ["市委值班室", "各区县（自治县）人民政府", "市政府各部门", "有关公用企业"],
        "definitions": {figure.value: figure.meaning for figure in Figure},
    }
    return IssueView.model_validate({**whole, **changed})


def empty() -> IssueView:
    """The first week of all, in which nothing happened: nothing to compare with, no unit, no curve."""
    nothing = [
        Comparison(figure=f.value, label=f.label, unit="件", now=0)
        for f in (Figure.RECEIVED, Figure.ANSWERED, Figure.PUBLISHED, Figure.OVERDUE)
    ]
    return full(
        serial=1,
        total_serial=1,
        figures=figures(0),
        before=None,
        year_before=None,
        comparisons=nothing,
        natures=figures(0).natures,
        hot_domains=[],
        hot_regions=[],
        ways=[],
        units=[],
        longest_open=[],
        curve=[],
        corrections=[],
        copied_to=[],
    )


def crowded() -> IssueView:
    """Two hundred units, the longest of names, signs that no font has and that spreadsheets run."""
    long = "重庆市两江新区开发投资集团有限公司下属公共交通枢纽建设运营管理分公司客户服务中心"
    names = (
        long,
        '=HYPERLINK("http://x")',
        "<script>alert(1)</script>&\U0001f600",
        *(f"第{place}区人民政府" for place in range(197)),
    )
    return full(title=f"{long}信箱工作月报", name=long, series=Series.MONTHLY, period="2026-02", units=units(names))


def preview() -> IssueView:
    """A week that still runs."""
    return full(serial=None, total_serial=None, issued_at=None, hash=None)
