"""`keys list|new|rotate|add|retire …`: keys and secrets in use, and their change, on the record.

What it does is `shared/security/keys.py`'s; here it is asked for a reason, and recorded: never a secret, only what was done.
"""

import contextlib
import importlib
import io
from typing import Any

from deploy.ops.console import WELL, WRONG, Ops, Refused, deciding, verb

KEYS = "shared.security.keys"
CHANGES = ("rotate", "add", "retire")


def add(found: Any) -> None:
    """Add the verb."""
    about = (
        "list: what is in use; no secret is shown. rotate session|signing; add FILE; retire KID: see docs/operating.md."
    )
    parser = verb(found, "keys", "keys and secrets: list, new, rotate, add, retire", about, run)
    parser.add_argument("what", choices=["list", "new", *CHANGES])
    parser.add_argument("about", nargs="*", help="rotate: session, signing or receipt; add: FILE; retire: KID")
    deciding(parser)


async def run(ops: Ops) -> int:
    """Do what was asked."""
    try:
        keys = importlib.import_module(KEYS)
    except ModuleNotFoundError:
        raise Refused(f"本版没有 {KEYS} / this version has no {KEYS}: rotate keys at your identity provider") from None
    what, about = ops.asked.what, [str(word) for word in ops.asked.about]
    if what in CHANGES:
        ops.reason()
    if what == "retire":
        word = about[0] if about else ""
        ops.confirm(f"用 {word} 签发的令牌将全部失效 / every token that {word} signed becomes invalid", "retire")
    if what == "list" and ops.json:
        ops.give(keys.keys_in_use(), [])
        return WELL
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            status = keys.main([what, *about])
        except SystemExit as wrong_usage:  # argparse has said why
            raise Refused("见上 / see above: keys --help") from wrong_usage
    lines = said.getvalue().splitlines()
    if status == 0 and what in CHANGES:
        await ops.record(f"keys {what}", {"about": " ".join(about)})
    ops.give({"done": status == 0, "said": lines}, lines)
    return WELL if status == 0 else WRONG
