"""Who may ask intake for what. `docs/access.md` is made of this table."""

from collections.abc import Mapping
from typing import Final

from shared.security.rights import Relation, Right, public, right
from shared.security.tokens import Role

STAFF: Final = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER)
CLERK: Final = (Role.CLERK,)
OWN: Final = (Relation.FIRST, Relation.DUTY)

LIST: Final = right("R10.2", "来信列表 / list letters by stage", (STAFF, (Relation.NAMED, Relation.DUTY)))
SHOW: Final = right("R10.2", "查看来信 / see a letter with contact data", (STAFF, OWN))
EARLIER: Final = right(
    "R3.0",
    "疑似重复的来信 / letters it may repeat",
    (STAFF, OWN),
    note="Of letters of other mailboxes the number alone; reports not at all.",
)
READ: Final = right("R3.1", "阅信 / read", (CLERK, OWN))
RECLASSIFY: Final = right("R3.2", "更正分类 / correct the classification", (CLERK, OWN))
REGISTER: Final = right("R3.6", "登记编号 / register", (CLERK, OWN))
DISCARD: Final = right("R3.0", "作无效处理 / discard", (CLERK, OWN))
NOTE: Final = right("R3.7", "掌握 / note", (CLERK, OWN))
DOWNLOAD: Final = right("R10.2", "下载附件 / download an attachment", (STAFF, OWN))

RIGHTS: Final[Mapping[str, Right]] = {
    "POST /intake/letters": public("R2.2", "递交来信 / submit a letter"),
    "GET /intake/receipts/{code}": public("R8.3", "查询来信 / follow a letter", note="Needs its receipt code."),
    "GET /intake/mailboxes": public("R2.1", "可选的信箱 / mailboxes to write to"),
    "GET /intake/mailboxes/{code}": public("R1.3", "信箱信息 / one mailbox"),
    "GET /intake/mailboxes/{code}/entry": public("R1.5", "来信入口 / the entry that earlier mailboxes redirect to"),
    "GET /intake/reasons": public("R3.0", "不予受理的理由 / reasons for not accepting a letter"),
    "GET /intake/domains": public("R3.4", "领域 / domains"),
    "GET /intake/regions": public("R3.5", "区县 / regions"),
    "POST /intake/attachments": public("R2.2", "上传附件 / upload an attachment"),
    "GET /write": public("R2.1", "写信页面 / the page to write a letter"),
    "POST /write": public("R2.2", "填写、核对、发送 / fill in, check and send", note="From the page itself only."),
    "GET /follow": public("R8.3", "查询页面 / the page to follow a letter"),
    "POST /follow": public(
        "R8.3", "查询来信 / follow a letter", note="Needs its receipt code; from the page itself only."
    ),
    "GET /intake/mailboxes/{code}/letters": LIST,
    "GET /intake/letters/{letter_id}": SHOW,
    "GET /intake/letters/{letter_id}/earlier": EARLIER,
    "POST /intake/letters/{letter_id}/read": READ,
    "PUT /intake/letters/{letter_id}/classification": RECLASSIFY,
    "POST /intake/letters/{letter_id}/register": REGISTER,
    "POST /intake/letters/{letter_id}/discard": DISCARD,
    "POST /intake/letters/{letter_id}/note": NOTE,
    "GET /intake/letters/{letter_id}/attachments/{attachment_id}": DOWNLOAD,
}
"""Method and path → who may. A new endpoint gets its row here."""
