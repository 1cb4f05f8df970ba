"""Keys and secrets in use, and their change: ``python -m shared.security.keys list|new|rotate|add|retire``.

Nothing here is sent anywhere: a secret's new values are printed, for the place where the city keeps its secrets; the key set's file
(`JWKS_FILE`) is changed whole or not at all, and services read it again within a second.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from shared.security.issue import KEYS_DIR, make_signing_key, refused_in_production, write_whole
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import KeySetError, TokenSettings, is_for_demonstrations, is_inline, read_keys

NEVER = (
    "RECEIPT_SECRET never changes: every letter's id and every receipt code follow from it. With another one no citizen's code would find "
    "their letter any more, and a repeated sending would make a second letter. If somebody has read it, they can make the code of a letter "
    "whose id they know: keep ids from them (they stand in no public page), and tell the city's security office."
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The three values that `SESSION_SECRETS` has one after the other; between two of them all services are restarted."""

    announced: str
    """The new secret is read everywhere, and nowhere used yet."""
    used: str
    """The new secret is used, the old ones are still read."""
    retired: str
    """The old ones are gone; what was made with them is no good any more."""


def rotated(secrets: str) -> Rotation:
    """Return how `SESSION_SECRETS` (its value now, perhaps empty) gets a new secret without anybody being signed out."""
    old = [part.strip() for part in secrets.split(",") if part.strip()]
    new = token_urlsafe(32)
    return Rotation(",".join([*old, new]), ",".join([new, *old]), new)


def fingerprint(secret: str | bytes) -> str:
    """Return by what a secret is recognised without being known: 8 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).hexdigest()[:8]


def keys_in_use(environ: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """Return what is in use: for each key and secret `of` (the setting), `id`, `does` and `for_demonstrations`."""
    tokens, sign_in = TokenSettings(), SignInSettings()
    found: list[dict[str, Any]] = []
    try:
        described = _described(tokens.jwks_file)
    except KeySetError as error:
        found.append({"of": "JWKS_FILE", "id": "", "does": str(error), "for_demonstrations": False})
        described = []
    found += [
        {
            "of": "JWKS_FILE",
            "id": str(key.get("kid", "")),
            "does": f"verifies tokens ({key.get('alg') or key.get('kty')})",
            "for_demonstrations": is_for_demonstrations(key),
        }
        for key in described
    ]
    if sign_in.oidc_issuer:
        does = "its keys verify sign-ins and access tokens; it rotates them itself"
        found.append({"of": "OIDC_ISSUER", "id": sign_in.oidc_issuer, "does": does, "for_demonstrations": False})
    for number, secret in enumerate(sign_in.secrets()):
        does = "makes sessions and forms, and reads them" if number == 0 else "reads sessions and forms"
        found.append({"of": "SESSION_SECRETS", "id": fingerprint(secret), "does": does, "for_demonstrations": False})
    receipt = environ.get("RECEIPT_SECRET")
    does = "makes letter ids and receipt codes; never changes"
    known = {"id": fingerprint(receipt) if receipt else "not set", "for_demonstrations": not receipt}
    return [*found, {"of": "RECEIPT_SECRET", "does": does, **known}]


def add_keys(jwks: Path, new: Path) -> list[str]:
    """Add the public keys of one JWKS file to another, which services read; return the ids of those added.

    Raises:
        KeySetError: one of the files cannot be used, or a key has the id of another key.
    """
    there = {str(key.get("kid")): key for key in _described(str(jwks))} if jwks.exists() else {}
    added = []
    for key in _described(str(new)):
        kid = str(key.get("kid") or "")
        if not kid:
            raise KeySetError(f"a key of {new} has no kid, so tokens could not name it")
        if there.setdefault(kid, key) is key:
            added.append(kid)
        elif there[kid] != key:
            raise KeySetError(
                f"{jwks} has another key with the id {kid}; retire that first, or give the new one another id"
            )
    _write(jwks, list(there.values()))
    return added


def retire_key(jwks: Path, kid: str) -> None:
    """Take a key out: tokens that it signed are refused within a second.

    Raises:
        KeySetError: the file has no such key, or no other.
    """
    keys = _described(str(jwks))
    left = [key for key in keys if key.get("kid") != kid]
    if len(left) == len(keys):
        raise KeySetError(f"{jwks} has no key {kid}; it has: {', '.join(str(key.get('kid')) for key in keys)}")
    if not left:
        raise KeySetError(f"{kid} is the only key of {jwks}: add the next one first, or nobody could come in")
    _write(jwks, left)


def rotate_signing_key(folder: Path) -> str:
    """Make a new key for the token command of demonstrations; what the old one signed stays good until that is retired."""
    make_signing_key(folder)
    return str(_described(str(folder / "jwks.json"))[0]["kid"])


def _described(source: str) -> list[dict[str, Any]]:
    read_keys(source)
    text = source if is_inline(source) else Path(source).read_text("utf-8")
    keys: list[dict[str, Any]] = json.loads(text)["keys"]
    return keys


def _write(file: Path, keys: Sequence[Mapping[str, Any]]) -> None:
    write_whole(file, json.dumps({"keys": keys}, indent=1).encode(), 0o644)


def _shown() -> Iterator[str]:
    for line in keys_in_use():
        mark = "  [DEMONSTRATION]" if line["for_demonstrations"] else ""
        yield f"{line['of']:16} {line['id']:12} {line['does']}{mark}"


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked; return 0, or 1 where it could not be done."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.security.keys", description="Keys and secrets, and their change."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what is in use, without showing any secret")
    commands.add_parser("new", help="a new secret, for SESSION_SECRETS or RECEIPT_SECRET")
    rotate = commands.add_parser("rotate", help="what to set, one after the other, for a new secret or key")
    rotate.add_argument("what", choices=["session", "signing", "receipt"])
    rotate.add_argument("--keys-dir", type=Path, default=KEYS_DIR, help="signing: the demonstration's keys")
    add = commands.add_parser("add", help="add the public keys of a provider's JWKS file to JWKS_FILE")
    add.add_argument("file", type=Path)
    retire = commands.add_parser("retire", help="take a key out of JWKS_FILE")
    retire.add_argument("kid")
    asked = parser.parse_args(arguments)
    jwks = Path(TokenSettings().jwks_file)
    try:
        lines = list(_done(asked, jwks))
    except (KeySetError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def _done(asked: argparse.Namespace, jwks: Path) -> Iterator[str]:
    match asked.command, getattr(asked, "what", ""):
        case "list", _:
            yield from _shown()
        case "new", _:
            yield token_urlsafe(32)
        case "rotate", "session":
            values = rotated(os.environ.get("SESSION_SECRETS", ""))
            yield "1. Set this everywhere and restart the services, one after the other. Nobody notices:"
            yield f"SESSION_SECRETS={values.announced}"
            yield "2. When all run with it, set this and restart them again. Nobody notices:"
            yield f"SESSION_SECRETS={values.used}"
            yield "3. A day later, when what the old one made has expired; or at once, if somebody has read it (all sign in again):"
            yield f"SESSION_SECRETS={values.retired}"
        case "rotate", "receipt":
            raise KeySetError(NEVER)
        case "rotate", "signing":
            refused = refused_in_production()
            if refused is not None:
                raise KeySetError(refused)
            yield f"new key {rotate_signing_key(asked.keys_dir)}; retire the old one when its last token has expired (8 hours)"
        case "add", _:
            yield f"added to {jwks}: {', '.join(add_keys(jwks, asked.file)) or 'nothing, it has them all'}"
        case _:
            retire_key(jwks, asked.kid)
            yield f"{asked.kid} is no longer in {jwks}; tokens that it signed are refused from now on"


if __name__ == "__main__":
    raise SystemExit(main())
