"""The one list of all messages: which topic carries which types, in which version."""

import re
from typing import Final

from shared.contracts import actions, directory, facts, mailbox, submissions
from shared.contracts.types import Value

FACTS: Final[tuple[type[facts.Fact], ...]] = (
    facts.LetterReceived,
    facts.LetterRead,
    facts.LetterReclassified,
    facts.LetterRegistered,
    facts.LetterDiscarded,
    facts.LetterErased,
    facts.LetterNoted,
    facts.SlipPrepared,
    facts.SlipRefused,
    facts.HandoffSent,
    facts.HandoffCollected,
    facts.SlipWithdrawn,
    facts.HandoffReturned,
    facts.CitizenTold,
    facts.ProgressRecorded,
    facts.ReplySubmitted,
    facts.ReplyRefused,
    facts.ReplyApproved,
    facts.ReplySentBack,
    facts.ExtensionRequested,
    facts.ExtensionDecided,
    facts.InstructionGiven,
    facts.InstructionFollowedUp,
    facts.InstructionEnded,
    facts.CitizenAnswered,
    facts.UrgingSent,
    facts.ReadingOverdue,
    facts.ReplyDueSet,
    facts.ReplyReminded,
    facts.ReplyOverdue,
    facts.ReplyDueChanged,
    facts.InstructionReminded,
    facts.DispositionOverdue,
    facts.UrgingDue,
    facts.PublicationPrepared,
    facts.LetterPublished,
    facts.PublicationWithheld,
    facts.PublicationWithdrawn,
    facts.NoticePosted,
    facts.NoticeRemoved,
)

SUBMISSIONS: Final[tuple[type[Value], ...]] = (submissions.SubmissionAccepted,)

MAILBOX: Final[tuple[type[mailbox.MailboxMessage], ...]] = (
    mailbox.LetterArrived,
    mailbox.AssignmentArrived,
    mailbox.ForwardArrived,
    mailbox.SubmissionArrived,
    mailbox.ContactDisclosed,
    mailbox.SlipGivenBack,
    mailbox.WithdrawalArrived,
    mailbox.ReturnArrived,
    mailbox.ReplyArrived,
    mailbox.SendBackArrived,
    mailbox.ResultArrived,
    mailbox.DueSet,
    mailbox.DueMoved,
    mailbox.ReminderArrived,
    mailbox.UrgingArrived,
    mailbox.ExtensionAsked,
    mailbox.ExtensionAnswered,
    mailbox.InstructionArrived,
    mailbox.InstructionDue,
    mailbox.DispositionDue,
    mailbox.ActionDone,
    mailbox.ActionRefused,
)

ACTIONS: Final[tuple[type[actions.Action], ...]] = (
    actions.PrepareSlip,
    actions.ApproveSlip,
    actions.RefuseSlip,
    actions.WithdrawSlip,
    actions.TellCitizen,
    actions.CollectLetter,
    actions.ReturnLetter,
    actions.RecordProgress,
    actions.SubmitReply,
    actions.ApproveReply,
    actions.RefuseReply,
    actions.RequestExtension,
    actions.DecideExtension,
    actions.RecordReply,
    actions.SendBackReply,
    actions.AnswerCitizen,
    actions.GiveInstruction,
    actions.FollowUpInstruction,
    actions.EndInstruction,
)

DIRECTORY: Final[tuple[type[directory.DirectoryFact], ...]] = (
    directory.MailboxAdded,
    directory.MailboxChanged,
    directory.MailboxClosed,
)

CATALOGUE: Final[dict[str, tuple[type[Value], ...]]] = {
    "letters": FACTS,
    "directory": DIRECTORY,
    "submissions": SUBMISSIONS,
    "mailbox.{code}": MAILBOX,
    "actions.{code}": ACTIONS,
}
"""Topic (or family of topics) → the message types it carries."""


def name_of(model: type[Value]) -> str:
    """Return a message's name, the same for all its versions."""
    version: int = model.version  # type: ignore[attr-defined]
    return model.__name__.removesuffix(f"V{version}")


def type_name(model: type[Value]) -> str:
    """Return the CloudEvents type of a message model, e.g. `xinxiang.LetterRegistered.v1`."""
    version: int = model.version  # type: ignore[attr-defined]
    return f"xinxiang.{name_of(model)}.v{version}"


BY_TYPE: Final[dict[str, type[Value]]] = {type_name(model): model for models in CATALOGUE.values() for model in models}
"""CloudEvents type → model, for every version that can still be read."""

TYPE_OF: Final[dict[type[Value], str]] = {model: name for name, model in BY_TYPE.items()}


_TYPE: Final = re.compile(r"xinxiang\.([A-Za-z]{1,60})\.v([1-9]\d{0,3})")


def is_newer(name: str) -> bool:
    """Whether a CloudEvents type is a later version of a message that this release knows: a newer release sent it."""
    found = _TYPE.fullmatch(name)
    if found is None or name in BY_TYPE:
        return False
    known = [model.version for model in BY_TYPE.values() if name_of(model) == found[1]]  # type: ignore[attr-defined]
    return bool(known) and int(found[2]) > max(known)


class UnknownMessageType(Exception):
    """A message carries a type that this release does not know: newer than this service, or not ours."""

    def __init__(self, name: str) -> None:
        self.newer = is_newer(name)
        """Whether a newer release will know it."""
        super().__init__(
            f"{name} is of a newer release: upgrade this service, and it is taken by itself"
            if self.newer
            else f"unknown message type {name!r}; known types are listed in shared/contracts/catalogue.py"
        )


def parse(name: str, value: bytes | str) -> Value:
    """Validate a message's JSON by its CloudEvents type and lift it to the newest version of its model.

    Raises:
        UnknownMessageType: no model for `name`.
        pydantic.ValidationError: the JSON does not fit the model.
    """
    model = BY_TYPE.get(name)
    if model is None:
        raise UnknownMessageType(name)
    message: Value = model.model_validate_json(value)
    while (upgrade := getattr(message, "upgrade", None)) is not None:
        message = upgrade()
    return message
