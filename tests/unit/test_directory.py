"""The directory (R1.1–R1.3), the domains (R3.4) and the regions (R3.5)."""

import re

import pytest

from shared.directory import (
    Directory,
    DirectoryError,
    MailboxKind,
    Role,
    UnknownDomain,
    UnknownMailbox,
    UnknownRegion,
    load_directory,
)

REGIONS = "code,name\n500103,渝中区\n500105,江北区\n"
DOMAINS = (
    "code,parent,name\nutilities,,水电气讯\nutilities-water,utilities,供水\n"
    "utilities-water-quality,utilities-water,水质\neducation,,教育\n"
)
MAYOR = """
  - code: mayor
    name: 某市市长信箱
    short_name: 市长信箱
    kind: mayor
    prefix: {chinese: 某府信, ascii: MFX}
    responsible_department: 市政府值班室
    leader: {name: 甲领导, subject: leader-a}
    staff:
      - {name: 乙经办, subject: clerk-b, roles: [clerk]}
      - {name: 丙主任, subject: head-c, roles: [head, duty_officer]}
"""
WATER = """
  - code: water-group
    name: 某市水务集团
    short_name: 水务集团
    kind: public_enterprise
    parent: mayor
    prefix: {chinese: 某水信, ascii: MSX}
    responsible_department: 客户服务部
    leader: {name: 丁领导, subject: leader-d}
    staff:
      - {name: 戊经办, subject: clerk-e, roles: [clerk, head]}
"""
PIPES = """
  - code: water-group-pipes
    name: 某市水务集团管网部
    short_name: 管网部
    kind: department
    parent: water-group
    staff:
      - {name: 己经办, subject: clerk-f, roles: [clerk]}
"""
DISTRICT = """
  - code: yuzhong
    name: 渝中区人民政府
    short_name: 渝中区
    kind: district
    parent: mayor
    region: "500103"
    prefix: {chinese: 渝中信, ascii: YZX}
    responsible_department: 区政府办公室
    leader: {name: 庚领导, subject: leader-g}
    staff:
      - {name: 辛经办, subject: clerk-h, roles: [clerk]}
      - {name: 壬主任, subject: head-i, roles: [head]}
"""


@pytest.fixture
def load(tmp_path):
    def load(*entries, domains=DOMAINS, regions=REGIONS, head="domains: domains.csv\nregions: regions.csv\n"):
        (tmp_path / "domains.csv").write_text(domains, encoding="utf-8")
        (tmp_path / "regions.csv").write_text(regions, encoding="utf-8")
        file = tmp_path / "directory.yaml"
        file.write_text(head + "mailboxes:\n" + "".join(entries), encoding="utf-8")
        return load_directory(file)

    return load


@pytest.fixture
def directory(load) -> Directory:
    return load(MAYOR, WATER, PIPES, DISTRICT)


def problems(load, *entries, **files):
    with pytest.raises(DirectoryError) as refused:
        load(*entries, **files)
    for problem in refused.value.problems:
        assert str(problem) in str(refused.value)
        assert problem.where
        assert problem.remedy
        assert re.fullmatch(r"R\d\.\d", problem.rule)
    return [(problem.where, problem.rule, problem.wrong) for problem in refused.value.problems]


def test_r1_1_the_mailboxes_form_a_tree_of_mayor_units_and_departments(directory):
    assert [mailbox.code for mailbox in directory.mailboxes()] == [
        "mayor",
        "water-group",
        "water-group-pipes",
        "yuzhong",
    ]
    assert directory.mayor.code == "mayor"
    assert [mailbox.code for mailbox in directory.children("mayor")] == ["water-group", "yuzhong"]
    assert [mailbox.code for mailbox in directory.children("water-group")] == ["water-group-pipes"]
    assert directory.children("yuzhong") == ()
    assert directory.is_below("water-group-pipes", "mayor")
    assert directory.is_below("water-group-pipes", "water-group")
    assert not directory.is_below("water-group-pipes", "yuzhong")
    assert not directory.is_below("mayor", "water-group")
    assert not directory.is_below("mayor", "mayor")
    assert directory.get("water-group").kind.label == "公用企业"
    assert directory.get("yuzhong").kind is MailboxKind.DISTRICT


def test_r1_1_a_department_belongs_to_its_unit(directory):
    assert directory.unit_of("water-group-pipes").code == "water-group"
    assert directory.unit_of("water-group").code == "water-group"
    assert directory.unit_of("mayor").code == "mayor"


def test_r2_1_an_unknown_mailbox_is_a_clear_error(directory):
    for question in (directory.get, directory.unit_of, directory.children, directory.prefix_of):
        with pytest.raises(UnknownMailbox, match=r"R2\.1.*'nowhere'.*信箱名录"):
            question("nowhere")
    with pytest.raises(KeyError):
        directory.is_below("mayor", "nowhere")
    assert "mayor" in directory
    assert "nowhere" not in directory


def test_r3_6_a_department_uses_the_prefix_of_its_unit(directory):
    assert directory.prefix_of("water-group-pipes").chinese == "某水信"
    assert directory.prefix_of("mayor").ascii == "MFX"
    assert directory.leader_of("water-group-pipes").name == "丁领导"


def test_r1_3_staff_are_found_by_role(directory):
    assert [person.subject for person in directory.get("mayor").staff_with(Role.DUTY_OFFICER)] == ["head-c"]
    assert Role.HEAD.label == "部门分管负责人"


def test_r1_3_an_incomplete_entry_is_refused_with_every_reason(load):
    bare = "  - {code: gas, name: 燃气, short_name: 燃气, kind: public_enterprise, parent: mayor}\n"
    assert problems(load, MAYOR, bare) == [
        ("gas", "R3.6", "prefix is missing"),
        ("gas", "R1.3", "responsible_department is missing"),
        ("gas", "R1.3", "leader is missing"),
        ("gas", "R1.3", "no head among its staff"),
        ("gas", "R1.3", "no clerk among its staff"),
    ]


def test_r1_3_every_mistake_of_every_entry_is_listed_at_once(load):
    wrong_code = WATER.replace("water-group", "Water Group").replace("name: 某市水务集团", 'name: ""')
    no_leader = DISTRICT.replace("    leader: {name: 庚领导, subject: leader-g}\n", "").replace("500103", "500199")
    found = problems(load, MAYOR, wrong_code, no_leader, domains="code,name\n")
    assert [(where, rule) for where, rule, _ in found] == [
        ("domains.csv", "R3.4"),
        ("Water Group", "R1.1"),
        ("Water Group", "R1.3"),
        ("yuzhong", "R1.3"),
        ("yuzhong", "R3.5"),
    ]


def test_r1_3_a_misspelt_or_missing_field_is_named(load):
    misspelt = WATER.replace("short_name", "shortname")
    assert problems(load, MAYOR, misspelt) == [
        ("water-group", "R1.3", "short_name is missing"),
        ("water-group", "R1.3", "shortname is not a field of a mailbox"),
    ]


def test_r1_1_there_is_exactly_one_mayor(load):
    assert problems(load, WATER) == [
        ("mailboxes", "R1.1", "no mayor's mailbox"),
        ("water-group", "R1.1", "its parent mayor is missing or itself refused"),
    ]
    second = MAYOR.replace("code: mayor", "code: major").replace("某府信", "副府信").replace("MFX", "FFX")
    assert problems(load, MAYOR, second) == [("major", "R1.1", "a second mayor's mailbox beside mayor")]


@pytest.mark.parametrize(
    ("entry", "where", "rule", "wrong"),
    [
        (PIPES.replace("parent: water-group", "parent: none"), "water-group-pipes", "R1.1", "its parent none"),
        (PIPES.replace("    parent: water-group\n", ""), "water-group-pipes", "R1.1", "parent is missing"),
        (DISTRICT.replace("parent: mayor", "parent: water-group"), "yuzhong", "R1.1", "a unit cannot stand below"),
        (DISTRICT.replace("code: yuzhong", "code: water-group"), "water-group", "R1.1", "stands more than once"),
        (DISTRICT.replace("渝中信", "某水信"), "yuzhong", "R3.6", "某水信 is also used by water-group"),
        (DISTRICT.replace("YZX", "MSX"), "yuzhong", "R3.6", "MSX is also used by water-group"),
        (DISTRICT.replace("YZX", "yz"), "yuzhong", "R3.6", "prefix.ascii"),
        (DISTRICT.replace('region: "500103"', 'region: "50"'), "yuzhong", "R3.5", "not in the list of regions"),
        (DISTRICT.replace('    region: "500103"\n', ""), "yuzhong", "R3.5", "region is missing"),
        (DISTRICT.replace("[head]", "[head, duty_officer]"), "yuzhong", "R1.2", "duty officer outside"),
        (DISTRICT.replace("[head]", "[head, unit_system]"), "yuzhong", "R1.3", "has the role unit_system"),
        (DISTRICT.replace("[head]", "[boss]"), "yuzhong", "R1.3", "staff.1.roles.0"),
        (DISTRICT.replace("head-i", "clerk-h"), "yuzhong", "R1.3", "more than once in its staff"),
        (DISTRICT.replace("head-i", "clerk-e"), "yuzhong", "R1.3", "belongs to two people"),
        (DISTRICT.replace("kind: district", "kind: village"), "yuzhong", "R1.1", "kind"),
        (
            PIPES.replace("parent", "prefix: {chinese: 管网信, ascii: GWX}\n    parent"),
            "water-group-pipes",
            "R3.8",
            "a",
        ),
    ],
)
def test_a_directory_that_breaks_a_rule_is_refused_naming_it(load, entry, where, rule, wrong):
    found = problems(load, MAYOR, WATER, entry)
    assert any((at, broken) == (where, rule) and wrong in text for at, broken, text in found), found


def test_r1_1_a_department_below_a_department_is_refused(load):
    deeper = PIPES.replace("code: water-group-pipes", "code: team").replace("parent: water-group", "parent: pipes")
    pipes = PIPES.replace("code: water-group-pipes", "code: pipes")
    assert problems(load, MAYOR, WATER, pipes, deeper) == [("team", "R1.1", "its parent pipes is itself a department")]


def test_r3_4_domains_have_up_to_three_levels_and_a_label_path(directory):
    assert [domain.code for domain in directory.domains()] == ["utilities", "education"]
    assert [domain.name for domain in directory.domains("utilities")] == ["供水"]
    assert directory.domains("education") == ()
    quality = directory.domain("utilities-water-quality")
    assert quality.label == "水电气讯 / 供水 / 水质"
    assert quality.path == ("utilities", "utilities-water", "utilities-water-quality")
    assert quality.level == 3
    assert len(directory.all_domains()) == 4
    with pytest.raises(UnknownDomain, match=r"R3\.4"):
        directory.domain("weather")
    with pytest.raises(UnknownDomain):
        directory.domains("weather")


def test_r3_4_wrong_domains_are_all_named_by_line(load):
    domains = DOMAINS + "deep,utilities-water-quality,深\nhigh,sky,高\neducation,,教育\n,,空\nshort\n"
    assert [where for where, _, _ in problems(load, MAYOR, domains=domains)] == [
        f"domains.csv:{line}" for line in (6, 7, 8, 9, 10)
    ]


def test_r3_5_regions_are_known_by_their_gb_t_2260_codes(load, directory):
    assert directory.region("500103").name == "渝中区"
    assert [region.code for region in directory.regions()] == ["500103", "500105"]
    with pytest.raises(UnknownRegion, match=r"R3\.5"):
        directory.region("110000")
    found = problems(load, MAYOR, regions=REGIONS + "500103,又是渝中\n5001,短\n")
    assert [where for where, _, _ in found] == ["regions.csv:4", "regions.csv:5"]


@pytest.mark.parametrize("head", ["domains: [\n", "domains: d.csv\n", "- a\n"])
def test_a_file_that_is_no_directory_is_refused_with_what_to_do(load, head):
    assert [rule for _, rule, _ in problems(load, MAYOR, head=head)] == ["R1.1"]


def test_a_missing_file_names_the_setting(tmp_path):
    with pytest.raises(DirectoryError, match="DIRECTORY_FILE"):
        load_directory(tmp_path / "none.yaml")


def test_the_files_beside_it_may_be_missing_and_are_named(load):
    found = problems(load, MAYOR, head="domains: no.csv\nregions: none.csv\n")
    assert [rule for _, rule, _ in found] == ["R3.4", "R3.5"]
