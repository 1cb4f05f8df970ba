"""Who may what, written down by hand a second time: the expectation that the services' own tables are tested against.

One line for each endpoint and each action of a unit's system: where the letter stands when it is asked for, and who may then.
`sender:chl` means: a clerk, head or leader of the mailbox that made the slip. Everybody else must be refused. To add an endpoint,
add its line here, and what to send to it to `BODIES`, `QUERIES` or `place`.

    c clerk · h head · l leader · d duty officer · u unit system · C a clerk who is of the duty office
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import yaml

from services.settings import ASSESSMENT, CHECKLIST
from tests.access_letters import PUBLIC, Letter

ROLES: Final = {
    "c": ("clerk",),
    "h": ("head",),
    "l": ("leader",),
    "d": ("duty_officer",),
    "u": ("unit_system",),
    "a": ("admin",),
    "C": ("clerk", "duty_officer"),
}
ANYBODY: Final = "anybody"
ALL_YES: Final = {item["id"]: "yes" for item in yaml.safe_load(CHECKLIST.read_text(encoding="utf-8"))["items"]}
"""What is found where everything is as it should be."""

EXPECTED: Final = """
POST /intake/letters                                     | none      | anybody
GET /intake/receipts/{code}                              | none      | anybody
GET /intake/mailboxes                                    | none      | anybody
GET /intake/mailboxes/{code}                             | none      | anybody
GET /intake/mailboxes/{code}/entry                       | none      | anybody
GET /intake/reasons                                      | none      | anybody
GET /intake/domains                                      | none      | anybody
GET /intake/regions                                      | none      | anybody
POST /intake/attachments                                 | none      | anybody
GET /write                                               | none      | anybody
POST /write                                              | none      | anybody
GET /follow                                              | none      | anybody
POST /follow                                             | none      | anybody
GET /intake/mailboxes/{code}/letters                     | unread    | named:chl duty:dC
GET /intake/letters/{letter_id}                          | unread    | first:chl duty:dC
GET /intake/letters/{letter_id}/earlier                  | unread    | first:chl duty:dC
POST /intake/letters/{letter_id}/read                    | unread    | first:c duty:C
PUT /intake/letters/{letter_id}/classification           | unread    | first:c duty:C
POST /intake/letters/{letter_id}/register                | unread    | first:c duty:C
POST /intake/letters/{letter_id}/discard                 | unread    | first:c duty:C
POST /intake/letters/{letter_id}/note                    | unread    | first:c duty:C
GET /intake/letters/{letter_id}/attachments/{attachment_id} | real   | first:chl duty:dC

GET /routing/mailboxes/{code}/letters                    | pending   | named:chlu duty:dC
GET /routing/mailboxes/{code}/letters?list=flagged       | pending   | duty:dC
GET /routing/letters/{letter_id}                         | sent      | first:chlu sender:chlu receiver:chlu duty:dC
GET /routing/letters                                     | pending   | duty:dC
GET /routing/mailboxes/{code}/register.{kind}            | pending   | named:chlu duty:dC
GET /routing/register.{kind}                             | pending   | duty:dC
GET /routing/letters/{letter_id}/registration.pdf        | sent      | first:chlu sender:chlu receiver:chlu duty:dC
GET /routing/letters/{letter_id}/slips/{slip_id}.pdf     | sent      | sender:chlu receiver:chlu duty:dC
GET /routing/letters/{letter_id}/slips/{slip_id}.pdf?withdrawn | withdrawn | sender:chlu duty:dC
GET /routing/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}.pdf | replied | sender:chlu receiver:chlu duty:dC
GET /routing/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}.pdf?draft | drafted | receiver:chlu duty:dC
GET /routing/letters/{letter_id}/handoffs/{handoff_id}/urgings/{count}.pdf | urged | sender:chlu receiver:chlu duty:dC
GET /routing/letters/{letter_id}/handoffs/{handoff_id}/send-backs/{count}.pdf | redo | sender:chlu receiver:chlu duty:dC
GET /routing/letters/{letter_id}/history                 | sent      | first:chlu sender:chlu receiver:chlu duty:dC
GET /routing/letters/{letter_id}?withdrawn               | withdrawn | first:chlu sender:chlu duty:dC
POST /routing/letters/{letter_id}/slips                  | pending   | holder:c
POST /routing/letters/{letter_id}/slips/{slip_id}/approve | slip     | sender:hl
POST /routing/letters/{letter_id}/slips/{slip_id}/refuse | slip      | sender:hl
POST /routing/letters/{letter_id}/slips/{slip_id}/withdraw | sent    | sender:chl
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/collect | sent | receiver:chu
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/return | sent | receiver:chlu
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/progress | collected | receiver:chu
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/told | forwarded | sender:c
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/replies | collected | receiver:chu
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/paper-reply | faxed | sender:chu
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/approve | drafted | receiver:hl
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/refuse | drafted | receiver:hl
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/send-back | replied | sender:chl
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/extensions | collected | receiver:chu
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/extensions?oral | collected | duty:dC
POST /routing/letters/{letter_id}/handoffs/{handoff_id}/extensions/{extension_id}/decide | asked | sender:hl
POST /routing/letters/{letter_id}/answer                 | replied   | holder:c
POST /routing/letters/{letter_id}/instructions           | collected | first:l sender:l receiver:l
POST /routing/letters/{letter_id}/instructions/{instruction_id}/follow-ups | instructed | sender:chlu
POST /routing/letters/{letter_id}/instructions/{instruction_id}/end | instructed | sender:chlu

GET /routing/directory                                   | none      | every:chldu
GET /routing/directory/mailboxes/{code}                  | none      | every:chldu
GET /routing/directory/mailboxes/{code}/history          | none      | every:chld
POST /routing/directory/mailboxes                        | none      | duty:dC
PATCH /routing/directory/mailboxes/{code}                | none      | duty:dC
POST /routing/directory/mailboxes/{code}/close           | none      | duty:dC

GET /deadline/mailboxes/{code}/clocks                    | collected | named:chlu duty:dC
GET /deadline/mailboxes/{code}/figures                   | collected | named:chlu duty:dC
GET /deadline/mailboxes                                  | collected | duty:dC
GET /deadline/letters/{letter_id}                        | collected | first:chlu sender:chlu receiver:chlu duty:dC
GET /deadline/letters/{letter_id}?withdrawn              | withdrawn | first:chlu sender:chlu duty:dC

GET /publication/mailboxes/{code}/cases                  | answered  | named:chl duty:dC
GET /publication/mailboxes/{code}/cases?department       | inside    | receiver:chl unit:chl duty:dC
GET /publication/notices                                 | none      | named:chl duty:dC
GET /publication/cases/{letter_id}                       | answered  | first:chl sender:chl receiver:chl duty:dC
GET /publication/cases/{letter_id}/proposal              | answered  | answerer:c duty:dC
POST /publication/cases/{letter_id}/prepare              | answered  | answerer:c duty:dC
POST /publication/cases/{letter_id}/approve              | prepared  | answerer:hl
POST /publication/cases/{letter_id}/withhold             | prepared  | answerer:hl
POST /publication/cases/{letter_id}/withdraw             | published | answerer:hl
POST /publication/cases/{letter_id}/attachments          | answered  | answerer:c duty:dC
GET /publication/cases/{letter_id}/attachments           | answered  | first:chl sender:chl receiver:chl duty:dC
GET /publication/cases/{letter_id}/attachments/{attachment_id} | answered | first:chl sender:chl receiver:chl duty:dC
DELETE /publication/cases/{letter_id}/attachments/{attachment_id} | answered | answerer:c duty:dC
POST /publication/cases/{letter_id}/approve?department   | inside    | receiver:hl unit:l
POST /publication/cases/{letter_id}/withhold?department  | inside    | receiver:hl unit:l
GET /public/                                             | none      | anybody
GET /public/letters                                      | none      | anybody
GET /public/letters.json                                 | none      | anybody
GET /public/letters/{number}                             | published | anybody
GET /public/letters/{number}.json                        | published | anybody
GET /public/letters/{number}/attachments/{name}          | published | anybody
GET /public/feed.atom                                    | none      | anybody
GET /public/data                                         | none      | anybody
GET /public/data.json                                    | none      | anybody
GET /public/data/dictionary.json                         | none      | anybody
GET /public/data/{month}.{suffix}                          | none      | anybody
GET /public/sitemap.xml                                  | none      | anybody
GET /public/sitemap-{month}-{part}.xml                   | none      | anybody
GET /public/robots.txt                                   | none      | anybody
GET /robots.txt                                          | none      | anybody
GET /public/board                                        | none      | anybody
GET /public/board/lobby                                  | none      | anybody
GET /public/how                                          | none      | anybody
GET /public/board.json                                   | none      | anybody

GET /reporting/weeks                                     | none      | anybody
GET /reporting/weeks/{week}                              | none      | anybody
GET /reporting/weeks/{week}/page                         | none      | anybody
GET /reporting/issues                                    | none      | anybody
GET /reporting/issues?unit                               | none      | named:chlu receiver:chlu duty:dC
GET /reporting/issues/{id}                               | none      | anybody
GET /reporting/issues/{id}?unit                          | none      | named:chlu receiver:chlu duty:dC
GET /reporting/issues/{id}.pdf                           | none      | anybody
GET /reporting/issues/{id}.pdf?unit                      | none      | named:chlu receiver:chlu duty:dC
GET /reporting/issues/{id}.xlsx                          | none      | anybody
GET /reporting/issues/{id}.xlsx?unit                     | none      | named:chlu receiver:chlu duty:dC
GET /bulletins                                           | none      | anybody
GET /bulletins/{id}                                      | none      | anybody
GET /bulletins/{id}?unit                                 | none      | named:chlu receiver:chlu duty:dC
GET /reporting/issues/{id}/verification?unit             | none      | named:chlu receiver:chlu duty:dC
GET /statistics                                          | none      | anybody
GET /statistics.json                                     | none      | anybody
GET /statistics.csv                                      | none      | anybody
GET /reporting/mailboxes/{code}/figures                  | none      | named:chlu duty:dC
GET /reporting/city/figures                              | none      | duty:dC
GET /reporting/checklist                                 | none      | every:chldu
POST /reporting/spot-checks                              | real      | duty:dC
GET /reporting/spot-checks                               | real      | duty:dC
GET /reporting/spot-checks/{check_id}                    | real      | duty:dC
GET /reporting/spot-checks/{check_id}/redraw             | real      | duty:dC
GET /reporting/spot-checks/{check_id}/form.xlsx          | real      | duty:dC
GET /reporting/spot-checks/{check_id}/letters/{place}    | real      | duty:dC
PUT /reporting/spot-checks/{check_id}/letters/{place}/result | real  | duty:dC
POST /reporting/spot-checks/{check_id}/letters/{place}/settle | real | duty:dC
GET /reporting/spot-checks/{check_id}/counts             | real      | duty:dC
POST /reporting/spot-checks/{check_id}/close             | real      | duty:dC
GET /reporting/mailboxes/{code}/spot-checks              | real      | named:chl duty:dC
GET /reporting/assessment/method                         | none      | every:chldu
GET /reporting/assessments/{period}                      | none      | duty:dC
GET /reporting/assessments/{period}/table.xlsx           | none      | duty:dC
POST /reporting/assessments/{period}/what-if             | none      | duty:dC
POST /reporting/assessments/{period}/issue               | none      | duty:dC
GET /reporting/assessments/{period}/issued               | none      | duty:dC
GET /reporting/mailboxes/{code}/assessments/{period}     | none      | named:chlu duty:dC
GET /reporting/mailboxes/{code}/assessments/{period}/indicators/{indicator}/letters | none | named:chl duty:dC
"""
"""`METHOD path[?case] | where the letter stands | who may`. A case is another situation of the same endpoint."""

EXPECTED_ACTIONS: Final = """
PrepareSlip         | pending    | holder
ApproveSlip         | slip       | sender
RefuseSlip          | slip       | sender
WithdrawSlip        | sent       | sender
TellCitizen         | forwarded  | sender
CollectLetter       | sent       | receiver
ReturnLetter        | sent       | receiver
RecordProgress      | collected  | receiver
SubmitReply         | collected  | receiver
ApproveReply        | drafted    | receiver
RefuseReply         | drafted    | receiver
RequestExtension    | collected  | receiver
DecideExtension     | asked      | sender
RecordReply         | faxed      | sender
SendBackReply       | replied    | sender
AnswerCitizen       | replied    | holder
GiveInstruction     | collected  | first sender receiver
FollowUpInstruction | instructed | sender
EndInstruction      | instructed | sender
"""
"""`action | where the letter stands | units that may`."""

MAILBOXES: Final = ("mayor", "yuzhong", "education", "education-basic", "water")
RELATIONS: Final = {
    "first": "yuzhong",
    "holder": "education",
    "sender": "education",
    "receiver": "education-basic",
    "unit": "education",
    "answerer": "education",
    "named": "education",
    "duty": "mayor",
}
"""The letter came to yuzhong, was forwarded to education, which has it or assigned it to its department. Water has no part in it."""
FORWARDED: Final = {"sender": "yuzhong"}
"""As long as it is the forward that is asked about."""


class Row(NamedTuple):
    """One line of the table."""

    key: str
    case: str
    stage: str
    who: frozenset[tuple[str, str]]
    """(mailbox, role letter) that may; empty: anybody."""

    @property
    def name(self) -> str:
        return f"{self.key}?{self.case}" if self.case else self.key


def rows() -> list[Row]:
    """The lines for endpoints."""
    found = []
    for line in EXPECTED.strip().splitlines():
        if not line.strip():
            continue
        key, stage, who = (part.strip() for part in line.split("|"))
        path, _, case = key.partition("?")
        relations = {**RELATIONS, **(FORWARDED if stage == "forwarded" else {})}
        may = {
            (mailbox, role)
            for relation, _, roles in (one.partition(":") for one in who.split() if one != ANYBODY)
            for mailbox in (MAILBOXES if relation == "every" else (relations[relation],))
            for role in (roles + "C" * ("d" in roles) if relation == "every" else roles)
            if role not in "dC" or mailbox == "mayor"
        }
        found.append(Row(path, case, stage, frozenset(may)))
    return found


def actions() -> dict[str, tuple[str, frozenset[str]]]:
    """Action → where the letter stands, and the units that may."""
    found = {}
    for line in EXPECTED_ACTIONS.strip().splitlines():
        name, stage, who = (part.strip() for part in line.split("|"))
        relations = {**RELATIONS, **(FORWARDED if stage == "forwarded" else {})}
        found[name] = (stage, frozenset(relations[one] for one in who.split()))
    return found


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────

_WHY: Final = {"reason": "误发"}
_NOTE: Final = {"text": "已查看现场"}
_TOLD: Final = {"channel": "phone", "text": "已电话告知来信人。"}
_SLIP: Final = {
    "way": "assign",
    "receiver": "education-basic",
    "opinion": "拟办",
    "requirements": "办理",
    "answer_by": "assigner",
}
_MORE_TIME: Final = {"reason": "待配合", "wanted_day": "2026-03-25"}
_LETTER: Final = "POST /routing/letters/{letter_id}"
_HANDOFF: Final = _LETTER + "/handoffs/{handoff_id}"
_REPLY: Final = _HANDOFF + "/replies/{reply_id}"

BODIES: Final[Mapping[str, Any]] = {
    "POST /intake/letters": {
        "mailbox": "yuzhong",
        "subject": "小区门口路灯不亮",
        "body": "我们小区门口的路灯坏了半个多月，希望尽快修好。",
        "sender": {"name": "李明", "phone": "13800138000"},
        "nature": "help",
        "domain": "utilities-power",
        "region": "500103",
        "may_publish": True,
    },
    "PUT /intake/letters/{letter_id}/classification": {
        "nature": "help",
        "domain": "utilities-water",
        "region": "500103",
    },
    "POST /intake/letters/{letter_id}/discard": {"reason": "advertising"},
    "POST /intake/letters/{letter_id}/note": {"remark": ""},
    _LETTER + "/slips": _SLIP,
    _LETTER + "/slips/{slip_id}/refuse": _WHY,
    _LETTER + "/slips/{slip_id}/withdraw": _WHY,
    _HANDOFF + "/return": _WHY,
    _HANDOFF + "/progress": _NOTE,
    _HANDOFF + "/told": _TOLD,
    _HANDOFF + "/replies": {"text": "已修复。"},
    _HANDOFF + "/paper-reply": {"text": "已修复。", "person": "李某", "approver": "王某"},
    _REPLY + "/refuse": _WHY,
    _REPLY + "/send-back": {"reason": "不完整", "requirements": "请补充"},
    _HANDOFF + "/extensions": _MORE_TIME,
    _HANDOFF + "/extensions?oral": {**_MORE_TIME, "oral": True},
    _HANDOFF + "/extensions/{extension_id}/decide": {"outcome": "granted"},
    _LETTER + "/answer": _TOLD,
    _LETTER + "/instructions": {"text": "请尽快", "report_by": "2026-03-06"},
    _LETTER + "/instructions/{instruction_id}/follow-ups": _NOTE,
    _LETTER + "/instructions/{instruction_id}/end": _NOTE,
    "POST /publication/cases/{letter_id}/prepare": {
        **PUBLIC.model_dump(),
        "state_secret": False,
        "trade_secret": False,
        "privacy": False,
        "highly_sensitive": False,
    },
    "POST /reporting/spot-checks": {"units": ["yuzhong"], "from": "2026-03-02", "to": "2026-03-03", "size": 1},
    "PUT /reporting/spot-checks/{check_id}/letters/{place}/result": {"answers": ALL_YES},
    "POST /reporting/spot-checks/{check_id}/letters/{place}/settle": {"answers": {"facts-checked": "yes"}},
    "POST /reporting/spot-checks/{check_id}/close": {"reason": "检查权限"},
    "POST /reporting/assessments/{period}/what-if": yaml.safe_load(ASSESSMENT.read_text(encoding="utf-8")),
    "POST /publication/cases/{letter_id}/approve": {"text_hash": PUBLIC.hash},
    "POST /publication/cases/{letter_id}/withhold": {"grounds": ["privacy"]},
    "POST /publication/cases/{letter_id}/withdraw": {"ground": "inaccurate"},
}
"""`METHOD path[?case]` → the body; with a case, else without."""

QUERIES: Final[Mapping[str, Mapping[str, str]]] = {
    "GET /routing/mailboxes/{code}/letters?list=flagged": {"list": "flagged"},
    "GET /publication/notices": {"mailbox": RELATIONS["named"]},
    "GET /reporting/issues?unit": {"mailbox": RELATIONS["named"]},
    "GET /reporting/mailboxes/{code}/figures": {"from": "2026-03-02", "to": "2026-03-09"},
    "GET /reporting/city/figures": {"from": "2026-03-02", "to": "2026-03-09"},
}


def place(row: Row, letter: Letter, **known: str) -> str:
    """The path with its parts filled in."""
    code = RELATIONS["receiver"] if row.case == "department" else RELATIONS["named"]
    handoff = "s1" if row.stage == "forwarded" else "s2"
    parts = {"letter_id": letter.id, "slip_id": "s2", "handoff_id": handoff, "reply_id": "r1", "extension_id": "e1"}
    more = {
        "instruction_id": "i1",
        "code": code,
        "number": letter.number.ascii,
        "week": "2026-W10",
        "period": "2025-Q4",
        "indicator": "in-time",
        "place": "1",
        "id": "monthly-education-2026-03" if row.case == "unit" else "weekly-mayor-2026-W10",
        "kind": "html",
        "month": "2026-03",
        "part": "1",
        "suffix": "csv",
        "count": "1",
    }
    filled = {**parts, **more, **known}
    if row.key == "GET /intake/receipts/{code}":
        filled["code"] = known["receipt"]
    if row.key.endswith("/settle"):
        filled["check_id"] = known["disputed"]
    return row.key.partition(" ")[2].format(**filled)
