"""`python -m deploy.acls apply|check|show`: Kafka's users and their rights, as `deploy/acls.yaml` declares them.

One user for each service, for the operator, and for each mailbox that is not closed. `apply` makes what is missing and takes away what is
too much, as of units that were closed since; safely repeated. It needs the credentials of a super user (`KAFKA_USERNAME`, …).
`check` changes nothing and ends with 1 where something is missing or too much. `show` prints the rights; with `--format kafka-acls` as
commands of Kafka's own tools.
"""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.acl_admin import Authority, Refused
from deploy.acl_rights import DECLARED, Right, commands, prefix, rights
from services.kit import Kit
from services.settings import Settings, WrongSettings, load_settings
from shared.directory import DirectoryError
from shared.messaging.connection import client_options, said_of, why_refused

PASSWORD_BYTES = 32


@dataclass
class Found:
    """How the broker differs from what is declared, or what was done about it."""

    missing: set[Right] = field(default_factory=set)
    surplus: set[Right] = field(default_factory=set)
    new_users: set[str] = field(default_factory=set)
    old_users: set[str] = field(default_factory=set)
    strangers: set[Right] = field(default_factory=set)
    """Rights that users have who are not ours, on our topics: told, and left."""
    without_file: set[str] = field(default_factory=set)
    """Users who have a password that is in no file."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus or self.new_users or self.old_users)


async def wanted(settings: Settings, *, one_process: bool = False, file: Path = DECLARED) -> list[Right]:
    """Return the rights that are declared for the directory as it is now: its file, and what was changed while running.

    Raises:
        DirectoryError: the file is refused, or contradicts the changes.
        KafkaError: the broker does not answer.
    """
    kit = Kit(settings)
    await kit.changes.read_once(missing_is_empty=True)
    codes = [mailbox.code for mailbox in kit.directory.open_mailboxes()]
    return rights(settings.namespace, codes, one_process=one_process, file=file)


async def apply(
    settings: Settings,
    passwords: Path | None,
    *,
    rotate: Collection[str] = (),
    one_process: bool = False,
    file: Path = DECLARED,
) -> Found:
    """Make users and rights what they should be; without `passwords` only look.

    Args:
        settings: with the credentials of a super user.
        passwords: a folder with one file for each user, named after it: read where it is there, else made, for its owner's eyes only.
        rotate: users who get a new password.
        one_process: also the user of `python -m services all`.
        file: the declaration.

    Raises:
        Refused: the broker does not do it.
        KafkaError: it does not answer.
    """
    declared = set(await wanted(settings, one_process=one_process, file=file))
    users = {right.user for right in declared}
    unknown = set(rotate) - users
    if unknown:
        raise Refused(f"there is no user {', '.join(sorted(unknown))}; `show` lists them")
    ours = prefix(settings.namespace)
    admin = AIOKafkaAdminClient(**client_options(settings.kafka), request_timeout_ms=60_000)
    await admin.start()
    try:
        authority = Authority(admin)
        there, known = await authority.rights(), await authority.users()
        found = Found(
            missing=declared - there,
            surplus={right for right in there if right.user.startswith(ours)} - declared,
            new_users=users - known,
            old_users={user for user in known if user.startswith(ours)} - users,
            strangers={
                right
                for right in there
                if not right.user.startswith(ours) and _touches(right, declared, settings.namespace)
            },
        )
        if passwords is not None:
            await _take_away(authority, found, passwords)
            await authority.give(found.missing)
            found.without_file = {user for user in users & known if not (passwords / user).exists()} - set(rotate)
            first = {user: _password(passwords / user) for user in sorted(found.new_users - set(rotate))}
            others = {user: _new_password(passwords / f"{user}.new") for user in sorted(set(rotate))}
            await authority.set_passwords(first | others)
            for user in others:  # not before the broker has it: until then the old password is the one that works
                (passwords / f"{user}.new").replace(passwords / user)
        return found
    finally:
        await admin.close()


async def _take_away(authority: Authority, found: Found, passwords: Path) -> None:
    await authority.take(found.surplus)
    await authority.forget(sorted(found.old_users))
    for user in found.old_users:
        (passwords / user).unlink(missing_ok=True)


def _touches(right: Right, declared: Collection[Right], namespace: str) -> bool:
    """Whether a right is on one of our topics or groups."""
    if right.name == "*":
        return True
    if namespace:
        return right.name.startswith(namespace) or (right.prefixed and namespace.startswith(right.name))
    return any(
        mine.resource == right.resource
        and (
            mine.name == right.name
            or (mine.prefixed and right.name.startswith(mine.name))
            or (right.prefixed and mine.name.startswith(right.name))
        )
        for mine in declared
    )


def _password(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.exists() else _new_password(file)


def _new_password(file: Path) -> str:
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as made:
        made.write(password + "\n")
    return password


def told(found: Found, *, done: bool) -> list[str]:
    """Return in words what differs, or what was done."""
    lines = [f"{'given' if done else 'missing'}  {right}" for right in sorted(found.missing)]
    lines += [f"{'taken' if done else 'too much'}  {right}" for right in sorted(found.surplus)]
    lines += [f"user {'made' if done else 'missing'}  {user}" for user in sorted(found.new_users)]
    lines += [f"user {'removed' if done else 'too much'}  {user}" for user in sorted(found.old_users)]
    lines += [f"another's, left  {right}" for right in sorted(found.strangers)]
    lines += [
        f"{user} has a password that is in no file; --rotate {user} makes a new one"
        for user in sorted(found.without_file)
    ]
    return lines


async def _run(given: argparse.Namespace, settings: Settings) -> int:
    if given.what == "show":
        # The file's directory alone: no broker is asked.
        codes = [mailbox.code for mailbox in Kit(settings).directory.open_mailboxes()]
        shown = rights(settings.namespace, codes, one_process=given.one_process, file=given.file)
        lines = commands(shown, settings.kafka_bootstrap) if given.format == "kafka-acls" else map(str, shown)
        print(*lines, sep="\n")
        return 0
    folder = given.passwords if given.what == "apply" else None
    found = await apply(settings, folder, rotate=given.rotate, one_process=given.one_process, file=given.file)
    for line in told(found, done=folder is not None):
        print(line)
    if folder is None:
        print("acls: the broker differs from deploy/acls.yaml" if found else "acls: as declared")
        return 1 if found else 0
    print(
        f"acls: {len(found.missing)} rights given, {len(found.surplus)} taken, {len(found.new_users)} users made, "
        f"{len(found.old_users)} removed, {len(set(given.rotate))} passwords changed"
    )
    return 0


async def _why(settings: Settings, error: KafkaError) -> str:
    return await why_refused(settings.kafka) or said_of(error, settings.kafka) or f"{type(error).__name__} {error}"


def main(arguments: list[str] | None = None) -> int:
    """Apply, check or show; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.acls", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["apply", "check", "show"])
    parser.add_argument("--passwords", type=Path, help="for apply: folder with a file for each user's password")
    parser.add_argument(
        "--rotate", action="append", default=[], metavar="USER", help="for apply: a new password for it"
    )
    parser.add_argument("--one-process", action="store_true", help="also a user for `python -m services all`")
    parser.add_argument("--file", type=Path, default=DECLARED, help="another declaration than deploy/acls.yaml")
    parser.add_argument("--format", choices=["table", "kafka-acls"], default="table", help="for show")
    given = parser.parse_args(arguments)
    if given.what == "apply" and given.passwords is None:
        parser.error("apply needs --passwords, a folder for the users' passwords")
    try:
        settings = load_settings()
    except WrongSettings as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return asyncio.run(_run(given, settings))
    except KafkaError as error:
        print(f"acls: {asyncio.run(_why(settings, error))}", file=sys.stderr)
    except (Refused, DirectoryError) as error:
        print(f"acls: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
