"""Against floods: how often one address may write, upload and look letters up, and when a letter costs some work or waiting.

Counted per process, by address (IPv6: by /64 network), in bounded memory: with N processes the limits are up to N times as wide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from cachetools import TTLCache

from services.intake.challenge import LASTS, Challenges, Hurdle
from services.settings import Settings
from shared.security.rates import Limit, Rate
from shared.web.problems import Problem

QUICK_SECONDS: Final = 3
"""Nobody fills in the form and reads the summary in less."""


class TooMany(Problem):
    """429: too much came from this address; it may go on after ``seconds``."""

    def __init__(self, seconds: int, rule: str = "R2.2") -> None:
        super().__init__(
            429,
            "操作过于频繁，请稍后再试 / Too many requests",
            f"来自您的网络的请求过多，请在 {seconds} 秒后再试；已填写的内容不会丢失。 / Too many requests came from your network. "
            f"Send the same request again in {seconds} seconds.",
            slug="too-many-requests",
            rule=rule,
            headers={"Retry-After": str(seconds)},
        )
        self.seconds = seconds


class Reused(Problem):
    """409: this form was let through with another text, which may have been sent; this one needs a form of its own (R2.2)."""

    def __init__(self) -> None:
        super().__init__(
            409,
            "这个表单已用于另一封信 / The form was used for another letter",
            "同一表单先前的内容可能已经发出；请把现在的内容作为另一封信发送。 / What the form held before may have been sent. "
            "Send this text as another letter.",
            slug="form-reused",
            rule="R2.2",
        )


@dataclass(frozen=True)
class Attempt:
    """A letter that is about to be sent from a page."""

    address: str
    form: str
    """The form's key."""
    shown_at: int
    """When the form was first shown, real seconds since 1970."""
    content: str
    """A fingerprint of all that was typed."""
    solution: str = ""
    ticket: str = ""


class Floods:
    """All limits of one process."""

    def __init__(self, settings: Settings, seconds: Callable[[], float]) -> None:
        def limit(text: str) -> Limit:
            return Limit(Rate.read(text), seconds)

        self._mode = settings.challenge
        self._seconds = seconds
        self._challenges = Challenges(settings.secret(), settings.challenge_numbers, seconds)
        self._passed: TTLCache[str, str] = TTLCache(50_000, LASTS * 2, timer=seconds)
        """Form → what it was let through with. Work and waiting are good for one content of one form, however often it is sent."""
        self._free = limit(settings.challenge_free)
        self._busy = limit(settings.challenge_busy)
        self._write = limit(settings.write_limit)
        self._upload = limit(settings.upload_limit)
        self._follow = limit(settings.follow_limit)
        self._pages = limit(settings.form_limit)
        self._portal = limit(settings.portal_limit)
        self._portals: Sequence[IPv4Network | IPv6Network] = [ip_network(one) for one in settings.portal_addresses]
        self.limits_portals = bool(settings.portal_limit)
        """Whether sites that post letters are counted at all; by default they are not, and cost nothing."""

    def form(self, address: str) -> None:
        """Count a form that comes back, before its body is read. Raises TooMany."""
        _counted(self._pages, address)

    def upload(self, address: str) -> None:
        """Count an uploaded file. Raises TooMany."""
        _counted(self._upload, address)

    def follow(self, address: str) -> None:
        """Count a look at a letter. Raises TooMany."""
        _counted(self._follow, address)

    def portal(self, address: str) -> None:
        """Count a letter by the JSON endpoint, unless it comes from a portal of the city. Raises TooMany."""
        if self.limits_portals and not self._is_portal(address):
            _counted(self._portal, address)

    def file(self, address: str) -> None:
        """Count a file that comes without the page, unless it comes from a portal of the city. Raises TooMany.

        It counts as one from the page, since it takes as much room; and as a letter, where these are limited.
        """
        if not self._is_portal(address):
            self.portal(address)
            _counted(self._upload, address)

    def letter(self, attempt: Attempt) -> Hurdle | None:
        """Return what has to be done before a letter is taken; none: it may be sent.

        Raises:
            TooMany: the address has sent too many.
            Reused: something would have to be done, but the form's work and waiting went into another text.
        """
        if self._passed.get(attempt.form) == attempt.content:
            return None
        wait = self._write.wait(attempt.address)
        if wait:
            raise TooMany(wait)
        if self._mode == "off" or self._proved(attempt) or not self._is_suspicious(attempt):
            self._write.take(attempt.address)
            self._passed[attempt.form] = attempt.content
            return None
        if attempt.form in self._passed:
            raise Reused
        hurdle = self._challenges.hurdle(attempt.address, attempt.form)
        if isinstance(hurdle, int):
            raise TooMany(hurdle)
        return hurdle

    def _proved(self, attempt: Attempt) -> bool:
        if attempt.form in self._passed:
            return False
        return self._challenges.has_worked(attempt.solution, attempt.form) or self._challenges.has_waited(
            attempt.ticket, attempt.form
        )

    def _is_suspicious(self, attempt: Attempt) -> bool:
        if self._mode == "always":
            return True
        many = self._free.take(attempt.address) > 0
        busy = self._busy.take("") > 0
        return many or busy or self._seconds() - attempt.shown_at < QUICK_SECONDS

    def _is_portal(self, address: str) -> bool:
        try:
            there = ip_address(address)
        except ValueError:
            return False
        return any(there in network for network in self._portals)


def _counted(limit: Limit, address: str) -> None:
    wait = limit.take(address)
    if wait:
        raise TooMany(wait)
