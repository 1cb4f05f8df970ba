"""Tokens for demonstrations and tests: ``python -m shared.security.issue --subject zhang --mailbox mayor --role clerk``.

A city's own identity provider issues the real ones. The first use makes an Ed25519 key pair and its ``jwks.json``.
"""

import argparse
import base64
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from shared.security.tokens import AUDIENCE, DEMONSTRATION, Caller, Role, is_for_demonstrations

KEYS_DIR = Path(".local/keys")
_PRIVATE = "signing.pem"
_PUBLIC = "jwks.json"


def ensure_keys(directory: str | Path = KEYS_DIR) -> Path:
    """The path of ``jwks.json`` in ``directory``, made together with the private key (mode 0600) if they are not there.

    Safe to call from several processes at once: the first key that is in place counts. Raises OSError if the folder cannot be
    written, ValueError if the private key there is not an Ed25519 key.
    """
    folder = Path(directory)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = folder / _PRIVATE
    if not private.exists():
        fresh = _written_beside(private, _new_key(), 0o600)
        try:
            os.link(fresh, private)
        except FileExistsError:
            pass  # another process was first: its key counts
        finally:
            fresh.unlink()
    public = folder / _PUBLIC
    mine = _public_jwk(_private_key(folder))
    described = json.dumps({"keys": [mine, *_others(public, mine["kid"])]}, indent=1).encode()
    if not public.exists() or public.read_bytes() != described:
        write_whole(public, described, 0o644)
    return public


def make_signing_key(directory: str | Path = KEYS_DIR) -> None:
    """Sign with another key from now on; the one before stays in the key set, so that its tokens stay good."""
    folder = Path(directory)
    ensure_keys(folder)
    write_whole(folder / _PRIVATE, _new_key(), 0o600)
    ensure_keys(folder)


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _others(public: Path, kid: str) -> list[dict[str, Any]]:
    """Return the other keys of this command that the key set has, which were signed with before."""
    try:
        keys = json.loads(public.read_bytes())["keys"]
        return [key for key in keys if is_for_demonstrations(key) and key["kid"] != kid]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def issue_token(
    subject: str,
    mailbox: str,
    roles: Collection[Role | str],
    *,
    keys_dir: str | Path = KEYS_DIR,
    name: str = "",
    hours: float = 8,
    issuer: str = "xinxiang",
) -> str:
    """A token for ``subject`` of ``mailbox``, valid for ``hours`` of real time.

    Raises pydantic's ValidationError for what could not be a caller, for example an unknown role.
    """
    ensure_keys(keys_dir)
    Caller.model_validate({"sub": subject, "name": name, "mailbox": mailbox, "roles": list(roles)})
    key = _private_key(Path(keys_dir))
    now = int(time.time())
    claims = {
        "sub": subject,
        "mailbox": mailbox,
        "roles": sorted(roles),
        "iss": issuer,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + round(hours * 3600),
    }
    if name:
        claims["name"] = name
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": _public_jwk(key)["kid"]})


def refused_in_production(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return why the command does not work here; None: it does."""
    if environ.get("PROFILE", "").strip().lower() != "production":
        return None
    return (
        "PROFILE is production: tokens come from the city's identity provider alone (OIDC_ISSUER). This command is for demonstrations, and "
        "services in production do not take its keys."
    )


def _private_key(folder: Path) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key((folder / _PRIVATE).read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{folder / _PRIVATE} is not an Ed25519 private key; remove the file to have one made")  # noqa: TRY004
    return key


def _public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    # The key id is the key's RFC 7638 thumbprint, so that it cannot be mixed up with another; the mark before it tells what it is for.
    thumbprint = hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**jwk, "use": "sig", "alg": "EdDSA", "kid": DEMONSTRATION + _base64url(thumbprint)}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def write_whole(target: Path, content: bytes, mode: int) -> None:
    """Write a file so that whoever reads it finds what it was or what it is, and nothing between."""
    _written_beside(target, content, mode).replace(target)


def _written_beside(target: Path, content: bytes, mode: int) -> Path:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    return Path(name)


def main(arguments: list[str] | None = None) -> int:
    """Print a token on standard output; where its key set is, on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.security.issue", description="Issue a token for a demonstration user."
    )
    parser.add_argument("--subject", required=True, help="who: the token's `sub`, such as zhang")
    parser.add_argument("--mailbox", required=True, help="the mailbox's code in the directory, such as mayor")
    parser.add_argument(
        "--role", required=True, action="append", choices=list(Role), help="may be given more than once"
    )
    parser.add_argument("--name", default="", help="shown on slips and in histories")
    parser.add_argument("--hours", type=float, default=8, help="how long it is valid (default: 8)")
    parser.add_argument("--issuer", default="xinxiang", help="the token's `iss` (default: xinxiang)")
    parser.add_argument(
        "--keys-dir", type=Path, default=KEYS_DIR, help=f"where the keys are or will be (default: {KEYS_DIR})"
    )
    given = parser.parse_args(arguments)
    refused = refused_in_production()
    if refused is not None:
        parser.error(refused)
    if not 0 < given.hours <= 24 * 366:
        parser.error("--hours must be more than 0 and at most a year")
    try:
        token = issue_token(
            given.subject,
            given.mailbox,
            given.role,
            keys_dir=given.keys_dir,
            name=given.name,
            hours=given.hours,
            issuer=given.issuer,
        )
    except ValidationError as error:
        parser.error(
            "; ".join(f"--{item['loc'][0]}: {item['msg']}" for item in error.errors()).replace("--sub:", "--subject:")
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    sys.stdout.write(token + "\n")
    sys.stderr.write(f"key set: {given.keys_dir / _PUBLIC} (services find it by JWKS_FILE)\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
