"""Who may ask reporting for what. `docs/access.md` is made of this table."""

from collections.abc import Mapping
from typing import Final

from shared.security.rights import Relation, Right, public, right
from shared.security.tokens import Role

READERS: Final = frozenset(Role) - {Role.ADMIN}
"""Everybody but those who only run the system."""
FIGURES_ONLY: Final = "Figures only, no letter. With BULLETIN_PUBLIC=false it needs a token, of any role and mailbox."

FIGURES: Final = right("R10.4", "信箱统计 / figures of a mailbox", (READERS, (Relation.NAMED, Relation.DUTY)))
CITY: Final = right("R10.4", "全市统计 / figures of the whole city", ((Role.DUTY_OFFICER,), Relation.DUTY))

SMALL: Final = "Of the whole city. No number under three letters by domain, region or unit, and none that one could be computed from."

RIGHTS: Final[Mapping[str, Right]] = {
    "GET /reporting/weeks": public("R11.2", "周报目录 / weeks with figures", note=FIGURES_ONLY),
    "GET /reporting/weeks/{week}": public("R11.2", "周报 / the weekly bulletin, as data", note=FIGURES_ONLY),
    "GET /reporting/weeks/{week}/page": public("R11.2", "周报 / the weekly bulletin, a page", note=FIGURES_ONLY),
    "GET /statistics": public("R10.4", "公开统计 / statistics for everybody, a page", note=SMALL),
    "GET /statistics.json": public("R10.4", "公开统计 / statistics for everybody, as data", note=SMALL),
    "GET /statistics.csv": public("R10.4", "公开统计 / statistics for everybody, as a table", note=SMALL),
    "GET /reporting/mailboxes/{code}/figures": FIGURES,
    "GET /reporting/city/figures": CITY,
}
"""Method and path → who may. A new endpoint gets its row here."""
