"""Who may ask publication for what. `docs/access.md` is made of this table."""

from collections.abc import Mapping
from typing import Final

from shared.security.rights import Relation, Right, public, right
from shared.security.tokens import Role

STAFF: Final = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER)
DECIDERS: Final = (
    ((Role.HEAD, Role.LEADER), Relation.ANSWERER),
    ((Role.LEADER,), Relation.UNIT),
)
"""The head in charge, or the leader in charge of the unit; never who prepared the text. The duty office is no exception (R9.1)."""

LIST: Final = right("R10.2", "公示案件列表 / list cases", (STAFF, (Relation.NAMED, Relation.UNIT, Relation.DUTY)))
CASE: Final = right("R10.2", "查看公示案件 / see a case", (STAFF, (Relation.PARTY, Relation.UNIT, Relation.DUTY)))
PREPARE: Final = right(
    "R9.1",
    "拟公开稿 / prepare the public text",
    ((Role.CLERK, Role.DUTY_OFFICER), (Relation.ANSWERER, Relation.DUTY)),
)
APPROVE: Final = right("R9.1", "审批公开 / approve the public text", *DECIDERS)
WITHHOLD: Final = right("R9.1", "不予公开 / withhold", *DECIDERS)
NOTICES: Final = right(
    "R7.2", "公示栏记录 / what stood on the notice board", (STAFF, (Relation.NAMED, Relation.UNIT, Relation.DUTY))
)

RIGHTS: Final[Mapping[str, Right]] = {
    "GET /publication/mailboxes/{code}/cases": LIST,
    "GET /publication/cases/{letter_id}": CASE,
    "POST /publication/cases/{letter_id}/prepare": PREPARE,
    "POST /publication/cases/{letter_id}/approve": APPROVE,
    "POST /publication/cases/{letter_id}/withhold": WITHHOLD,
    "GET /publication/notices": NOTICES,
    "GET /public/": public("R9.2", "公开网站 / the public site"),
    "GET /public/letters": public("R9.2", "公开来信 / published letters, a page"),
    "GET /public/letters.json": public("R9.2", "公开来信 / published letters, as data"),
    "GET /public/letters/{number}": public("R9.2", "公开来信 / one published letter, a page"),
    "GET /public/letters/{number}.json": public("R9.2", "公开来信 / one published letter, as data"),
    "GET /public/board": public("R7.2", "公示栏 / the notice board, a page"),
    "GET /public/board/lobby": public("R7.2", "公示栏大屏 / the notice board for a large screen"),
    "GET /public/how": public("R2.3", "办理须知 / how it works"),
    "GET /public/board.json": public("R7.2", "公示栏 / the notice board, as data"),
}
"""Method and path → who may. A new endpoint gets its row here."""
