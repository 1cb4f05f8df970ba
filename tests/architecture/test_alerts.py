"""Rules for Prometheus name metrics and labels that the services have, teach what to do (R1.4), and are what their tests try."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from services import NAMES
from shared.observability import metrics
from tests.prometheus import FOLDER, RULE_FILES, alerts, promtool, rules, shrunk

RULES = rules()
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DECLARED = {m._name: set(m._labelnames) for m in vars(metrics).values() if isinstance(m, MetricWrapperBase)}
FROM_ELSEWHERE = {
    "process_start_time_seconds": {"service", "instance"},
    "process_cpu_seconds": {"service", "instance"},
    "process_resident_memory_bytes": {"service", "instance"},
    "up": {"service", "instance"},
}
KNOWN = DECLARED | FROM_ELSEWHERE
OF_TARGETS = {"job", "instance"}
OF_SERIES = {"slo", "le"}
_NAME = re.compile(r"(?<![:\w])(?:xinxiang_[a-z_]+|process_[a-z_]+)(?![:\w])|\bup(?=\{)")


def names_in(expr: str) -> set[str]:
    """The metrics that an expression names, as they are declared."""
    bare = re.sub(r"\b(by|on) \([^)]*\)", "", expr)
    return {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in _NAME.findall(bare)}


def _id(rule: dict[str, Any]) -> str:
    severity = rule.get("labels", {})
    return str(rule.get("alert") or rule["record"]) + "".join(f" {v}" for v in severity.values() if len(str(v)) < 10)


def _labels(expr: str) -> set[str]:
    named = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expr) for label in group.split(",")}
    return named | set(re.findall(r"[{,](\w+)[=!]", expr))


@pytest.mark.parametrize("rule", RULES, ids=_id)
def test_a_rule_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    names = names_in(rule["expr"])
    recorded = set(re.findall(r"\b[a-z]\w*:\w+(?::\w+)?", rule["expr"]))
    assert names | recorded or rule["record"] == "slo:objective:ratio"
    assert names <= KNOWN.keys()
    assert recorded <= RECORDED
    for part in re.split(r"\bor\b", rule["expr"]):
        for name in names_in(part):
            assert _labels(part) <= KNOWN[name] | OF_TARGETS | OF_SERIES


@pytest.mark.parametrize("rule", ALERTS, ids=_id)
def test_an_alert_says_what_is_wrong_in_two_languages_what_to_do_and_where_to_read_on(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    assert re.search(r"[\u4e00-\u9fff].* / .*[a-z]{3}", said["summary"])
    assert said["action"]
    assert said["runbook_url"] == "{{ $externalLabels.runbooks }}/" + rule["alert"] + ".md"
    assert rule["labels"]["severity"] in {"office", "ticket", "page"}
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(said.values())))
    assert shown <= _labels(rule["expr"]) | ({"instance", "service"} if "up{" in rule["expr"] else set())


def test_r1_4_every_kind_of_clock_has_an_alert_on_lateness() -> None:
    kinds = "|".join(re.findall(r'xinxiang_mailbox_overdue\{kind=~?"([^"]+)"', " ".join(r["expr"] for r in ALERTS)))
    assert set(kinds.split("|")) == {"reading", "disposition", "reply", "redo", "instruction"}


def test_every_objective_has_the_same_windows_and_both_alerts() -> None:
    objectives = {rule["labels"]["slo"] for rule in RULES if rule.get("record") == "slo:objective:ratio"}
    windows: dict[str, set[str]] = {name: set() for name in objectives}
    for rule in RULES:
        if rule.get("record", "").startswith("slo:error_ratio:"):
            window = rule["record"].rpartition("rate")[2]
            windows[rule["labels"]["slo"]].add(window)
            assert set(re.findall(r"\[(\w+)\]", rule["expr"])) == {window}
    assert len(objectives) == 4
    assert set(map(frozenset, windows.values())) == {frozenset({"5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"})}
    burning = [rule for rule in ALERTS if "slo:burn_rate" in rule["expr"]]
    called = {(re.findall(r'slo="(\w+)"', rule["expr"])[0], rule["labels"]["severity"]) for rule in burning}
    assert called == {(name, severity) for name in objectives for severity in ("page", "ticket")}


def test_time_made_short_keeps_its_order_and_touches_nothing_but_durations() -> None:
    short = [int(shrunk(text).removesuffix("ms")) for text in ("1m", "5m", "30m", "1h", "6h", "1d", "3d", "30d")]
    assert sorted(set(short)) == short
    assert shrunk('slo:error_ratio:rate5m{slo="a"} > 14.4 * 2') == 'slo:error_ratio:rate5m{slo="a"} > 14.4 * 2'


def test_prometheus_s_own_tool_accepts_configuration_and_rules() -> None:
    for checked in (
        promtool("check", "config", FOLDER / "prometheus.yaml"),
        promtool("check", "rules", *(FOLDER / name for name in RULE_FILES)),
    ):
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("folder", ["targets", "targets-compose"])
def test_every_service_is_a_target_and_every_file_of_targets_is_there(folder: str) -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    named = {file for job in config["scrape_configs"] for d in job.get("file_sd_configs", ()) for file in d["files"]}
    assert {f"targets/{path.name}" for path in (FOLDER / folder).glob("*.yaml")} == named
    services = yaml.safe_load((FOLDER / folder / "services.yaml").read_text(encoding="utf-8"))
    assert [entry["labels"]["service"] for entry in services] == list(NAMES)


@pytest.mark.parametrize("file", sorted((FOLDER / "tests").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_arithmetic_of_rules_holds(file: Path) -> None:
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_must_not() -> None:
    fires, stays_quiet = set(), set()
    for file in (FOLDER / "tests").glob("*.yaml"):
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for query in case.get("promql_expr_test", ()):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', query["expr"]))
                name = f"{labels.get('alertname')} {labels.get('severity', '')}".strip()
                if not query["exp_samples"]:
                    stays_quiet.add(name)
                elif labels.get("alertstate") == "firing":
                    fires.add(name)
    assert set(alerts()) - fires == set()
    assert set(alerts()) - stays_quiet == set()
