"""Messages at random: each begins as the golden example of its type and is then bent in one way, which says what must become of it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import oddities

GOLDEN: Final = Path(__file__).parents[1] / "contract" / "golden"
BROKER_LIMIT: Final = 1_048_576
"""The longest message that a broker takes as it comes: `message.max.bytes`, without what a batch adds."""
ALMOST: Final = BROKER_LIMIT - 20_000


NO_UTF8: Final = "x-no-utf8"
"""Stands for a header whose name is no UTF-8; `gun.py` puts the bytes in."""


@dataclass(frozen=True)
class Shot:
    """One message, as it goes to the broker."""

    topic: str
    """Without the namespace."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    bent: str = "as it should be"
    """How."""
    bad: bool = False
    """Whether it must be refused or parked, whatever state its letter is in."""

    def with_header(self, name: str, value: bytes | None, bent: str, *, bad: bool = False) -> "Shot":
        """The same with one header changed, or added."""
        rest = tuple(one for one in self.headers if one[0] != name)
        return replace(self, headers=(*rest, (name, value)), bent=bent, bad=bad)


def examples(topic: str) -> list[Shot]:
    """The golden examples whose topic begins so, those of one type once."""
    found = []
    for file in sorted(GOLDEN.glob("*.json")):
        golden = json.loads(file.read_text(encoding="utf-8"))
        if golden["topic"].startswith(topic):
            headers = tuple((name, text.encode()) for name, text in golden["headers"].items())
            value = json.dumps(golden["value"], ensure_ascii=False).encode()
            found.append(Shot(golden["topic"], golden["key"].encode(), value, headers))
    return found


def about(shot: Shot, letter_id: str, message_id: str) -> Shot:
    """The same message about another letter, with another id."""
    value = json.loads(shot.value or b"{}") | {"letter_id": letter_id}
    there = replace(shot, key=letter_id.encode(), value=json.dumps(value, ensure_ascii=False).encode())
    return there.with_header("ce_subject", letter_id.encode(), shot.bent).with_header(
        "ce_id", message_id.encode(), shot.bent
    )


def drawn(strategy: st.SearchStrategy[Any], count: int, number: int) -> list[Any]:
    """So many examples of a strategy; the same ones for the same number."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: Any) -> None:
        found.append(one)

    collect()
    return found


# ── ways to bend ─────────────────────────────────────────────────────────────────────────────────────────────────────

Way = Callable[[Any, Shot], Shot]


def _wrong_type(draw: Any, shot: Shot) -> Shot:
    value = json.loads(shot.value or b"{}")
    holder, name = draw(st.sampled_from(list(places(value))))
    holder[name] = draw(st.sampled_from(oddities.VALUES))
    return replace(shot, value=json.dumps(value).encode(), bent=f"{name} is {str(holder[name])[:20]!r}")


def _missing_field(draw: Any, shot: Shot) -> Shot:
    value = json.loads(shot.value or b"{}")
    name = draw(st.sampled_from(sorted(value)))
    del value[name]
    return replace(shot, value=json.dumps(value).encode(), bent=f"without {name}")


def _truncated(draw: Any, shot: Shot) -> Shot:
    value = shot.value or b"{}"
    return replace(shot, value=value[: draw(st.integers(0, len(value) - 1))], bent="truncated", bad=True)


def _no_json(draw: Any, shot: Shot) -> Shot:
    return replace(shot, value=draw(st.binary(max_size=200)) + b"\xff", bent="not JSON", bad=True)


def _deep(draw: Any, shot: Shot) -> Shot:
    value = draw(st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"[" * 50_000 + b"]" * 50_000]))
    return replace(shot, value=value, bent="deeply nested", bad=True)


def _deep_inside(draw: Any, shot: Shot) -> Shot:
    depth = draw(st.sampled_from([100, 190, 250, 5_000]))
    more = b'{"extra": ' + b"[" * depth + b"]" * depth + b", "
    return replace(shot, value=more + (shot.value or b"{}")[1:], bent=f"nested {depth} deep beside what is asked")


def _huge(draw: Any, shot: Shot) -> Shot:
    filling = draw(st.sampled_from([b"\xff", b'"', b"\\", b"x", "长".encode()]))
    return replace(shot, value=filling * (ALMOST // len(filling)), bent=f"huge, of {filling!r}", bad=True)


def _huge_inside(draw: Any, shot: Shot) -> Shot:
    text = draw(st.sampled_from(["x" * 900_000, "长" * 300_000, '"' * 450_000, "\\u0000" * 100_000]))
    value = json.loads(shot.value or b"{}")
    names = [name for name, one in value.items() if isinstance(one, str) and name != "letter_id"] or ["extra"]
    value[draw(st.sampled_from(names))] = text
    return replace(shot, value=json.dumps(value, ensure_ascii=False).encode(), bent="a huge field")


def _tombstone(_draw: Any, shot: Shot) -> Shot:
    return replace(shot, value=None, bent="tombstone", bad=True)


def _other_json(draw: Any, shot: Shot) -> Shot:
    value = draw(st.sampled_from([b"null", b"[]", b"1", b'"text"', b"{}", b"\xef\xbb\xbf{}", b"NaN"]))
    return replace(shot, value=value, bent=f"the value is {value!r}", bad=True)


def _extreme_time(draw: Any, shot: Shot) -> Shot:
    value = json.loads(shot.value or b"{}")
    times = [name for name in value if name == "at" or name.endswith(("_at", "_by"))] or ["at"]
    moment = draw(
        st.sampled_from(
            [
                *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z", "1900-02-28T12:00:00Z"),
                *("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-12:00", "2999-06-01T00:00:00Z", 10**20, -(10**11)),
            ]
        )
    )
    value[draw(st.sampled_from(times))] = moment
    return replace(shot, value=json.dumps(value).encode(), bent=f"at {moment}")


def _wrong_key(draw: Any, shot: Shot) -> Shot:
    keys = [
        None,
        b"",
        b"another-letter",
        b"\xff\xfe",
        b"k" * 10_000,
        (shot.key or b"") + b" ",
        (shot.key or b"").upper() + b"X",
    ]
    key = draw(st.sampled_from(keys))
    return replace(shot, key=key, bent=f"the key is {(key or b'none')[:20]!r}", bad=True)


def _wrong_subject(draw: Any, shot: Shot) -> Shot:
    """Key and subject agree, and are no letter of ours; the value names the letter that it is about."""
    subject = draw(st.sampled_from([b"", b"s" * 65, b"s" * 200_000, b"a\x00b", b"\xe4\xbf\xa1", b"../x", b"$where"]))
    there = replace(shot, key=subject)
    return there.with_header("ce_subject", subject, f"subject and key are {subject[:20]!r}", bad=True)


def _odd_letter(draw: Any, shot: Shot) -> Shot:
    """Key, subject and value agree on an id that no letter can have."""
    subject = draw(st.sampled_from(["", "s" * 65, "s" * 20_000, "a\x00b", "x/00000001", "\u202e", "~"]))
    there = about(shot, subject, dict(shot.headers).get("ce_id", b"").decode())  # type: ignore[union-attr]
    return replace(there, bent=f"all agree on the letter {subject[:20]!r}")


def _unknown_type(draw: Any, shot: Shot) -> Shot:
    right = dict(shot.headers)["ce_type"] or b""
    newer = right.rpartition(b".v")[0] + b".v999"
    kinds = [b"", b"xinxiang.LetterTeleported.v1", newer, right.lower(), b"\xe4\xbf\xa1", b"t" * 50_000, right + b" "]
    kind = draw(st.sampled_from(kinds))
    return shot.with_header("ce_type", kind, f"of type {kind[:30]!r}", bad=True)


def _foreign_type(draw: Any, shot: Shot) -> Shot:
    """Of a type that is not the system's own: what is its own and newer stops whoever reads the directory (ADR 19)."""
    kind = draw(st.sampled_from([b"", b"org.example.MailboxAdded.v1", b"\xe4\xbf\xa1", b"t" * 50_000]))
    return shot.with_header("ce_type", kind, f"of type {kind[:30]!r}", bad=True)


def _key_without_meaning(draw: Any, shot: Shot) -> Shot:
    """On `directory` keys say nothing: the change is taken, if its number is the next one."""
    return replace(_wrong_key(draw, shot), bad=False)


def _missing_header(draw: Any, shot: Shot) -> Shot:
    name = draw(st.sampled_from(["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject"]))
    return replace(shot, headers=tuple(h for h in shot.headers if h[0] != name), bent=f"without {name}", bad=True)


def _no_headers(_draw: Any, shot: Shot) -> Shot:
    return replace(shot, headers=(), bent="without headers", bad=True)


def _garbled_header(draw: Any, shot: Shot) -> Shot:
    name = draw(st.sampled_from(["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject"]))
    return shot.with_header(name, b"\xff\xfe\x00", f"{name} is garbled", bad=True)


def _double_header(draw: Any, shot: Shot) -> Shot:
    name = draw(st.sampled_from(["ce_id", "ce_type", "ce_source", "ce_subject"]))
    first = (name, b"something-else")
    headers = draw(st.sampled_from([(first, *shot.headers), (*shot.headers, first)]))
    return replace(shot, headers=headers, bent=f"{name} twice", bad=True)


def _wrong_version(draw: Any, shot: Shot) -> Shot:
    version = draw(st.sampled_from([b"0.3", b"2.0", b"", b"1.0 ", None]))
    return shot.with_header("ce_specversion", version, f"ce_specversion is {version!r}", bad=True)


def _more_headers(draw: Any, shot: Shot) -> Shot:
    name, value = draw(
        st.sampled_from(
            [
                *(("traceparent", b"\xff"), ("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00")),
                *(("ce_time", b"yesterday"), ("ce_time", b"9999-99-99"), ("content-type", b"application/xml")),
                (NO_UTF8, b"1"),
                *(("x", b"y" * 100_000), ("信", b"1"), ("", b""), ("a\x00b", b"\x00"), ("$set", None), ("a.b", b"1")),
            ]
        )
    )
    return shot.with_header(name, value, f"header {name!r}: {(value or b'')[:20]!r}")


ANYWHERE: Final[Mapping[str, Way]] = {
    way.__name__.strip("_"): way
    for way in (
        *(_wrong_type, _missing_field, _truncated, _no_json, _deep, _deep_inside, _huge, _huge_inside, _tombstone),
        *(_other_json, _extreme_time, _wrong_key, _wrong_subject, _odd_letter, _unknown_type, _missing_header),
        *(_no_headers, _garbled_header, _double_header, _wrong_version, _more_headers),
    )
}
"""Ways that fit every topic."""


def _forged_source(draw: Any, shot: Shot) -> Shot:
    right = dict(shot.headers)["ce_source"]
    others = [b"/services/" + name for name in (b"intake", b"routing", b"deadline", b"publication", b"reporting")]
    foreign = [b"education", b"/services/education", b"", b"/services/", b"x" * 100_000]
    source = draw(st.sampled_from([one for one in others + foreign if one != right]))
    return shot.with_header("ce_source", source, f"from {source[:30]!r}", bad=True)


def _odd_seq(draw: Any, shot: Shot) -> Shot:
    seqs = [b"0", b"-1", b"1000001", b"9" * 5_000, b"1e3", b"", b"1.0", "二".encode(), b"0x1", None]
    seq = draw(st.sampled_from(seqs))
    return shot.with_header("ce_seq", seq, f"ce_seq is {(seq or b'none')[:20]!r}", bad=True)


def _far_seq(draw: Any, shot: Shot) -> Shot:
    seq = draw(st.sampled_from([b"2", b"3", b"999", b"1000000"]))
    return shot.with_header("ce_seq", seq, f"ce_seq is {seq!r}: a gap", bad=True)


def _forged_replay(draw: Any, shot: Shot) -> Shot:
    """It says that it stands for another message, which is none of its business; perhaps that this one is to be dropped."""
    origin = draw(st.sampled_from([b"letters/0/0", b"letters/x/y", b"", b"\xff", b"submissions/1/1", b"o" * 100_000]))
    there = shot.with_header("replayof", origin, f"replays {origin[:20]!r}")
    return there.with_header("replaydrop", b"true", there.bent + " to drop it") if draw(st.booleans()) else there


ON_LETTERS: Final = {
    **ANYWHERE,
    "forged_source": _forged_source,
    "odd_seq": _odd_seq,
    "far_seq": _far_seq,
    "forged_replay": _forged_replay,
}
ON_SUBMISSIONS: Final = {**ANYWHERE, "forged_source": _forged_source, "forged_replay": _forged_replay}
ON_ACTIONS: Final = {**ANYWHERE, "forged_source": _forged_source, "forged_replay": _forged_replay}
"""An action about a letter that is not there is refused, whoever it says it is from."""
ON_DIRECTORY: Final = {
    **ANYWHERE,
    "forged_source": _forged_source,
    "wrong_key": _key_without_meaning,
    "unknown_type": _foreign_type,
}


@st.composite
def shots(draw: Any, base: Sequence[Shot], way: Way, ids: Iterator[str]) -> Shot:
    """One of the examples about a letter of its own, bent in a way. Drawn ids would come twice: that is what hypothesis likes to try."""
    return way(draw, about(draw(st.sampled_from(list(base))), next(ids), next(ids)))


def bombardment(base: Sequence[Shot], ways: Mapping[str, Way], rounds: int, number: int) -> list[Shot]:
    """Every way so many times, on messages at random."""
    random = Random(f"{number}/{base[0].topic}")
    ids = (str(UUID(int=random.getrandbits(128))) for _ in count())
    return [shot for way in ways.values() for shot in drawn(shots(base, way, ids), rounds, number)]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, name) of everything inside."""
    names = list(value) if isinstance(value, dict) else range(len(value))
    for name in names:
        yield value, name
        if isinstance(value[name], dict | list):
            yield from places(value[name])
