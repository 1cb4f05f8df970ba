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
PROPOSAL: Final = right(
    "R9.1",
    "查看隐去个人信息的建议 / see proposed redactions",
    ((Role.CLERK, Role.DUTY_OFFICER), (Relation.ANSWERER, Relation.DUTY)),
)
APPROVE: Final = right("R9.1", "审批公开 / approve the public text", *DECIDERS)
WITHHOLD: Final = right("R9.1", "不予公开 / withhold", *DECIDERS)
WITHDRAW: Final = right("R9.1", "撤回公开 / withdraw a publication", *DECIDERS)
ATTACH: Final = right(
    "R9.1",
    "上传、删去公开附件 / upload and remove files that may be public",
    ((Role.CLERK, Role.DUTY_OFFICER), (Relation.ANSWERER, Relation.DUTY)),
)
NOTICES: Final = right(
    "R7.2", "公示栏记录 / what stood on the notice board", (STAFF, (Relation.NAMED, Relation.UNIT, Relation.DUTY))
)

RIGHTS: Final[Mapping[str, Right]] = {
    "GET /publication/mailboxes/{code}/cases": LIST,
    "GET /publication/cases/{letter_id}": CASE,
    "GET /publication/cases/{letter_id}/proposal": PROPOSAL,
    "POST /publication/cases/{letter_id}/prepare": PREPARE,
    "POST /publication/cases/{letter_id}/approve": APPROVE,
    "POST /publication/cases/{letter_id}/withhold": WITHHOLD,
    "POST /publication/cases/{letter_id}/withdraw": WITHDRAW,
    "POST /publication/cases/{letter_id}/attachments": ATTACH,
    "GET /publication/cases/{letter_id}/attachments": CASE,
    "GET /publication/cases/{letter_id}/attachments/{attachment_id}": CASE,
    "DELETE /publication/cases/{letter_id}/attachments/{attachment_id}": ATTACH,
    "GET /publication/notices": NOTICES,
    "GET /public/": public("R9.2", "公开网站 / the public site"),
    "GET /public/letters": public("R9.2", "公开来信 / published letters, a page"),
    "GET /public/letters.json": public("R9.2", "公开来信 / published letters, as data"),
    "GET /public/letters/{number}": public("R9.2", "公开来信 / one published letter, a page"),
    "GET /public/letters/{number}.json": public("R9.2", "公开来信 / one published letter, as data"),
    "GET /public/letters/{number}/attachments/{name}": public("R9.2", "公开附件 / a file of a published letter"),
    "GET /public/feed.atom": public("R9.2", "公开来信订阅 / the Atom feed of published letters"),
    "GET /public/data": public("R9.2", "开放数据 / open data, a page"),
    "GET /public/data.json": public("R9.2", "开放数据 / open data: which months there are"),
    "GET /public/data/dictionary.json": public("R9.2", "数据字典 / the data dictionary"),
    "GET /public/data/{month}.{suffix}": public("R9.2", "开放数据文件 / open data of a month"),
    "GET /public/sitemap.xml": public("R9.2", "站点地图 / the sitemap's index"),
    "GET /public/sitemap-{month}-{part}.xml": public("R9.2", "站点地图 / a part of the sitemap"),
    "GET /public/robots.txt": public("R9.2", "搜索引擎规则 / what robots may read"),
    "GET /robots.txt": public("R9.2", "搜索引擎规则 / what robots may read"),
    "GET /public/board": public("R7.2", "公示栏 / the notice board, a page"),
    "GET /public/board/lobby": public("R7.2", "公示栏大屏 / the notice board for a large screen"),
    "GET /public/how": public("R2.3", "办理须知 / how it works"),
    "GET /public/board.json": public("R7.2", "公示栏 / the notice board, as data"),
}
"""Method and path → who may. A new endpoint gets its row here."""
