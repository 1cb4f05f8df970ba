"""Withdrawal, files and remaining personal data in decisions on publication (R9.1), and consent (R2.2)."""

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from services.publication.attachments import Files
from services.publication.domain import ON, Case, PublicText, Status, approve, prepare, withdraw, withhold
from services.publication.forms import PrepareRequest
from services.publication.handlers import Unnamed
from services.publication.repository import _fields
from services.publication.routes_attachments import public_router
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import (
    Fact,
    LetterErased,
    LetterPublished,
    PublicationPrepared,
    PublicationWithdrawn,
    PublicationWithheld,
)
from shared.contracts.types import MarkCount, PublishedFile, WithdrawalGround, WithholdingGround
from shared.directory import load_directory
from shared.messaging.work import Step
from tests.conftest import DATA
from tests.unit.test_publication_domain import (
    ANSWERED,
    CLERK,
    FINISHED,
    HEAD,
    NOW,
    NUMBER,
    REGISTERED,
    TEXT,
    followed,
    prepared,
    received,
    sent_back,
    told,
)

FILE: Final = PublishedFile(id="0" * 32, name="附件1.pdf", media_type="application/pdf", size=9, sha256="a" * 64)
OTHER_FILE: Final = FILE.model_copy(update={"id": "1" * 32, "name": "附件2.pdf", "sha256": "b" * 64})


def with_files(*files: PublishedFile) -> PublicText:
    return TEXT.model_copy(update={"attachments": files})


def published(state: Case = FINISHED) -> Case:
    case = prepared(state=state)
    return told(*approve(case, TEXT.hash, HEAD, NOW), state=case)


def withdrawn(ground: WithdrawalGround = WithdrawalGround.INACCURATE, state: Case | None = None) -> Case:
    case = state or published()
    return told(*withdraw(case, ground, "张三来电", HEAD, NOW), state=case)


def test_r9_1_the_hash_covers_which_files_under_which_names_in_which_order():
    texts = [
        with_files(),
        with_files(FILE),
        with_files(OTHER_FILE),
        with_files(FILE, OTHER_FILE),
        with_files(OTHER_FILE, FILE),
        with_files(FILE.model_copy(update={"sha256": "c" * 64})),
        with_files(FILE.model_copy(update={"name": "附件3.pdf"})),
    ]
    assert len({text.hash for text in texts}) == len(texts)
    assert with_files(FILE).hash == with_files(FILE.model_copy(update={"id": "2" * 32})).hash


def test_r9_1_a_text_without_files_keeps_the_hash_that_it_had_before_there_were_any():
    assert (
        PublicText(subject="路灯", body="路灯坏了。", reply="已修复。").hash
        == "e4995a2add7407b2c6b30fb2650117da1386dd64cf4132aece9002728d57b2aa"
    )


def test_r9_1_the_files_that_are_approved_are_those_that_were_prepared():
    case = prepared(with_files(FILE, OTHER_FILE))
    with pytest.raises(RuleBroken, match="not the text"):
        approve(case, TEXT.hash, HEAD, NOW)
    (fact,) = approve(case, with_files(FILE, OTHER_FILE).hash, HEAD, NOW)
    assert isinstance(fact, LetterPublished)
    assert fact.attachments == (FILE, OTHER_FILE)
    assert told(fact, state=case).files == {FILE.id, OTHER_FILE.id}


class Kept:
    """Stands for the files that are kept: what is done about those of the letter."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    async def look_again(self, letter_id: str, ids: Collection[str], *, loose: bool = False) -> None:
        if ids:
            self.done.append((set(ids), "at once" if loose else "in two days"))

    async def forget(self, *letter_ids: str) -> None:
        self.done += [f"{letter_id} gone" for letter_id in letter_ids]


def steps(state: Case, *facts: Fact) -> Iterator[Step[Case]]:
    for fact in facts:
        after = ON[type(fact)](state, fact)
        assert after is not None
        yield Step(fact.letter_id, state, fact, after)
        state = after


PREPARED: Final = prepared(with_files(FILE))
PUBLIC: Final = told(*approve(PREPARED, with_files(FILE).hash, HEAD, NOW), state=PREPARED)
ERASED: Final = LetterErased(letter_id="l1", at=NOW, ground="个人信息保护法第四十七条")


@pytest.mark.parametrize(
    ("state", "facts", "done"),
    [
        (PREPARED, [sent_back(), ANSWERED], [({FILE.id}, "in two days")]),
        (PREPARED, prepare(PREPARED, with_files(OTHER_FILE), (), CLERK, NOW), [({FILE.id}, "in two days")]),
        (PREPARED, withhold(PREPARED, [WithholdingGround.PRIVACY], HEAD, NOW), [({FILE.id}, "at once")]),
        (PUBLIC, withdraw(PUBLIC, WithdrawalGround.PRIVACY, "", HEAD, NOW), [({FILE.id}, "at once")]),
        (PREPARED, [ERASED], [({FILE.id}, "at once"), "l1 gone"]),
        (PREPARED, [ERASED.model_copy(update={"text": False})], []),
        (PREPARED, approve(PREPARED, with_files(FILE).hash, HEAD, NOW), []),
        (PUBLIC, [sent_back(), ANSWERED], []),
    ],
)
async def test_r9_1_whichever_fact_leaves_a_file_unnamed_it_is_looked_at_and_an_erasure_removes_it(
    state: Case, facts: list[Fact], done: list[Any]
):
    live: Any = Kept()
    again: Any = Kept()
    assert await Unnamed(live).tell([*steps(state, *facts)]) == ()
    assert live.done == done
    await Unnamed(again).restore([*steps(state, *facts)])
    assert again.done == [one for one in done if one != "l1 gone"], "a rebuild leaves it to the sweep"


class Pieces:
    """Stands for a store with one file in pieces; counts those that were read."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.read = 0

    def collection(self, _service: str, name: str) -> "Pieces":
        assert name in {"attachments.files", "attachments.chunks"}
        return self

    async def find_one(self, query: dict[str, Any], _fields: dict[str, int]) -> dict[str, Any] | None:
        if "files_id" not in query:
            return {"_id": "f1"}
        if query["n"] >= len(self.pieces):
            return None
        self.read += 1
        return {"data": self.pieces[query["n"]]}

    async def attachment(self, number: str, name: str) -> tuple[str, PublishedFile]:
        return "l1", FILE.model_copy(update={"size": sum(map(len, self.pieces)), "name": name})


def public_of(pieces: Any) -> Any:
    app = FastAPI()
    nothing: Any = None
    app.include_router(public_router(pieces, Files(pieces, nothing, 0, nothing)))
    return app


async def test_r9_2_a_public_file_is_sent_piece_by_piece_and_never_read_whole():
    pieces = Pieces(b"%PDF", b"-1.7", b"\n...", b"end")
    ahead = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            sent.append(message["body"])
            ahead.append(pieces.read - len(sent))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[bytes] = []
    path = "/public/letters/YFX-2026-17/attachments/1.pdf"
    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": path, "headers": []}
    await public_of(pieces)({**scope, "query_string": b""}, receive, send)
    assert sent == list(pieces.pieces)
    assert ahead == [0, 0, 0, 0], "the next piece is read when the one before is sent"

    transport = httpx.ASGITransport(public_of(pieces))
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        answer = await client.get(path)
        assert answer.content == b"%PDF-1.7\n...end"
        assert answer.headers["content-length"] == "15"
        assert answer.headers["etag"] == f'"{FILE.sha256}"'


def test_r9_1_what_still_looks_like_personal_data_is_approved_only_by_who_says_that_it_was_seen():
    case = prepared()
    with pytest.raises(RuleBroken, match="2 pieces of the text still look like personal data") as refused:
        approve(case, TEXT.hash, HEAD, NOW, marks_left=2)
    assert refused.value.rule == "R9.1"
    (fact,) = approve(case, TEXT.hash, HEAD, NOW, marks_left=2, confirmed=True)
    assert isinstance(fact, LetterPublished)
    assert fact.marks_left == 2


def test_r9_1_of_decisions_on_marks_only_counts_per_kind_are_kept():
    said = [("phone", "replaced"), ("phone", "kept"), ("name", "changed"), ("name", "added"), ("name", "added")]
    request = PrepareRequest(
        **TEXT.model_dump(),
        **{ground.value: False for ground in WithholdingGround},
        marks=[{"kind": kind, "decision": decision} for kind, decision in said],
    )
    (fact,) = prepare(FINISHED, TEXT, (), CLERK, NOW, request.mark_counts)
    assert isinstance(fact, PublicationPrepared)
    assert fact.marks == (
        MarkCount(kind="name", proposed=1, changed=1, added=2),
        MarkCount(kind="phone", proposed=2, kept=1),
    )


def test_r9_1_a_withdrawal_takes_the_public_text_and_what_waits_to_correct_it():
    case = prepared(with_files(FILE), state=published())
    case = withdrawn(WithdrawalGround.PRIVACY, case)
    assert (case.status, case.approved, case.waiting, case.files) == (Status.WITHDRAWN, None, None, frozenset())
    assert case.withdrawn is not None
    assert (case.withdrawn.ground, case.withdrawn.number, case.withdrawn.by) == (WithdrawalGround.PRIVACY, NUMBER, HEAD)
    assert case.since == NOW
    with pytest.raises(RuleBroken, match="nothing to withdraw"):
        withdraw(case, WithdrawalGround.PRIVACY, "", HEAD, NOW)


@pytest.mark.parametrize("case", [FINISHED, prepared()], ids=["to-prepare", "to-approve"])
def test_r9_1_only_what_is_public_can_be_withdrawn(case: Case):
    with pytest.raises(RuleBroken, match="not public"):
        withdraw(case, WithdrawalGround.PRIVACY, "", HEAD, NOW)


def test_r9_1_a_withdrawn_letter_can_be_prepared_and_approved_again():
    case = prepared(state=withdrawn())
    assert case.status is Status.TO_APPROVE
    assert case.withdrawn is not None, "the page says so until a text is approved"
    case = told(*approve(case, TEXT.hash, HEAD, NOW), state=case)
    assert (case.status, case.withdrawn) == (Status.PUBLISHED, None)


def test_r2_2_what_was_withdrawn_because_the_citizen_took_back_consent_is_never_published_again():
    case = withdrawn(WithdrawalGround.CONSENT_WITHDRAWN)
    with pytest.raises(RuleBroken, match="took back their consent") as refused:
        prepare(case, TEXT, (), CLERK, NOW)
    assert refused.value.rule == "R2.2"


def test_r2_2_no_way_leads_from_a_citizen_s_refusal_to_the_public_site():
    refused = told(received(may_publish=False), REGISTERED, ANSWERED)
    for move in (
        lambda: prepare(refused, TEXT, (), CLERK, NOW),
        lambda: approve(told(*prepare(FINISHED, TEXT, (), CLERK, NOW), state=refused), TEXT.hash, HEAD, NOW),
    ):
        with pytest.raises(RuleBroken, match="did not agree") as error:
            move()
        assert error.value.rule == "R2.2"
    (fact,) = followed(refused)
    assert isinstance(fact, PublicationWithheld)
    assert fact.consent_refused


def test_r9_1_what_leaves_the_site_by_being_withheld_is_withdrawn_on_the_same_ground():
    case = prepared(grounds=[WithholdingGround.TRADE_SECRET], state=published())
    gone, withheld = withhold(case, [WithholdingGround.HIGHLY_SENSITIVE], HEAD, NOW)
    assert isinstance(gone, PublicationWithdrawn)
    assert isinstance(withheld, PublicationWithheld)
    assert gone.ground is WithdrawalGround.TRADE_SECRET
    case = told(gone, withheld, state=case)
    assert (case.status, case.approved) == (Status.WITHHELD, None)
    assert [type(fact) for fact in withhold(prepared(), [WithholdingGround.PRIVACY], HEAD, NOW)] == [
        PublicationWithheld
    ]


def test_r9_1_a_public_letter_whose_reply_was_sent_back_can_still_be_withdrawn():
    case = told(sent_back(), state=published())
    assert case.answer is None
    assert (case.status, case.mailbox) == (Status.PUBLISHED, "education")
    case = withdrawn(state=case)
    assert (case.status, case.mailbox) == (Status.WITHDRAWN, "education")
    again = told(ANSWERED.model_copy(update={"at": NOW + timedelta(days=1)}), state=case)
    assert again.status is Status.WITHDRAWN
    assert prepare(again, TEXT, (), CLERK, NOW + timedelta(days=2))


def test_r9_1_of_a_withdrawn_letter_the_public_fields_hold_number_moment_and_ground_alone():
    directory = load_directory(DATA / "directory.yaml")
    fields = _fields(withdrawn(WithdrawalGround.PRIVACY), directory)
    assert fields["public"] is None
    assert fields["shown"] is None
    assert fields["public_number"] is None
    assert fields["withdrawn"] == {
        "number": "YFX-2026-17",
        "number_text": "渝府信〔2026〕17号",
        "mailbox": "education",
        "at": "2026-03-02T01:30:00Z",
        "ground": "privacy",
    }
    assert (fields["status"], fields["mailbox"]) == ("withdrawn", "education")


def test_r3_3_of_a_report_about_somebody_not_even_the_withdrawal_is_told():
    case = withdrawn(WithdrawalGround.PRIVACY).model_copy(update={"reported_mailbox": "education"})
    assert _fields(case, load_directory(DATA / "directory.yaml"))["withdrawn"] is None
