"""The sample directory and the invented letters that ship for demonstrations and tests."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import phonenumbers
import pytest
from email_validator import validate_email

from shared.directory import MailboxKind, load_directory

SAMPLE = Path(__file__).parents[2] / "deploy" / "sample"
NATURES = {"suggestion", "help", "complaint", "report", "inquiry", "other"}
REQUIRED = {"mailbox", "subject", "body", "nature", "domain", "region", "sender", "publication_consent"}


def lines(name):
    return [json.loads(line) for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def directory():
    return load_directory(SAMPLE / "directory.yaml")


@pytest.fixture(scope="module")
def letters():
    return lines("letters.jsonl")


def test_r1_1_the_sample_directory_has_the_mayor_all_38_districts_and_over_30_units(directory):
    kinds = Counter(mailbox.kind for mailbox in directory.mailboxes())
    assert kinds[MailboxKind.MAYOR] == 1
    assert kinds[MailboxKind.DISTRICT] == 38
    assert kinds[MailboxKind.GOVERNMENT_DEPARTMENT] + kinds[MailboxKind.PUBLIC_ENTERPRISE] >= 32
    assert kinds[MailboxKind.PUBLIC_ENTERPRISE] >= 5
    with_departments = {mailbox.parent for mailbox in directory.mailboxes() if mailbox.kind is MailboxKind.DEPARTMENT}
    assert len(with_departments) >= 5
    assert directory.prefix_of("mayor").chinese == "渝府信"
    assert directory.prefix_of("mayor").ascii == "YFX"


def test_r3_5_every_district_has_its_gb_t_2260_code(directory):
    districts = [mailbox for mailbox in directory.mailboxes() if mailbox.kind is MailboxKind.DISTRICT]
    codes = [*range(500101, 500121), *range(500151, 500157), 500229, 500230, 500231, 500233, *range(500235, 500239)]
    codes += range(500240, 500244)
    assert sorted(mailbox.region for mailbox in districts) == sorted(map(str, codes))
    assert all(mailbox.name == f"{directory.region(mailbox.region).name}人民政府" for mailbox in districts)


def test_r3_4_the_sample_domains_have_two_levels(directory):
    assert {domain.level for domain in directory.all_domains()} == {1, 2}
    assert len(directory.domains()) >= 12
    assert all(len(directory.domains(domain.code)) == 6 for domain in directory.domains())


def test_r2_2_there_are_200_letters_with_every_field_as_the_form_wants_it(directory, letters):
    assert len(letters) == 200
    for letter in letters:
        assert letter.keys() - {"reported_mailbox"} == REQUIRED, letter
        assert directory.get(letter["mailbox"]).kind is not MailboxKind.DEPARTMENT
        assert 4 <= len(letter["subject"]) <= 60
        assert 10 <= len(letter["body"]) <= 5000
        assert letter["nature"] in NATURES
        assert directory.domain(letter["domain"]).level == 2
        directory.region(letter["region"])
        assert isinstance(letter["publication_consent"], bool)
        sender = letter["sender"]
        assert sender["name"]
        assert sender.keys() & {"phone", "email", "address"}
        assert sender.keys() <= {"name", "phone", "email", "address"}


def test_r2_2_every_phone_and_e_mail_could_exist_but_is_plainly_invented(letters):
    for sender in (letter["sender"] for letter in letters):
        if "phone" in sender:
            number = phonenumbers.parse(sender["phone"], "CN")
            assert phonenumbers.is_valid_number(number), sender
            assert str(number.national_number)[3:7] == "0000"
        if "email" in sender:
            validate_email(sender["email"], check_deliverability=False)
            assert sender["email"].rsplit("@")[1] in {"example.com", "example.net", "example.org"}


def test_r3_3_the_letters_are_of_every_nature_region_and_domain_and_half_go_to_the_mayor(directory, letters):
    natures = Counter(letter["nature"] for letter in letters)
    assert natures.keys() == NATURES
    assert min(natures.values()) >= 8
    assert {letter["region"] for letter in letters} == {region.code for region in directory.regions()}
    assert len({letter["domain"] for letter in letters}) >= 60
    assert len({letter["mailbox"] for letter in letters}) >= 40
    assert 80 <= sum(letter["mailbox"] == "mayor" for letter in letters) <= 120
    assert 10 <= sum(not letter["publication_consent"] for letter in letters) <= 60


def test_some_reports_are_about_a_unit_and_never_written_to_that_unit(directory, letters):
    reports = [letter for letter in letters if "reported_mailbox" in letter]
    assert len(reports) >= 5
    for letter in reports:
        assert letter["nature"] == "report"
        assert directory.get(letter["reported_mailbox"]).kind.is_unit
        assert letter["mailbox"] != letter["reported_mailbox"]


def test_the_letters_are_varied_and_no_two_are_alike(letters):
    assert len({letter["subject"] for letter in letters}) == 200
    assert len({letter["sender"]["name"] for letter in letters}) == 200
    lengths = sorted(len(letter["body"]) for letter in letters)
    assert lengths[0] < 60
    assert lengths[-1] > 1000
    trigrams = [{letter["body"][start : start + 3] for start in range(len(letter["body"]) - 2)} for letter in letters]
    assert max(len(one & other) / len(one | other) for one, other in combinations(trigrams, 2)) < 0.1


def test_the_letters_hold_full_width_characters_emoji_english_and_personal_data(letters):
    texts = "\n".join(letter["subject"] + letter["body"] for letter in letters)
    for sample in (
        "１３９０００００３５８",
        "😭",
        "My name is Daniel",
        "500103190001010014",
        "渝A00X0Y",
        "13800000137",
    ):
        assert sample in texts


def test_the_sample_replies_answer_known_domains(directory):
    replies = lines("replies.jsonl")
    assert len(replies) >= 40
    assert len({reply["text"] for reply in replies}) == len(replies)
    assert {directory.domain(reply["domain"]).path[0] for reply in replies} == {
        domain.code for domain in directory.domains()
    }
    assert all(reply.keys() == {"domain", "text"} and 40 <= len(reply["text"]) <= 1000 for reply in replies)
