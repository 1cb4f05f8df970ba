"""Alert rules name metrics and labels that the services have, and teach what to do (R1.4)."""

import re
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from deploy.engines.places import CHECKOUT
from shared.observability import metrics

FILE = CHECKOUT / "deploy" / "prometheus" / "alerts.yaml"
RULES = [rule for group in yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
DECLARED = {m._name: set(m._labelnames) for m in vars(metrics).values() if isinstance(m, MetricWrapperBase)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    names = re.findall(r"\bxinxiang_\w+", rule["expr"])
    assert names
    assert set(names) <= DECLARED.keys()
    labels = {label.strip() for group in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in group.split(",")}
    labels |= set(re.findall(r"[{,](\w+)=", rule["expr"]))
    for name in names:
        assert labels <= DECLARED[name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["action"]
    assert rule["labels"]["severity"] in {"office", "ticket", "page"}
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert shown <= {label.strip() for label in re.findall(r"by \(([^)]*)\)", rule["expr"])[0].split(",")}


def test_r1_4_every_kind_of_clock_has_an_alert_on_lateness() -> None:
    kinds = "|".join(re.findall(r'xinxiang_mailbox_overdue\{kind=~?"([^"]+)"', " ".join(r["expr"] for r in RULES)))
    assert set(kinds.split("|")) == {"reading", "disposition", "reply", "redo", "instruction"}
