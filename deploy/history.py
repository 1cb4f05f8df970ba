"""`python -m deploy.history show|verify LETTER`, `verify --all`: the history of a letter, and whether it is unbroken (R10.1).

LETTER is a letter's id or its number, 渝府信〔2026〕17号 or YFX-2026-17. `verify` computes the chain of hashes anew from the store, and
compares every entry with the topic `letters`, which is the record: it says that the history is unbroken, or where it breaks. Exit status 0:
unbroken (also where routing has not recorded the newest facts yet), 1: broken, 2: it could not be checked.

What it costs: one letter reads its history, and one partition of `letters` from its start. `--all` reads the topic once and all histories
once; the topic is laid out by letter in a temporary file of some 400 bytes a fact, and memory stays the same however many letters there
are. A letter that seems broken is looked at again before it is called so, so services may run meanwhile.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.errors import KafkaError

from deploy.history_record import Layout, NoSuchTopic, Topic
from services.kit import Kit
from services.routing.chain import Kept, Verdict, check
from services.routing.history import History, Told
from services.routing.routes_history import what
from services.routing.steps import step_of
from services.settings import Settings, load_settings
from shared.calendar.zone import SHANGHAI
from shared.directory import Directory, DirectoryError
from shared.storage import Store, StoreUnavailable, translated

SUSPECTS = 200
"""Letters looked at again together."""
_CHINESE = re.compile(r"^(?P<prefix>[\u4e00-\u9fff]+)〔(?P<year>\d{4})〕(?P<serial>\d{1,9})号$")
_ASCII = re.compile(r"^(?P<prefix>[A-Z]+)-(?P<year>\d{4})-(?P<serial>\d{1,9})$")


class NoSuchLetter(Exception):
    """No letter has this id or number."""


async def letter_of(settings: Settings, store: Store, text: str) -> str:
    """Return the id of a letter by its id or number.

    Raises:
        NoSuchLetter: no letter has that number.
        DirectoryError: the directory's file is refused, or contradicts the changes.
        KafkaError: the broker was asked for mailboxes that were added since, and does not answer.
    """
    number = _CHINESE.match(text) or _ASCII.match(text)
    if number is None:
        return text
    kit = Kit(settings)
    code = _mailbox_of(number["prefix"], kit.directory)
    if code is None:  # a mailbox that was added while services ran, or none
        await kit.changes.read_once(missing_is_empty=True)
        code = _mailbox_of(number["prefix"], kit.directory)
    if code is not None:
        line = f"{code}/{number['year']}/{int(number['serial']):09d}"
        with translated():
            found = await store.collection("intake", "register").find_one({"_id": line})
        if found is not None:
            return str(found["letter_id"])
    raise NoSuchLetter(f"没有编号为 {text} 的来信 / no letter has the number {text}")


def _mailbox_of(prefix: str, directory: Directory) -> str | None:
    for mailbox in directory.mailboxes():
        if mailbox.prefix is not None and prefix in {mailbox.prefix.chinese, mailbox.prefix.ascii}:
            return mailbox.code
    return None


@dataclass(slots=True)
class Checker:
    """Checks histories against the record."""

    history: History
    topic: Topic

    async def one(self, letter_id: str) -> tuple[Verdict, Layout]:
        """Check one letter; return also what was read of the topic.

        Raises:
            NoSuchLetter: neither the store nor the topic knows it.
        """
        await self.topic.look()
        kept = (await self.history.kept([letter_id]))[letter_id]
        with Layout(self.topic, letter_id) as record:
            await record.read_on()
            facts = record.facts(letter_id)
        if not kept.entries and not facts:
            raise NoSuchLetter(f"没有编号为 {letter_id[:64]} 的来信 / there is no letter {letter_id[:64]!r}")
        return check(letter_id, kept, facts, self.topic.handled), record

    async def all(self, record: Layout) -> AsyncIterator[Verdict]:
        """Check every letter that the store or the topic knows."""
        await record.read_on()
        suspects: list[str] = []
        async for letters in self.history.everything():
            record.check_off(letters)
            for letter_id, kept in letters.items():
                verdict = check(letter_id, kept, record.facts(letter_id), self.topic.handled)
                if verdict.breaks:
                    suspects.append(letter_id)
                else:
                    yield verdict
            while len(suspects) >= SUSPECTS:
                async for verdict in self._again(record, suspects[:SUSPECTS]):
                    yield verdict
                del suspects[:SUSPECTS]
        async for verdict in self._again(record, suspects):
            yield verdict
        for unseen in record.unseen():
            async for verdict in self._again(record, unseen):
                yield verdict

    async def _again(self, record: Layout, letter_ids: Sequence[str]) -> AsyncIterator[Verdict]:
        """Look at letters once more: the store first, then what the topic got meanwhile."""
        if not letter_ids:
            return
        histories: dict[str, Kept] = await self.history.kept(letter_ids)
        await record.read_on()
        for letter_id, kept in histories.items():
            yield check(letter_id, kept, record.facts(letter_id), self.topic.handled)


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────────


def said(verdict: Verdict) -> list[str]:
    """Return a verdict as lines."""
    late = (
        f"；另有 {verdict.behind} 件尚未记入，不是断裂 / {verdict.behind} facts are not recorded yet: routing is behind"
        if verdict.behind
        else ""
    )
    if not verdict.breaks:
        return [
            f"{verdict.letter_id}: 完整，共 {verdict.entries} 条 / unbroken, {verdict.entries} entries{late}; last {verdict.hash}"
        ]
    head = f"{verdict.letter_id}: 断裂，{len(verdict.breaks)} 处 / broken, {len(verdict.breaks)} findings{late}"
    return [head, *(f"  {one}" for one in verdict.breaks)]


def _strays(record: Layout) -> Iterable[str]:
    if record.stray:
        where = ", ".join(record.strays) + (" …" if record.stray > len(record.strays) else "")
        yield f"{record.stray} 条记录不属于任何来信 / {record.stray} records are no facts on any letter (see deploy.ops parked): {where}"


def shown(told: Told) -> list[str]:
    """Return an entry as lines; times are those of Asia/Shanghai."""
    entry, record = told.entry, told.record
    at = (
        datetime.fromisoformat(entry.fact.at).astimezone(SHANGHAI).isoformat(" ", "milliseconds")
        if entry.fact.at
        else "?"
    )
    details = " ".join(f"{name}={_word(value)}" for name, value in (record.details or {}).items())
    lines = [f"{entry.n:>4}  {at}  {step_of(entry.fact.type).category.label}  {what(told)}  {_word(record.by or '—')}"]
    lines += [f"      {line}" for line in (details, *record.why.splitlines()) if line]
    lines += [] if record.readable else ["      无法读取，未生效 / it could not be read and had no effect"]
    return [*lines, f"      {entry.fact.source} {entry.fact.seq}  {entry.hash}"]


def _word(value: Any) -> str:
    """Write a detail; a person as name and mailbox."""
    if isinstance(value, Mapping):
        name = value.get("name") or value.get("subject")
        return f"{name} ({value.get('mailbox')})" if name else "/".join(map(str, value.values()))
    return str(value)


async def _show(history: History, letter_id: str) -> int:
    after = 0
    while page := await history.page(letter_id, after, 200):
        for told in page:
            print("\n".join(shown(told)))
        after = page[-1].entry.n
    if not after:
        raise NoSuchLetter(f"没有 {letter_id[:64]} 的办理过程 / there is no history of {letter_id[:64]!r}")
    return 0


async def _verify(checker: Checker, letter_id: str) -> int:
    verdict, record = await checker.one(letter_id)
    print("\n".join([*said(verdict), *_strays(record)]))
    return 1 if verdict.breaks else 0


async def _verify_all(checker: Checker) -> int:
    await checker.topic.look()
    letters = entries = behind = broken = 0
    with Layout(checker.topic) as record:
        async for verdict in checker.all(record):
            letters, entries, behind = letters + 1, entries + verdict.entries, behind + verdict.behind
            if verdict.breaks:
                broken += 1
                print("\n".join(said(verdict)))
        print("\n".join(_strays(record)), end="\n" if record.stray else "")
        print(
            f"{letters} 件来信，{entries} 条，断裂 {broken} 件，尚未记入 {behind} 件 / "
            f"{letters} letters, {entries} entries, {broken} broken, {behind} facts not recorded yet, {record.read} records read"
        )
    return 1 if broken else 0


async def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked; return the exit status."""
    store = Store(settings.mongo_url, settings.namespace)
    history = History(store, settings.namespace)
    try:
        for service in ("intake", "routing"):
            await store.follow(service)
        if arguments.all:
            return await _verify_all(Checker(history, Topic(settings)))
        letter_id = await letter_of(settings, store, arguments.letter)
        if arguments.what == "show":
            return await _show(history, letter_id)
        return await _verify(Checker(history, Topic(settings)), letter_id)
    finally:
        store.close()


def chosen(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.history", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["show", "verify"])
    parser.add_argument("letter", nargs="?", help="id or number of a letter")
    parser.add_argument("--all", action="store_true", help="verify the histories of all letters")
    found = parser.parse_args(arguments)
    if bool(found.letter) == found.all or (found.all and found.what == "show"):
        parser.error("give one letter, or `verify --all`")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    asked = chosen(arguments)
    try:
        return asyncio.run(run(asked, load_settings()))
    except (NoSuchLetter, NoSuchTopic, StoreUnavailable, DirectoryError, KafkaError, OSError) as error:
        print(f"history: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
