"""Withdrawal, files and remaining personal data in decisions on publication (R9.1), and consent (R2.2)."""

from datetime import timedelta
from typing import Final

import pytest

from services.publication.domain import Case, PublicText, Status, approve, prepare, withdraw, withhold
from services.publication.forms import PrepareRequest
from services.publication.repository import _fields
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import LetterPublished, PublicationPrepared, PublicationWithdrawn, PublicationWithheld
from shared.contracts.types import MarkCount, PublishedFile, WithdrawalGround, WithholdingGround
from shared.directory import load_directory
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
