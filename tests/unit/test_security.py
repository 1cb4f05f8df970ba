"""Tokens, receipt codes, and the price of guessing."""

import base64
import hashlib
import hmac
import json
import stat
import threading
import time
from itertools import pairwise
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.security import issue, receipts
from shared.security.guessing import GuessPenalty, TooManyGuesses
from shared.security.tokens import Caller, KeySetError, Role, TokenVerifier, require
from shared.web.problems import Problem

SECRET = b"a secret of the unit tests only"


@pytest.fixture
def keys(tmp_path):
    issue.ensure_keys(tmp_path)
    return tmp_path


@pytest.fixture
def verifier(keys):
    return TokenVerifier(keys / "jwks.json")


def claims(**changes):
    now = int(time.time())
    agreed = {
        "sub": "zhang",
        "mailbox": "mayor",
        "roles": ["clerk"],
        "iss": "xinxiang",
        "aud": "xinxiang",
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (agreed | changes).items() if value is not None}


def signed(keys, **changes):
    private = (keys / "signing.pem").read_text()
    key_id = json.loads((keys / "jwks.json").read_text())["keys"][0]["kid"]
    return jwt.encode(claims(**changes), private, algorithm="EdDSA", headers={"kid": key_id})


def refusal(verifier, token):
    with pytest.raises(Problem) as refused:
        verifier.verify(token)
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"].startswith("Bearer ")
    return refused.value.detail


def test_an_issued_token_names_its_caller(keys, verifier):
    token = issue.issue_token("zhang", "mayor", ["clerk", Role.HEAD], keys_dir=keys, name="张经办")
    caller = verifier.verify(token)
    assert caller == Caller(sub="zhang", name="张经办", mailbox="mayor", roles=frozenset({Role.CLERK, Role.HEAD}))
    assert verifier.verify(token) is caller


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp is missing"),
        ({"iat": None}, "iat is missing"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_100}, "not valid yet"),
        ({"aud": "another"}, "audience"),
        ({"iss": "another"}, "issuer"),
        ({"sub": None}, "sub is missing"),
        ({"mailbox": None}, "mailbox"),
        ({"mailbox": "../etc"}, "mailbox"),
        ({"roles": ["emperor"]}, "roles"),
        ({"roles": []}, "roles"),
        ({"roles": "clerk"}, "roles"),
    ],
)
def test_a_token_with_wrong_claims_is_refused_with_what_is_wrong(keys, verifier, changes, told):
    assert told in refusal(verifier, signed(keys, **changes))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param("1e999", id="infinite"),
        pytest.param("-1e999", id="minus-infinite"),
        "NaN",
        "1e300",
        pytest.param("1" + "0" * 400, id="401-digits"),
        pytest.param("-1" + "0" * 400, id="minus-401-digits"),
        pytest.param("7" * 2500, id="2500-digits"),
        "-5",
        '"4000000000"',
        "true",
        "null",
        "[4000000000]",
        "{}",
    ],
)
def test_a_signed_time_that_is_none_is_refused_and_never_an_error_of_ours(keys, verifier, name, written):
    content = json.dumps(claims(**{name: None}))[:-1] + f', "{name}": {written}}}'
    key_id = json.loads((keys / "jwks.json").read_text())["keys"][0]["kid"]
    private = serialization.load_pem_private_key((keys / "signing.pem").read_bytes(), None)
    refusal(verifier, jwt.api_jws.encode(content.encode(), private, algorithm="EdDSA", headers={"kid": key_id}))


@pytest.mark.parametrize(
    "garbage",
    ["", "x", "a.b.c", "é.é.é", "." * 3000, "x" * 5000, "eyJhbGciOiJFZERTQSJ9..", "ICAg.ICAg.ICAg", "bnVsbA.e30.x"],
)
def test_garbage_is_refused_and_never_an_error_of_ours(verifier, garbage):
    refusal(verifier, garbage)


def test_only_the_allowed_algorithms_count(keys, verifier):
    key = json.loads((keys / "jwks.json").read_text())["keys"][0]
    unsigned = jwt.encode(claims(), None, algorithm="none", headers={"kid": key["kid"]})
    assert "must be signed with EdDSA or RS256" in refusal(verifier, unsigned)
    # The classic confusion: the public key used as the secret of an HMAC.
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT", "kid": key["kid"]}, claims())
    ]
    mac = hmac.digest(key["x"].encode(), b".".join(parts), "sha256")
    forged = b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()
    assert "must be signed with EdDSA or RS256" in refusal(verifier, forged)


def test_a_token_of_a_stranger_is_refused_even_under_our_key_id(keys, verifier, tmp_path_factory):
    theirs = tmp_path_factory.mktemp("stranger")
    issue.ensure_keys(theirs)
    assert "not in the key set" in refusal(verifier, signed(theirs))
    ours = json.loads((keys / "jwks.json").read_text())["keys"][0]["kid"]
    forged = jwt.encode(claims(), (theirs / "signing.pem").read_text(), algorithm="EdDSA", headers={"kid": ours})
    assert "signature" in refusal(verifier, forged)


def test_rs256_from_an_inline_key_set_is_accepted():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True) | {"kid": "city", "alg": "RS256"}
    verifier = TokenVerifier(json.dumps({"keys": [jwk]}))
    token = jwt.encode(claims(), private, algorithm="RS256", headers={"kid": "city"})
    assert verifier.verify(token).mailbox == "mayor"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not json", "is not a JWKS"),
        ("[]", "is not a JWKS"),
        ('{"keys": []}', "has no signing key"),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}', "must be a public key for EdDSA or RS256"),
    ],
)
def test_a_key_set_that_cannot_be_used_stops_the_start_with_a_reason(tmp_path, text, told):
    file = tmp_path / "jwks.json"
    file.write_text(text)
    with pytest.raises(KeySetError, match=told):
        TokenVerifier(file)


def test_a_private_key_in_the_key_set_is_refused(tmp_path):
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(private, as_dict=True) | {"alg": "RS256"}
    with pytest.raises(KeySetError, match="must be a public key"):
        TokenVerifier(json.dumps({"keys": [jwk]}))


def test_a_missing_key_set_names_the_file_and_the_command_that_makes_one(tmp_path):
    with pytest.raises(KeySetError, match=r"absent\.json.*JWKS_FILE.*shared\.security\.issue"):
        TokenVerifier(tmp_path / "absent.json")


def test_a_remembered_token_still_expires(keys):
    moment = [time.time()]
    verifier = TokenVerifier(keys / "jwks.json", now=lambda: moment[0])
    token = signed(keys, exp=int(moment[0]) + 2)
    verifier.verify(token)
    checked = []
    verifier._claims = lambda given: checked.append(given) or claims()
    verifier.verify(token)
    assert not checked
    moment[0] += 2
    verifier.verify(token)
    assert checked == [token]


def test_changed_keys_count_without_a_restart_and_a_bad_file_changes_nothing(keys, tmp_path_factory):
    moment = [0.0]
    verifier = TokenVerifier(keys / "jwks.json", monotonic=lambda: moment[0])
    before = signed(keys)
    verifier.verify(before)
    (keys / "jwks.json").write_text("half a fi")
    moment[0] += 2
    assert verifier.verify(before)
    new = tmp_path_factory.mktemp("new")
    issue.ensure_keys(new).replace(keys / "jwks.json")
    issue.ensure_keys(new)
    moment[0] += 2
    assert verifier.verify(signed(new))
    assert "not in the key set" in refusal(verifier, before)


def test_keys_are_made_once_with_the_private_one_for_its_owner_only(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(issue.ensure_keys(tmp_path / "k").read_text())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert stat.S_IMODE((tmp_path / "k" / "signing.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "k").iterdir()) == ["jwks.json", "signing.pem"]


def test_the_command_prints_a_token_that_works(tmp_path, capsys):
    assert issue.main(["--subject", "zhang", "--mailbox", "mayor", "--role", "clerk", "--keys-dir", str(tmp_path)]) == 0
    caller = TokenVerifier(tmp_path / "jwks.json").verify(capsys.readouterr().out.strip())
    assert (caller.subject, caller.mailbox, caller.roles) == ("zhang", "mayor", {Role.CLERK})


def caller(mailbox="yuzhong", *roles):
    return Caller(sub="li", mailbox=mailbox, roles=frozenset(roles or {Role.CLERK}))


def test_r10_2_a_unit_may_touch_its_own_letters_and_the_duty_office_all():
    require(caller("yuzhong"), roles={Role.CLERK}, mailbox="yuzhong")
    require(caller("yuzhong"), mailbox={"mayor", "yuzhong"})
    require(caller("mayor", Role.DUTY_OFFICER), mailbox="yuzhong")
    with pytest.raises(Problem) as refused:
        require(caller("education"), roles={Role.CLERK}, mailbox="yuzhong")
    assert (refused.value.status, refused.value.rule) == (403, "R10.2")
    assert "yuzhong" not in refused.value.detail


def test_a_wrong_role_is_told_which_one_is_needed():
    with pytest.raises(Problem, match="403") as refused:
        require(caller("mayor", Role.DUTY_OFFICER), roles={Role.HEAD, Role.LEADER}, mailbox="mayor")
    assert "head or leader" in refused.value.detail
    assert "duty_officer" in refused.value.detail


def test_r2_2_the_same_submission_gets_the_same_letter_id_and_another_a_different_one():
    first = receipts.letter_id(SECRET, "key-1", "abc")
    assert first == receipts.letter_id(SECRET, "key-1", "abc")
    others = {
        receipts.letter_id(SECRET, "key-2", "abc"),
        receipts.letter_id(SECRET, "key-1", "abd"),
        receipts.letter_id(SECRET, "key-1a", "bc"),
        receipts.letter_id(b"another secret", "key-1", "abc"),
    }
    assert len(others | {first}) == 5
    number = UUID(first)
    assert (number.version, number.variant) == (8, "specified in RFC 4122")


def codes(count):
    return [receipts.receipt_code(SECRET, receipts.letter_id(SECRET, str(n), "")) for n in range(count)]


def test_r2_2_a_receipt_code_is_thirteen_plain_characters_and_different_for_every_letter():
    made = codes(2000)
    assert len(set(made)) == 2000
    assert all(len(code) == 16 and code[4] == code[9] == code[14] == "-" for code in made)
    assert {character for code in made for character in code} == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")
    assert made == codes(2000)


def test_r2_2_every_single_wrong_character_and_every_swap_of_neighbours_is_noticed():
    for code in codes(40):
        plain = code.replace("-", "")
        for place, right in enumerate(plain):
            for wrong in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".replace(right, ""):
                with pytest.raises(receipts.MistypedReceipt):
                    receipts.parse_receipt(plain[:place] + wrong + plain[place + 1 :])
        for place, (one, two) in enumerate(pairwise(plain)):
            if one != two:
                with pytest.raises(receipts.MistypedReceipt):
                    receipts.parse_receipt(plain[:place] + two + one + plain[place + 2 :])


def test_r2_2_a_receipt_is_understood_however_it_was_copied():
    code = next(code for code in codes(500) if "0" in code and "1" in code)
    full_width = code.translate({ord(c): chr(ord(c) + 0xFEE0) for c in "0123456789ABCDEFGHJKMNPQRSTVWXYZ-"})
    for copied in (
        code,
        code.lower(),
        code.replace("-", ""),
        code.replace("-", " "),
        code.replace("-", "—"),
        f"  {code}\n",
        code.replace("0", "O").replace("1", "I"),
        code.replace("0", "o").replace("1", "l"),
        full_width,
        full_width.replace("－", "　"),
    ):
        assert receipts.parse_receipt(copied) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7K3M",
        "7K3M-9QXT-2HVD-55",
        "7K3M-9QXT-2HVD-U",
        "7K3M-9QXT-2HV*-5",
        "查询码",
        "-" * 50,
        "x" * 10_000,
        "\x00" * 13,
    ],
)
def test_what_is_no_receipt_is_refused_in_both_languages(text):
    with pytest.raises(receipts.MistypedReceipt) as refused:
        receipts.parse_receipt(text)
    assert refused.value.reason
    assert "查询码" in refused.value.reason_zh


def test_the_lookup_key_does_not_reveal_the_code():
    [code] = codes(1)
    key = receipts.receipt_key(SECRET, code)
    assert key == receipts.receipt_key(SECRET, receipts.parse_receipt(code.lower()))
    assert len(key) == 64
    assert key != hashlib.sha256(code.encode()).hexdigest()


class Watch:
    """A monotonic clock that stands until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def wait_of(penalty, address):
    try:
        penalty.check(address)
    except TooManyGuesses as refused:
        return int(refused.headers["Retry-After"])
    return 0


def test_r2_2_wrong_codes_cost_the_guesser_more_and_more_time():
    watch = Watch()
    penalty = GuessPenalty(watch)
    waits = []
    for _ in range(20):
        penalty.wrong("203.0.113.7")
        waits.append(wait_of(penalty, "203.0.113.7"))
        watch.now += waits[-1]
    penalty.wrong("203.0.113.7")
    with pytest.raises(Problem, match="429"):
        penalty.check("203.0.113.7")
    assert waits == [0] * 5 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600]
    assert wait_of(penalty, "203.0.113.8") == 0


def test_r2_2_the_penalty_ends_by_itself_and_is_forgiven_with_time():
    watch = Watch()
    penalty = GuessPenalty(watch)
    for _ in range(7):
        penalty.wrong("203.0.113.7")
    assert wait_of(penalty, "203.0.113.7") == 2
    watch.now += 2
    assert wait_of(penalty, "203.0.113.7") == 0
    watch.now += 3 * 600
    penalty.wrong("203.0.113.7")
    assert wait_of(penalty, "203.0.113.7") == 0


def test_r2_2_an_ipv6_household_counts_as_one_and_mapped_ipv4_as_ipv4():
    penalty = GuessPenalty(Watch())
    for n in range(6):
        penalty.wrong(f"2001:db8:1:2::{n:x}")
    assert wait_of(penalty, "2001:db8:1:2:ffff::1") == 1
    assert wait_of(penalty, "2001:db8:1:3::1") == 0
    for _ in range(6):
        penalty.wrong("::ffff:203.0.113.9")
    assert wait_of(penalty, "203.0.113.9") == 1


def test_guessers_are_remembered_in_bounded_memory():
    penalty = GuessPenalty(Watch(), remember=100)
    for n in range(1000):
        penalty.wrong(f"10.0.{n >> 8}.{n & 255}")
    assert len(penalty._guessers) == 100
