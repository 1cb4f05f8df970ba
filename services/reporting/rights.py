"""Who may ask reporting for what. `docs/access.md` is made of this table."""

from collections.abc import Mapping
from typing import Final

from shared.security.rights import Relation, Right, public, right
from shared.security.tokens import Role

READERS: Final = frozenset(Role) - {Role.ADMIN}
"""Everybody but those who only run the system."""
FIGURES_ONLY: Final = (
    "Figures only, no letter. So with BULLETIN_PUBLIC=true; else it needs a token, of any role and mailbox."
)

FIGURES: Final = right("R10.4", "信箱统计 / figures of a mailbox", (READERS, (Relation.NAMED, Relation.DUTY)))
CITY: Final = right("R10.4", "全市统计 / figures of the whole city", ((Role.DUTY_OFFICER,), Relation.DUTY))
ISSUES: Final = (
    "Weekly and yearly: figures only; so with BULLETIN_PUBLIC=true; else they need a token, of any role and mailbox. "
    "Monthly and quarterly: staff of the unit and of its departments, and the duty office; without a token the list has none of them."
)

UNIT_REPORT: Final = right("R11.3", "单位月报、季报 / a unit's reports", (READERS, (Relation.NAMED, Relation.DUTY)))

CHECKLIST: Final = right("R11.1", "抽查清单 / the checklist of spot checks", (READERS, Relation.EVERYBODY))
SPOT_CHECKS: Final = right("R11.1", "抽查 / spot checks", ((Role.DUTY_OFFICER,), Relation.DUTY))
PEOPLE: Final = READERS - {Role.UNIT_SYSTEM}
"""Where single letters are named: a unit's system cannot tell whom a report is about from others of its mailbox (R3.3)."""
CHECKED: Final = right(
    "R11.1",
    "对本单位的抽查结果 / closed spot checks about a unit",
    (PEOPLE, (Relation.NAMED, Relation.DUTY)),
    note="Without reports about the unit or the caller.",
)
METHOD: Final = right("R11.4", "考评办法 / the method of assessment", (READERS, Relation.EVERYBODY))
ASSESSMENT: Final = right("R11.4", "考评 / scores of all units", ((Role.DUTY_OFFICER,), Relation.DUTY))
ASSESSED: Final = right("R11.4", "单位考评 / the score of a unit", (READERS, (Relation.NAMED, Relation.DUTY)))
ASSESSED_LETTERS: Final = right(
    "R11.4",
    "指标所计来信 / the letters behind a unit's score",
    (PEOPLE, (Relation.NAMED, Relation.DUTY)),
    note="Without reports about the unit or the caller.",
)

SMALL: Final = "Of the whole city. No number under three letters by domain, region or unit, and none that one could be computed from."

RIGHTS: Final[Mapping[str, Right]] = {
    "GET /reporting/weeks": public("R11.2", "周报目录 / weeks with figures", note=FIGURES_ONLY),
    "GET /reporting/weeks/{week}": public("R11.2", "周报 / the weekly bulletin, as data", note=FIGURES_ONLY),
    "GET /reporting/weeks/{week}/page": public("R11.2", "周报 / the weekly bulletin, a page", note=FIGURES_ONLY),
    "GET /reporting/issues": public("R11.2", "已印发的周报、月报、季报、年报 / issued bulletins", note=ISSUES),
    "GET /reporting/issues/{id}": public("R11.2", "一期的数据 / a bulletin, as data", note=ISSUES),
    "GET /reporting/issues/{id}.pdf": public("R11.2", "一期的纸质件 / a bulletin, on paper", note=ISSUES),
    "GET /reporting/issues/{id}.xlsx": public("R11.2", "一期的表格 / a bulletin's tables, a workbook", note=ISSUES),
    "GET /bulletins": public("R11.2", "通报目录 / issued bulletins, a page", note=ISSUES),
    "GET /bulletins/{id}": public("R11.2", "一期通报 / a bulletin, a page", note=ISSUES),
    "GET /reporting/issues/{id}/verification": public("R11.2", "核对一期 / whether it is as issued", note=ISSUES),
    "GET /statistics": public("R10.4", "公开统计 / statistics for everybody, a page", note=SMALL),
    "GET /statistics.json": public("R10.4", "公开统计 / statistics for everybody, as data", note=SMALL),
    "GET /statistics.csv": public("R10.4", "公开统计 / statistics for everybody, as a table", note=SMALL),
    "GET /reporting/mailboxes/{code}/figures": FIGURES,
    "GET /reporting/city/figures": CITY,
    "GET /reporting/checklist": CHECKLIST,
    "POST /reporting/spot-checks": SPOT_CHECKS,
    "GET /reporting/spot-checks": SPOT_CHECKS,
    "GET /reporting/spot-checks/{check_id}": SPOT_CHECKS,
    "GET /reporting/spot-checks/{check_id}/redraw": SPOT_CHECKS,
    "GET /reporting/spot-checks/{check_id}/form.xlsx": SPOT_CHECKS,
    "GET /reporting/spot-checks/{check_id}/letters/{place}": SPOT_CHECKS,
    "PUT /reporting/spot-checks/{check_id}/letters/{place}/result": SPOT_CHECKS,
    "POST /reporting/spot-checks/{check_id}/letters/{place}/settle": SPOT_CHECKS,
    "POST /reporting/spot-checks/{check_id}/close": SPOT_CHECKS,
    "GET /reporting/spot-checks/{check_id}/counts": SPOT_CHECKS,
    "GET /reporting/mailboxes/{code}/spot-checks": CHECKED,
    "GET /reporting/assessment/method": METHOD,
    "GET /reporting/assessments/{period}": ASSESSMENT,
    "GET /reporting/assessments/{period}/table.xlsx": ASSESSMENT,
    "POST /reporting/assessments/{period}/what-if": ASSESSMENT,
    "POST /reporting/assessments/{period}/issue": ASSESSMENT,
    "GET /reporting/assessments/{period}/issued": ASSESSMENT,
    "GET /reporting/mailboxes/{code}/assessments/{period}": ASSESSED,
    "GET /reporting/mailboxes/{code}/assessments/{period}/indicators/{indicator}/letters": ASSESSED_LETTERS,
}
"""Method and path → who may. A new endpoint gets its row here."""
