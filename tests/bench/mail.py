"""Letters for the front door, ready as bytes: the sample's, each with a serial and a phone number of its own."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

SAMPLE = Path("deploy/sample/letters.jsonl")
PATH = "/intake/letters"
_SERIAL = "#######"
_PHONE = "###########"
_MARKS = re.compile(rb"#{11}|#{7}")
_IN_SUBJECT = re.compile(r"（(\d{7})）$")


def samples() -> list[dict[str, Any]]:
    """Return the sample letters as the front door takes them; about half of them are to the mayor."""
    with SAMPLE.open(encoding="utf-8") as lines:
        found = [orjson.loads(line) for line in lines]
    for letter in found:
        letter["may_publish"] = letter.pop("publication_consent")
    return found


class Mail:
    """Any number of distinct letters.

    Args:
        run: tells the letters of one run from those of another.
        wanted: which of the sample letters to use.
        changes: fields that all of them shall have.
    """

    def __init__(
        self,
        run: str,
        wanted: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self._run = run.encode()
        self._samples = [self._template({**letter, **(changes or {})}) for letter in samples() if wanted(letter)]

    @staticmethod
    def _template(letter: dict[str, Any]) -> tuple[bytes, bytes, bytes, bytes]:
        """Return the head's end and the body in three parts, between which serial and phone number stand."""
        letter["subject"] = f"{letter['subject'][:50]}（{_SERIAL}）"
        letter["sender"] = {**letter["sender"], "phone": _PHONE}
        # The marks must come in this order, whatever the sample's.
        body = orjson.dumps({"subject": letter.pop("subject"), **letter})
        before, between, after = _MARKS.split(body)
        return b"\r\nContent-Length: %d\r\n\r\n" % len(body), before, between, after

    def request(self, serial: int) -> bytes:
        """Return the whole request of the letter with this serial; the same serial gives the same request."""
        end, before, between, after = self._samples[serial % len(self._samples)]
        return (
            b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nIdempotency-Key: %b-%07d%b%b%07d%b138%08d%b"
            % (PATH.encode(), self._run, serial, end, before, serial, between, serial, after)
        )


def serial_of(subject: str) -> int:
    """Return the serial that stands in a letter's subject."""
    found = _IN_SUBJECT.search(subject)
    if found is None:
        raise ValueError("the subject has no serial: this is no letter of a measurement")
    return int(found[1])
