"""The assignee's reply (承办回复, R6.2): drafted, approved, recorded by hand, and sent back to be done again (退办, R7.3)."""

from datetime import datetime, timedelta, timezone

from services.routing.access import Tree, Who, base, check, find_handoff, required, visible
from services.routing.handling import check_owes_reply, received
from services.routing.models import Handoff, Reply, Stage, State
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    ReplyApproved,
    ReplyRefused,
    ReplySentBack,
    ReplySubmitted,
)
from shared.contracts.types import Actor, AnswerBy, Attachment, Channel, FormalDocument, Value, Way, same_person

CHONGQING = timezone(timedelta(hours=8))
"""Business time; Asia/Shanghai has had no other offset since 1991."""
BY_HAND = "by-hand"
"""The subject of somebody in an office that is not connected: they have no token."""


class ReplyText(Value):
    """What an assignee writes in a reply (承办回复, 附表6)."""

    text: str = ""
    """May be left out only where a formal document goes to the assigner."""
    document: FormalDocument | None = None
    attachments: tuple[Attachment, ...] = ()
    channel: Channel = Channel.ONLINE
    """How the assignee answers the citizen, where the slip asks it to (R8.3); by phone, `text` is the note of the call."""


class PaperReply(ReplyText):
    """A reply that came by fax or post, as the assigner records it (R4.2)."""

    person: str
    """Who handled it, by the paper (R6.2)."""
    approver: str
    """Who approved it there, by the paper (R6.2)."""
    channel: Channel = Channel.PHONE


def _check_text(handoff: Handoff, reply: ReplyText, now: datetime) -> None:
    """Check that a reply has what it must have (R6.2, R8.3)."""
    document = reply.document
    if document is None or handoff.answer_by is AnswerBy.ASSIGNEE:
        required(reply.text, "R6.2", "/text")
    if document is not None:
        required(document.number, "R6.2", "/document/number")
        if document.dated > now.astimezone(CHONGQING).date():
            raise BadInput(
                "R6.2", "正式行文的日期不能在今天之后 / A formal document is not dated after today", "/document/dated"
            )
        if handoff.written_reply and document.scan is None:
            raise BadInput(
                "R6.2",
                "要求书面回复的，正式行文须附扫描件 / Where a written reply is required, the formal document needs its scan",
                "/document/scan",
            )


def submit_reply(
    state: State | None, who: Who, tree: Tree, handoff_id: str, reply: ReplyText, now: datetime
) -> list[Fact]:
    """Draft the reply; a new draft takes the place of one that still waits (R6.2)."""
    state, handoff = received(state, ReplySubmitted, who, tree, handoff_id)
    check_owes_reply(handoff, "R6.2")
    if handoff.by_hand:
        raise RuleBroken(
            "R4.2",
            "该件以传真或邮寄交办，收到的回复请直接登记 / It went by fax or post: record the reply that came by hand",
        )
    _check_text(handoff, reply, now)
    return [_submitted(state, who, handoff, reply, now)]


def _submitted(state: State, who: Who, handoff: Handoff, reply: ReplyText, now: datetime) -> ReplySubmitted:
    return ReplySubmitted(
        **base(state, who, now),
        handoff_id=handoff.id,
        reply_id=f"r{state.drafted + 1}",
        text=reply.text,
        document=reply.document,
        attachments=reply.attachments,
        channel=reply.channel,
    )


def _waiting_draft(handoff: Handoff, reply_id: str | None) -> Reply:
    """Return the draft that waits for the head; `reply_id` none: whichever it is."""
    draft = handoff.draft
    assert draft is not None
    if reply_id is None or reply_id == draft.id:
        return draft
    if not any(reply.id == reply_id for reply in handoff.replies):
        raise NotFound("R6.2", f"没有编号为 {reply_id[:20]} 的回复 / This hand-off has no reply {reply_id[:20]!r}")
    raise RuleBroken(
        "R6.2",
        f"该稿已被 {draft.id} 取代，请审核新稿 / The draft {draft.id} took its place; read and decide on that one",
    )


def refuse_reply(
    state: State | None, who: Who, tree: Tree, handoff_id: str, reply_id: str | None, reason: str, now: datetime
) -> list[Fact]:
    """Give the draft back to its author, with the reason (R6.2)."""
    state, handoff = received(state, ReplyRefused, who, tree, handoff_id)
    draft = _waiting_draft(handoff, reply_id)
    return [
        ReplyRefused(
            **base(state, who, now),
            handoff_id=handoff.id,
            reply_id=draft.id,
            reason=required(reason, "R6.2", "/reason"),
        )
    ]


def approve_reply(
    state: State | None, who: Who, tree: Tree, handoff_id: str, reply_id: str | None, now: datetime
) -> list[Fact]:
    """Approve what somebody else drafted (R6.2); where the assignee answers the citizen, that is done with it (R8.3)."""
    state, handoff = received(state, ReplyApproved, who, tree, handoff_id)
    draft = _waiting_draft(handoff, reply_id)
    if same_person(who.actor, draft.author):
        raise RuleBroken(
            "R6.2", "承办回复须由拟稿人以外的负责人审批 / The reply must be approved by somebody else than its author"
        )
    return _approved(state, who, handoff, draft, now)


def _approved(state: State, who: Who, handoff: Handoff, reply: Reply, now: datetime, approver: str = "") -> list[Fact]:
    facts: list[Fact] = [
        ReplyApproved(
            **base(state, who, now),
            handoff_id=handoff.id,
            reply_id=reply.id,
            sender=handoff.sender,
            receiver=handoff.receiver,
            text=reply.text,
            author=reply.author,
            answer_by=handoff.answer_by,
            document=reply.document,
            attachments=reply.attachments,
            by_hand=handoff.by_hand,
            approver_name=approver,
        )
    ]
    if handoff.answer_by is AnswerBy.ASSIGNEE:
        facts.append(
            CitizenAnswered(
                **base(state, who, now),
                mailbox=handoff.receiver if handoff.by_hand else who.actor.mailbox,
                channel=reply.channel,
                text=reply.text,
                author=reply.author,
            )
        )
    return facts


def record_reply(
    state: State | None, who: Who, tree: Tree, handoff_id: str, paper: PaperReply, now: datetime
) -> list[Fact]:
    """Record a reply that came by fax or post from an office that is not connected (R4.2); it was approved there."""
    state, handoff = received(state, ReplySubmitted, who, tree, handoff_id)
    if not handoff.by_hand:
        raise RuleBroken(
            "R4.2",
            "该件已通过系统交办，由承办单位在系统内回复 / It went through the system: the assignee replies there itself",
        )
    _check_text(handoff, paper, now)
    person = required(paper.person, "R6.2", "/person")
    approver = required(paper.approver, "R6.2", "/approver")
    submitted = _submitted(state, who, handoff, paper, now)
    reply = Reply(
        id=submitted.reply_id,
        text=paper.text,
        document=paper.document,
        attachments=paper.attachments,
        channel=paper.channel,
        author=Actor(subject=BY_HAND, name=person, mailbox=handoff.receiver),
        at=now,
    )
    return [submitted, *_approved(state, who, handoff, reply, now, approver)]


def send_back(
    state: State | None,
    who: Who,
    tree: Tree,
    handoff_id: str,
    reply_id: str | None,
    reason: str,
    requirements: str,
    working_days: int | None,
    now: datetime,
) -> list[Fact]:
    """Send the reply back to be done again, any number of times, with a new limit (R7.3).

    Where the assignee answered the citizen with it (R8.3), the letter is reopened, and the reply that is done again answers the citizen
    anew. That is for the mayor's mailbox only, which supervises the others (R1.1): the one that assigns outside its own unit.
    """
    state, _ = visible(state, who, tree)
    handoff = find_handoff(state, handoff_id)
    check(state, ReplySentBack, who, handoff.sender, tree, handoff)
    if state.stage is Stage.FINISHED:
        _check_may_reopen(handoff, tree)
    reply = next(reply for reply in reversed(handoff.replies) if reply.decision and reply.decision.reason is None)
    if reply_id not in {None, reply.id}:
        raise NotFound("R7.3", f"待退办的回复是 {reply.id} / The reply that can be sent back is {reply.id}")
    return [
        ReplySentBack(
            **base(state, who, now),
            handoff_id=handoff.id,
            reply_id=reply.id,
            sender=handoff.sender,
            receiver=handoff.receiver,
            reason=required(reason, "R7.3", "/reason"),
            requirements=required(requirements, "R7.3", "/requirements"),
            count=1 + (handoff.sent_back[-1].count if handoff.sent_back else 0),
            working_days=working_days,
        )
    ]


def _check_may_reopen(handoff: Handoff, tree: Tree) -> None:
    by_mayor = handoff.way is Way.ASSIGN and handoff.receiver not in tree.same_unit(handoff.sender)
    if not by_mayor:
        raise Forbidden(
            "R7.3",
            "来信已答复办结，只有市长信箱可以退办 / The citizen was answered: only the mayor's mailbox reopens a finished letter",
        )
    if handoff.answer_by is not AnswerBy.ASSIGNEE:
        raise RuleBroken(
            "R7.3",
            "交办单位已据此答复来信人，不能再退办 / The assigner answered the citizen with this reply; it cannot be sent back any more",
        )
