"""Letter ids and receipt codes, both derived from one secret, so that a retried submission gets the same ones (R2.2).

A receipt code looks like ``7K3M-9QXT-2HVD-5``: twelve characters of Crockford's base 32 (60 bits nobody can guess) and a check
character by ISO 7064 MOD 37-2, which notices every single wrong character and every swap of two neighbours.
"""

import hashlib
import hmac
import re
import unicodedata
from uuid import UUID

from stdnum.iso7064 import mod_37_2

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# MOD 37-2 needs 37 symbols. The last five never occur: a code whose check character would be one of them is passed over.
_ALPHABET = _LETTERS + "*~$=U"
_DATA = 12
_MEANT = str.maketrans("OIL", "011")
_SPACING = re.compile(r"[\s\-_./·‐‑‒–—―−－]+")


class MistypedReceipt(ValueError):
    """The text is not a receipt code: too short or long, a character that codes never have, or a wrong check character."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reason_zh = reason_zh


def letter_id(secret: bytes, idempotency_key: str, fingerprint: str) -> str:
    """The letter's id, a UUID of version 8 (RFC 9562) in its usual text form.

    The same key and fingerprint always give the same id, which is how a retry makes one letter (R2.2).
    """
    key, content = idempotency_key.encode(), fingerprint.encode()
    digest = hmac.digest(secret, b"letter\x00" + len(key).to_bytes(4, "big") + key + content, "sha256")
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | (8 << 76)
    number = number & ~(0x3 << 62) | (2 << 62)
    return str(UUID(int=number))


def receipt_code(secret: bytes, letter: str) -> str:
    """The receipt code of the letter with the id ``letter``, in groups as it is shown to the citizen."""
    attempt = 0
    while True:
        digest = hmac.digest(secret, f"receipt\x00{letter}\x00{attempt}".encode(), "sha256")
        number = int.from_bytes(digest[:8], "big")
        data = "".join([_LETTERS[number >> shift & 31] for shift in range(0, 5 * _DATA, 5)])
        check = mod_37_2.calc_check_digit(data, _ALPHABET)
        if check in _LETTERS:
            return _grouped(data + check)
        attempt += 1


def parse_receipt(text: str) -> str:
    """The receipt code that a person meant by ``text``, in its groups.

    Lower case, full-width characters, spaces and dashes of any kind, and O, I and L for 0, 1 and 1 are all right.
    Raises :class:`MistypedReceipt` with what is wrong.
    """
    if len(text) > 100:
        raise MistypedReceipt("A receipt code has 13 characters", "查询码共 13 位")
    plain = _SPACING.sub("", unicodedata.normalize("NFKC", text)).upper().translate(_MEANT)
    if len(plain) != _DATA + 1:
        raise MistypedReceipt(
            f"A receipt code has 13 characters, such as 7K3M-9QXT-2HVD-5; this one has {len(plain)}",
            f"查询码共 13 位，您输入了 {len(plain)} 位",
        )
    if any(character not in _LETTERS for character in plain):
        raise MistypedReceipt(
            "A receipt code has only digits and Latin letters, without U", "查询码只含数字和英文字母（没有字母 U）"
        )
    if not mod_37_2.is_valid(plain, _ALPHABET):
        raise MistypedReceipt(
            "The receipt code has a typing error; compare it with your copy", "查询码有误，请与您抄录的逐位核对"
        )
    return _grouped(plain)


def receipt_key(secret: bytes, code: str) -> str:
    """Under what a letter is looked up by its receipt: a keyed hash, so that the store never holds a code that works.

    ``code`` is what :func:`receipt_code` or :func:`parse_receipt` gave.
    """
    return hmac.digest(secret, b"lookup\x00" + code.encode(), "sha256").hex()


def fingerprint_of(content: bytes) -> str:
    """A fingerprint of a submission's content for :func:`letter_id`: SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _grouped(plain: str) -> str:
    return f"{plain[:4]}-{plain[4:8]}-{plain[8:12]}-{plain[12:]}"
