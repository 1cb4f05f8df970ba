"""Who may ask deadline for what. `docs/access.md` is made of this table."""

from collections.abc import Mapping
from typing import Final

from shared.security.rights import Relation, Right, right
from shared.security.tokens import Role

READERS: Final = frozenset(Role) - {Role.ADMIN}

CLOCKS: Final = right("R10.2", "时限列表 / running clocks of a mailbox", (READERS, (Relation.NAMED, Relation.DUTY)))
FIGURES: Final = right("R1.4", "实时数据 / live figures of a mailbox", (READERS, (Relation.NAMED, Relation.DUTY)))
ALL_FIGURES: Final = right(
    "R1.4", "各信箱实时数据 / live figures of all mailboxes", ((Role.DUTY_OFFICER,), Relation.DUTY)
)
LETTER: Final = right("R10.2", "来信时限 / all clocks of a letter", (READERS, (Relation.PARTY, Relation.DUTY)))

RIGHTS: Final[Mapping[str, Right]] = {
    "GET /deadline/mailboxes/{code}/clocks": CLOCKS,
    "GET /deadline/mailboxes/{code}/figures": FIGURES,
    "GET /deadline/mailboxes": ALL_FIGURES,
    "GET /deadline/letters/{letter_id}": LETTER,
}
"""Method and path → who may. A new endpoint gets its row here."""
