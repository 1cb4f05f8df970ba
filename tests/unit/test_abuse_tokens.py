"""Tokens that were forged in the ways that are known; expired ones, wrong claims, `alg=none` and strangers are in `test_security.py`."""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.security import issue
from shared.security.receipts import MistypedReceipt, letter_id, parse_receipt, receipt_code
from shared.security.tokens import TokenVerifier
from shared.web.problems import Problem


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    issue.ensure_keys(folder)
    return folder


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    agreed = {"sub": "zhang", "mailbox": "mayor", "roles": ["clerk"], "iss": "xinxiang", "aud": "xinxiang"}
    return agreed | {"iat": now, "exp": now + 60} | changes


def packed(part: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def ours(keys: Path) -> dict[str, Any]:
    return json.loads((keys / "jwks.json").read_text())["keys"][0]  # type: ignore[no-any-return]


def refusal(keys: Path, token: str) -> str:
    with pytest.raises(Problem) as refused:
        TokenVerifier(keys / "jwks.json").verify(token)
    assert refused.value.status == 401
    return refused.value.detail


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "nOnE", "NONE", "", None, ["EdDSA"], {"EdDSA": 1}, "HS256", "ES256", "PS256"]
)
def test_no_other_algorithm_counts_however_it_is_written(keys: Path, algorithm: Any) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": ours(keys)["kid"]}
    for signature in (b"", b"AAAA"):
        token = b".".join([packed(header), packed(claims()), signature]).decode()
        assert "signed with EdDSA or RS256" in refusal(keys, token) or "cannot be read" in refusal(keys, token)


def test_the_public_key_in_whatever_form_is_no_secret_of_an_hmac(keys: Path) -> None:
    private = serialization.load_pem_private_key((keys / "signing.pem").read_bytes(), None)
    public = private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    for algorithm in ("HS256", "EdDSA"):
        head = packed({"alg": algorithm, "typ": "JWT", "kid": ours(keys)["kid"]}) + b"." + packed(claims())
        for secret in (pem, pem.strip(), raw, ours(keys)["x"].encode(), json.dumps(ours(keys)).encode(), b""):
            mac = base64.urlsafe_b64encode(hmac.digest(secret, head, "sha256")).rstrip(b"=")
            refusal(keys, (head + b"." + mac).decode())


@pytest.mark.parametrize(
    "kid",
    [
        "../../../dev/null",
        "/dev/null",
        "signing.pem",
        "file:///etc/passwd",
        "http://evil.example/jwks.json",
        "' OR 1=1 --",
        "x\x00",
        "",
        0,
        [],
        {},
        None,
    ],
)
def test_a_key_s_name_is_looked_up_and_never_a_path_an_address_or_a_query(keys: Path, kid: Any) -> None:
    header = {"alg": "EdDSA", "typ": "JWT", "kid": kid}
    signer = Ed25519PrivateKey.generate()
    head = packed(header) + b"." + packed(claims())
    signature = base64.urlsafe_b64encode(signer.sign(head)).rstrip(b"=")
    said = refusal(keys, (head + b"." + signature).decode())
    assert "kid" in said or "cannot be read" in said or "signature" in said


def test_a_key_that_comes_along_in_the_token_or_from_an_address_is_not_used(keys: Path) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    for header in (
        {"jwk": jwk},
        {"jku": "http://evil.example/k"},
        {"x5u": "http://evil.example/c"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
    ):
        for algorithm, key in (("RS256", stranger), ("EdDSA", Ed25519PrivateKey.generate())):
            token = jwt.encode(claims(), key, algorithm=algorithm, headers={"kid": ours(keys)["kid"], **header})
            refusal(keys, token)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -1},
        {"exp": None},
        {"iat": "now"},
        {"nbf": 4_000_000_000},
        {"aud": ["another", "city"]},
        {"aud": {}},
        {"iss": ["xinxiang"]},
        {"sub": 7},
        {"sub": "x" * 101},
        {"mailbox": ["mayor", "education"]},
        {"mailbox": {"$ne": None}},
        {"mailbox": "mayor\n"},
        {"mailbox": "ｍａｙｏｒ"},
        {"roles": {"clerk": True}},
        {"roles": ["clerk", "emperor"]},
        {"roles": [["clerk"]]},
        {"name": "x" * 101},
    ],
)
def test_claims_that_were_signed_and_are_still_not_as_agreed_are_refused(keys: Path, changes: dict[str, Any]) -> None:
    signer = serialization.load_pem_private_key((keys / "signing.pem").read_bytes(), None)
    assert isinstance(signer, Ed25519PrivateKey)
    head = packed({"alg": "EdDSA", "typ": "JWT", "kid": ours(keys)["kid"]}) + b"." + packed(claims(**changes))
    signature = base64.urlsafe_b64encode(signer.sign(head)).rstrip(b"=")
    refusal(keys, (head + b"." + signature).decode())


def test_a_token_with_a_byte_changed_is_none_of_ours(keys: Path) -> None:
    good = issue.issue_token("zhang", "mayor", ["clerk"], keys_dir=keys)
    head, body, signature = good.split(".")
    raised = packed(claims(mailbox="mayor", roles=["duty_officer", "head", "leader"])).decode()
    for forged in (
        f"{head}.{raised}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
        f"{good}.{body}",
        f"{head}..{signature}",
    ):
        refusal(keys, forged)
    assert TokenVerifier(keys / "jwks.json").verify(good).subject == "zhang"


def test_a_receipt_in_look_alike_letters_is_refused_or_the_same_code() -> None:
    secret = b"a secret of the unit tests only"
    codes = [receipt_code(secret, letter_id(secret, str(n), "")) for n in range(50)]
    alike = {
        "A": "АΑᎪ𝐀Ａ",
        "B": "ВΒ𝐁",
        "C": "СϹⅭ",
        "E": "ЕΕ",
        "H": "НΗ",
        "K": "КΚK",
        "M": "МΜⅯ",
        "P": "РΡ",
        "T": "ТΤ",
        "X": "ХΧⅩ",
        "0": "ОΟ٠𝟎",
        "1": "ӏІ١𝟏",
        "5": "Ƽ٥",
        "S": "Ѕ",
    }
    for code in codes:
        for place, right in enumerate(code):
            for other in alike.get(right, ""):
                written = code[:place] + other + code[place + 1 :]
                try:
                    assert parse_receipt(written) == code
                except MistypedReceipt:
                    continue
