"""The page of rules says what code and tests say, and each mutant's line and tests are there."""

import ast
import re
from pathlib import Path

import pytest

from deploy import rules
from tests.mutants.mutant import Mutant, read_mutants

ROOT = Path(__file__).parents[2]
ORDER = ["R4.1", "R4.2", "R4.2b", "R4.3", "R4.4"]
MUTANTS = read_mutants()


def test_a_range_of_rules_means_all_between() -> None:
    assert list(rules.cited("Slips (R4.1–R4.4).", ORDER)) == ["R4.1", "R4.2", "R4.2b", "R4.3", "R4.4"]
    assert list(rules.cited("inside the unit (R4.2b), see R4.3.", ORDER)) == ["R4.2b", "R4.3"]
    assert list(rules.cited("no rule: R4, XR4.1, R4.1x", ORDER)) == []


def test_a_test_carries_the_ids_in_its_name() -> None:
    assert rules.named("test_r8_2_r8_4_who_handles_replies") == ["R8.2", "R8.4"]
    assert rules.named("test_r4_2b_the_assignees_business") == ["R4.2b"]
    assert rules.named("test_r3_6_32_registrations_at_once") == ["R3.6"]
    assert rules.named("test_error_4_1_is_not_a_rule") == []


def test_a_text_belongs_to_the_function_method_or_table_it_stands_in() -> None:
    source = '"""R1.1"""\nTABLE = {"a": "R1.2"}\ndef f():\n    "R1.3"\n    def g(): "R1.4"\nclass C:\n    "R1.5"\n    def m(self): "R1.6"\n'
    found = {text: place for place, text in rules.places(ast.parse(source))}
    assert found == {
        "R1.1": "", "a": "TABLE", "R1.2": "TABLE", "R1.3": "f", "R1.4": "f", "R1.5": "C", "R1.6": "C.m"
    }  # fmt: skip


def test_a_rule_without_code_or_without_a_test_on_running_services_is_wrong_unless_it_says_what_is_missing() -> None:
    rule = rules.Rule("R4.2", "4", "Assign.", "交办。", None)
    assert "no code and no test" in (rule.wrong() or "")
    rule.code["services/routing/slips.py"].append("prepare_slip")
    rule.tests["tests/unit/test_routing_domain.py"].append("test_r4_2_x")
    assert "no test on running services" in (rule.wrong() or "")
    rule.tests["tests/component/test_routing.py"].append("test_r4_2_y")
    assert rule.wrong() is None
    assert rules.Rule("R11.4", "11", "Scores.", "考评。", "scores").wrong() is None


def test_the_rule_book_has_every_rule() -> None:
    sections = {1: 6, 2: 3, 3: 8, 4: 6, 5: 1, 6: 4, 7: 4, 8: 4, 9: 2, 10: 4, 11: 4}
    wanted = {f"R{section}.{number}" for section, count in sections.items() for number in range(1, count + 1)}
    assert set(rules.read_book()) == wanted | {"R3.0", "R4.2b", "R4.4b"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.rule}-{Path(m.file).stem}")
def test_each_mutant_s_line_and_tests_are_there(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert mutant.stands(source), f"{mutant.file} has no line (or more than one): {mutant.line}"
    broken = mutant.applied(source)
    assert broken != source
    ast.parse(broken)
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert mutant.rule in rules.named(name.partition("[")[0]), f"{name} does not carry {mutant.rule}"
        assert re.search(rf"def {name.partition('[')[0]}\b", (ROOT / file).read_text(encoding="utf-8")), test


def test_every_rule_with_its_logic_in_the_code_has_a_mutant() -> None:
    elsewhere = {"R4.6", "R10.3"}
    assert {mutant.rule for mutant in MUTANTS} == set(rules.read_book()) - elsewhere
