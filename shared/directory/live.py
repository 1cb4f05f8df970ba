"""The directory of a running process: the file, and the changes in the order in which they came (R1.1)."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from shared.contracts.directory import DirectoryFact
from shared.directory.changes import applied, whole
from shared.directory.directory import Directory, subjects_of
from shared.directory.models import Mailbox
from shared.directory.problems import DirectoryError, DirectoryProblem

log = logging.getLogger(__name__)


class LiveDirectory:
    """Takes changes and lets everybody who holds `directory` see them, each version whole and checked.

    Args:
        seed: what the file says.
        source: the file's name, for errors.
    """

    def __init__(self, seed: Directory, source: str) -> None:
        self._seed = seed
        self._source = source
        self._waiting: dict[int, DirectoryFact] = {}
        self._history: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._came_or_left: dict[int, frozenset[str]] = {}
        self.directory = Directory(seed.mailboxes(), seed.all_domains(), seed.regions())
        """The one object that the whole process holds."""
        self.overlay: dict[str, Mailbox] = {}
        """Entries as changes have left them."""
        self.version = 0
        """How many changes have come, without a gap."""
        self.wrong: DirectoryError | None = None
        """Why the changes cannot be taken over; the directory then stays as it was before them."""
        self.listeners: list[Callable[[], None]] = []
        """Called after each swap."""

    @property
    def seed(self) -> Directory:
        """What the file says."""
        return self._seed

    @property
    def missing(self) -> bool:
        """Whether a change is here whose forerunner has not come."""
        return bool(self._waiting)

    def take(self, facts: Sequence[DirectoryFact]) -> None:
        """Take changes: each once, in the order of their versions, however often and in which order they come."""
        for fact in facts:
            if fact.directory_version > self.version:
                self._waiting.setdefault(fact.directory_version, fact)
        before = self.version
        while self.version + 1 in self._waiting:
            following = self._waiting.pop(self.version + 1)
            people = self._people_of(following.mailbox)
            self.overlay = applied(self.overlay, [following])
            self.version = following.directory_version
            if moved := people ^ self._people_of(following.mailbox):
                self._came_or_left[self.version] = moved
            self._history[following.mailbox].append(_shortened(following))
        if self.version != before:
            self._settle()

    def unreadable(self, where: str, error: Exception) -> None:
        """Note that there is a change that this release cannot read: what follows it cannot be taken over."""
        remedy = "run the release that wrote it, or a newer one"
        wrong = f"the change cannot be read ({type(error).__name__})"
        self.wrong = DirectoryError(self._source, [DirectoryProblem(where, "R1.1", wrong, remedy)])

    def reseed(self, seed: Directory) -> None:
        """Take over a file that was edited."""
        self._seed = seed
        self._settle()

    def history(self, code: str) -> list[dict[str, Any]]:
        """Return the changes of one mailbox, the oldest first: what, when, who, why; without the entries."""
        return list(self._history.get(code, ()))

    def between(self, after: int, version: int) -> list[dict[str, Any]]:
        """Return the changes with a version above `after` and up to `version`, in their order."""
        every = (one for changes in self._history.values() for one in changes)
        found = [one for one in every if after < one["directory_version"] <= version]
        return sorted(found, key=lambda one: one["directory_version"])

    def came_or_left(self, version: int) -> frozenset[str]:
        """Return whom a change made staff or leader of its mailbox, or who ceased to be (R1.3), each by their `subject_key`."""
        return self._came_or_left.get(version, frozenset())

    def _people_of(self, code: str) -> frozenset[str]:
        mailbox = self.overlay.get(code) or (self._seed.get(code) if code in self._seed else None)
        return frozenset() if mailbox is None else subjects_of(mailbox)

    def of(self, overlay: dict[str, Mailbox], version: int) -> Directory:
        """Return the directory as another version of the changes makes it.

        Raises:
            DirectoryError: the file contradicts them.
        """
        return whole(self._seed, overlay, version, f"{self._source}, with the changes made while running,")

    def _settle(self) -> None:
        try:
            made = self.of(self.overlay, self.version)
        except DirectoryError as error:
            self.wrong = error
            log.exception("the directory's file contradicts changes made while running", exc_info=error)
            return
        self.wrong = None
        self.directory.become(made)
        for listener in self.listeners:
            listener()


def _shortened(fact: DirectoryFact) -> dict[str, Any]:
    """Return a change without its entry: a city's changes of many years fit into memory."""
    return {
        "what": type(fact).__name__,
        **fact.model_dump(exclude={"entry"}),
        "name": fact.entry.name,
        "short_name": fact.entry.short_name,
    }
