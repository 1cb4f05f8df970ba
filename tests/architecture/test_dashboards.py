"""Dashboards are as described, are what Grafana can show, and ask for what there is."""

import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from deploy.dashboards.__main__ import files
from deploy.dashboards.described import ALL
from deploy.dashboards.model import COLUMNS, DATASOURCE, Dashboard
from deploy.engines.places import CHECKOUT
from services import NAMES
from tests.architecture.test_alerts import KNOWN, RECORDED, names_in

UNITS = {"short", "s", "reqps", "ops", "bytes", "percentunit"}
"""Ids of units that are used, each of which Grafana knows."""
GRAFANA = CHECKOUT / "deploy" / "grafana"


def _uid(one: Dashboard) -> str:
    return one.uid


def test_the_committed_dashboards_are_as_described_and_there_are_no_others() -> None:
    wanted = files()
    found = {path: path.read_text(encoding="utf-8") for path in (GRAFANA / "dashboards").glob("*.json")}
    assert found == dict(wanted), "run .venv/bin/python -m deploy.dashboards"


def test_there_is_one_for_the_duty_office_for_each_service_for_engines_and_for_objectives() -> None:
    wanted = {"office", *NAMES, "engines", "slo"}
    assert {one.uid for one in ALL} == {f"xinxiang-{name}" for name in wanted}
    assert len({one.title for one in ALL}) == len(ALL)


@pytest.mark.parametrize("one", ALL, ids=_uid)
def test_panels_have_ids_of_their_own_and_overlap_nowhere(one: Dashboard) -> None:
    panels: list[dict[str, Any]] = one.json()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        for g in (panel["gridPos"] for panel in panels)
    ]
    assert all(x < COLUMNS for place in cells for x, _ in place)
    assert not [pair for pair in combinations(cells, 2) if pair[0] & pair[1]]


@pytest.mark.parametrize("one", ALL, ids=_uid)
def test_panels_take_the_chosen_datasource_known_units_and_titles_in_both_languages(one: Dashboard) -> None:
    made = one.json()
    names = {variable["name"] for variable in made["templating"]["list"]}
    assert "datasource" in names
    for panel in made["panels"]:
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == DATASOURCE
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert target["datasource"] == DATASOURCE
            assert set(re.findall(r"\$(?!__rate_interval)(\w+)", target["expr"])) <= names


@pytest.mark.parametrize("one", ALL, ids=_uid)
def test_panels_ask_for_metrics_and_records_that_exist(one: Dashboard) -> None:
    for title, expr in one.queries():
        recorded = set(re.findall(r"\b[a-z]\w*:\w+(?::\w+)?", expr))
        assert recorded | names_in(expr) or "ALERTS" in expr, title
        assert recorded <= RECORDED, title
        assert names_in(expr) <= KNOWN.keys() | {"process_open_fds"}, title


def test_grafana_is_told_where_prometheus_and_the_dashboards_are() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/xinxiang.yaml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/xinxiang.yaml").read_text("utf-8"))["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "$PROMETHEUS_URL")
    assert (provider["type"], provider["options"]["path"]) == ("file", "$DASHBOARDS_FOLDER")
