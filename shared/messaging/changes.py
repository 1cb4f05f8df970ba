"""How a process knows the directory of mailboxes: the file, and then every change on the topic `directory` (R1.1).

A change counts once it is on the topic, for its author too: whoever knows of a new mailbox then can rely on that everybody else
can know of it, by `catch_up`.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from shared.contracts.catalogue import UnknownMessageType, parse
from shared.contracts.directory import DirectoryFact
from shared.contracts.envelope import BadEnvelope, attributes
from shared.directory import Directory, DirectoryError, LiveDirectory
from shared.messaging.broker import Record
from shared.messaging.connection import Kafka
from shared.messaging.following import Follower
from shared.messaging.kafka import UnknownTopicOrPartitionError

log = logging.getLogger(__name__)

DIRECTORY = "directory"
SOURCE = "routing"
OURS = "xinxiang."
POLL_SECONDS = 0.01


class DirectoryChanges:
    """Keeps a process's directory up to date.

    Args:
        kafka: the connection.
        namespace: prefix of all names.
        live: the directory.
    """

    def __init__(self, kafka: Kafka, namespace: str, live: LiveDirectory) -> None:
        self.live = live
        self._follower = Follower(kafka, namespace + DIRECTORY, self._take)

    @property
    def directory(self) -> Directory:
        """The one directory of the process."""
        return self.live.directory

    async def start(self) -> None:
        """Take all changes there are and follow those to come; again: only look whether all is well.

        Raises:
            KafkaError: the broker does not answer, or the topic is missing.
            DirectoryError: the file contradicts the changes.
        """
        await self._follower.start()
        self.check()

    async def read_once(self, *, missing_is_empty: bool = False) -> None:
        """Take all changes there are; for a command that runs and ends.

        Raises:
            KafkaError: the broker does not answer, or the topic is missing.
            DirectoryError: the file contradicts the changes.
        """
        try:
            await self._follower.read_once()
        except UnknownTopicOrPartitionError:
            if not missing_is_empty:
                raise
        self.check()

    def check(self) -> None:
        """Check that the directory can be relied on.

        Raises:
            DirectoryError: the file contradicts the changes, or one cannot be read.
        """
        if self.live.wrong is not None:
            raise self.live.wrong

    async def catch_up(self, seconds: float = 10.0) -> bool:
        """Wait until every change that is on the topic now is in the directory; return whether that was so in time."""
        return await self._follower.catch_up(seconds)

    async def knows(self, code: str) -> bool:
        """Whether the directory has a mailbox; before it denies that, it makes sure that it is up to date."""
        if code in self.directory:
            return True
        await self.catch_up()
        return code in self.directory

    async def reached(self, version: int, seconds: float) -> bool:
        """Wait until the directory has so many changes; return whether that was so in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.directory.version < version:  # noqa: ASYNC110 - for the author of a change only
                    await asyncio.sleep(POLL_SECONDS)
        return self.directory.version >= version

    async def stop(self) -> None:
        """Follow no longer."""
        await self._follower.stop()

    def _take(self, records: Sequence[Record]) -> None:
        facts: list[DirectoryFact] = []
        for record in records:
            try:
                facts.append(_read(record))
            except UnknownMessageType as error:
                # a newer release's change: without it, all that follows is uncertain
                log.exception("a change of the directory cannot be read", extra={"offset": record.offset})
                self.live.unreadable(f"directory/{record.partition}/{record.offset}", error)
            except (BadEnvelope, ValidationError) as error:
                # no release will ever read it, so it is no change for anybody; had it been one, its number would be missed
                log.exception(
                    "what is on the directory's topic is no change of it",
                    extra={"offset": record.offset},
                    exc_info=error,
                )
        self.live.take(facts)


def _read(record: Record) -> DirectoryFact:
    envelope = attributes(record.headers)
    if envelope.source != SOURCE:
        raise BadEnvelope(f"only {SOURCE} changes the directory, not {envelope.source[:64]!r}")
    if not envelope.type.startswith(OURS):
        raise BadEnvelope(f"{envelope.type[:64]!r} is no message of ours")
    fact = parse(envelope.type, record.value or b"")
    if not isinstance(fact, DirectoryFact):
        raise BadEnvelope(f"{type(fact).__name__} is no change of the directory")
    return fact


__all__ = ["DIRECTORY", "DirectoryChanges", "DirectoryError"]
