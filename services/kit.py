"""What all services of a process share: settings, clock, store, directory, calendar, printing, who signed in."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from services.identity import sign_in_of
from services.settings import Settings
from shared.calendar.clock import Clock
from shared.calendar.schedules import load_schedules
from shared.calendar.working_days import WorkingCalendar
from shared.directory import Directory, LiveDirectory, load_directory
from shared.messaging.changes import DirectoryChanges
from shared.security.sign_in import SignIn
from shared.security.sign_in_settings import SignInSettings
from shared.storage import Store
from shared.web.templates import Pages

if TYPE_CHECKING:
    from shared.printing.press import Press


@dataclass
class Kit:
    """What all services of a process share."""

    settings: Settings

    @cached_property
    def clock(self) -> Clock:
        """The one clock (architecture rule 11)."""
        return Clock(self.settings.clock_file)

    @cached_property
    def store(self) -> Store:
        """The document store."""
        return Store(self.settings.mongo_url, self.settings.namespace)

    @cached_property
    def changes(self) -> DirectoryChanges:
        """The directory's changes while running (R1.1)."""
        file = self.settings.directory_file
        live = LiveDirectory(load_directory(file), str(file))
        return DirectoryChanges(self.settings.kafka, self.namespace, live)

    @property
    def directory(self) -> Directory:
        """The directory of mailboxes (R1.1): one object whose content follows the changes once they are read."""
        return self.changes.directory

    @cached_property
    def calendar(self) -> WorkingCalendar:
        """Working days (R6.1)."""
        folder = self.settings.schedules_folder
        opening, closing = self.settings.hours()
        return WorkingCalendar(load_schedules(folder) if folder else (), opening=opening, closing=closing)

    @cached_property
    def press(self) -> "Press":
        """What makes PDFs (R4.6)."""
        from shared.printing.press import Press  # noqa: PLC0415 - its layout program takes 7 MB, and three services print nothing

        return Press(self.settings.fonts_folder)

    def pages(self, folder: Path | None = None) -> Pages:
        """Return what makes a service's pages of the templates in `folder`, or of the shared ones alone."""
        return Pages(folder, now=self.clock.now, rate=lambda: self.clock.rate, city=lambda: city_of(self.directory))

    @cached_property
    def sign_in(self) -> SignIn | None:
        """Who signed in at the city's identity provider; None: there is none."""
        return sign_in_of(SignInSettings(), self.settings, self.directory)

    @cached_property
    def form_secrets(self) -> tuple[bytes, ...]:
        """What forms are signed with, the first, and known by, all: `SESSION_SECRETS`, which change, then the receipts' secret."""
        return (*SignInSettings().secrets(), self.settings.secret())

    @property
    def namespace(self) -> str:
        """Prefix of topics, groups and databases."""
        return self.settings.namespace

    def group(self, service: str, part: str = "") -> str:
        """Return the consumer group of a service, or of one of its subscribers."""
        return f"{self.namespace}{service}{'-' + part if part else ''}"


def city_of(directory: Directory) -> str:
    """Return the city's name: what its mayor's mailbox is called, without the words for the mailbox (重庆市市长信箱 → 重庆市)."""
    mayor = directory.mayor
    return mayor.name.removesuffix(mayor.short_name or "") or mayor.name
