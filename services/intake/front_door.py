"""The front door: validates what a citizen sends and appends it to `submissions`."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cachetools import LRUCache, TTLCache

from services.intake.attachments import Attachments
from services.intake.backlog import Backlog
from services.intake.forms import Submission, check_classification, check_mailbox
from shared.contracts.envelope import event_id, pack
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import Attachment, Classification
from shared.directory import Directory
from shared.messaging.kafka import NOT_SENT, KafkaBroker
from shared.observability.tracing import current_traceparent
from shared.security.receipts import fingerprint_of, letter_id, receipt_code
from shared.web.problems import Busy, FieldError, Problem, ServiceUnavailable

SEND_SECONDS = 4.0
FRESH_SECONDS = 600
IN_FLIGHT = 2_000
"""Submissions that may wait for Kafka at once; more are asked to come back."""
SOON = 2
"""Seconds."""


@dataclass
class FrontDoor:
    """Validates and appends to `submissions`; needs Kafka and nothing else."""

    broker: KafkaBroker
    namespace: str
    secret: bytes
    directory: Directory
    attachments: Attachments
    backlog: Backlog
    now: Any
    _waiting: int = 0
    _known: LRUCache[str, str] = field(default_factory=lambda: LRUCache(maxsize=20_000))
    _fresh: TTLCache[str, None] = field(default_factory=lambda: TTLCache(maxsize=20_000, ttl=FRESH_SECONDS))

    def just_given(self, receipt: str) -> bool:
        """Whether this receipt was given out moments ago: its letter may not be stored yet, and asking for it is no guess."""
        return receipt in self._fresh

    def examine(self, submission: Submission) -> tuple[Classification, list[Attachment]]:
        """Return what a letter is about and its files, looked up in the directory and by their signatures.

        Raises:
            Problem: what a field names is not there (422).
        """
        classification = submission.classification(self.directory)
        wrong = check_mailbox(submission.mailbox, self.directory) + check_classification(classification, self.directory)
        files = [self.attachments.verify(signed) for signed in submission.attachments]
        wrong += [
            FieldError(
                f"/attachments/{position}",
                "附件无效或上传已超过一天，请重新上传",
                "Not an attachment of ours, or uploaded more than a day ago; upload the file again",
                "R2.2",
            )
            for position, file in enumerate(files)
            if file is None
        ]
        if wrong:
            raise Problem(
                422,
                "填写内容有误 / Some fields are wrong",
                "Correct the fields listed under 'errors' and send the request again.",
                slug="invalid-fields",
                errors=wrong,
            )
        return classification, [file for file in files if file is not None]

    def let_in(self) -> None:
        """Let a letter in: in a rush asked before its body is even read, and by `accept` again.

        Raises:
            Busy: so many letters wait that this one must come later.
        """
        later = SOON if self._waiting >= IN_FLIGHT else self.backlog.come_back_in()
        if later is not None:
            raise Busy(later)

    async def accept(self, submission: Submission, key: str) -> tuple[str, datetime]:
        """Accept a letter; return its receipt code and the time.

        Raises:
            Problem: a field is wrong (422), or the key was used for another letter (422).
            ServiceUnavailable: Kafka did not acknowledge; the same request may be sent again.
            Busy: so many letters wait that this one must come later.
        """
        classification, files = self.examine(submission)
        unused = set() if submission.reported_names else {"reported_names"}
        fingerprint = fingerprint_of(submission.model_dump_json(exclude=unused).encode())
        if self._known.setdefault(key, fingerprint) != fingerprint:
            raise Problem(
                422,
                "重复使用了提交标识 / The Idempotency-Key was used before",
                "This Idempotency-Key came with another letter. Use a fresh one for each letter; the same one only to repeat a request.",
                slug="idempotency-key-reused",
                rule="R2.2",
            )
        now: datetime = self.now()
        new_id = letter_id(self.secret, key, fingerprint)
        accepted = SubmissionAccepted(
            letter_id=new_id,
            at=now,
            mailbox=submission.mailbox,
            subject=submission.subject,
            body=submission.body,
            contact=submission.sender.contact(),
            classification=classification,
            may_publish=submission.may_publish,
            attachments=tuple({file.id: file for file in files}.values()),
        )
        await self._append(accepted)
        receipt = receipt_code(self.secret, new_id)
        self._fresh[receipt] = None
        return receipt, now

    async def _append(self, accepted: SubmissionAccepted) -> None:
        self.let_in()
        message = pack(
            accepted,
            topic="submissions",
            letter_id=accepted.letter_id,
            source="intake",
            id=event_id(accepted.letter_id, "intake", 0, "submission"),
            time=accepted.at,
            traceparent=current_traceparent(),
        )
        self._waiting += 1
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.broker.publish(
                    message.value,
                    topic=self.namespace + message.topic,
                    key=message.key.encode(),
                    headers=message.headers,
                )
        except NOT_SENT as error:
            raise ServiceUnavailable("Kafka") from error
        finally:
            self._waiting -= 1
