"""Runbooks: a page for each alert that says what whoever is called needs, and of whose commands it is known whether they work."""

import re
import subprocess
from pathlib import Path

import pytest

from deploy.engines.places import CHECKOUT
from tests.architecture.test_alerts import ALERTS
from tests.runbooks import FOLDER as RUNBOOKS
from tests.runbooks import NOT_RUN, commands, tried


def test_each_alert_has_a_runbook_each_runbook_an_alert_and_the_index_lists_them_all() -> None:
    names = {rule["alert"] for rule in ALERTS}
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"} == names
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.md\)", index)) == names


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("[A-Z]*.md")), ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_what_citizens_notice_and_what_to_do_on_one_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.stem != "README":
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["What it means", "What citizens notice", "What to do"]
        assert text.startswith(f"# {page.stem}\n")
        assert len(text.splitlines()) < 50


def test_each_command_of_a_runbook_is_run_by_a_test_or_it_is_said_why_not() -> None:
    assert {line for _, line, is_tried in commands() if not is_tried} - set(tried()) == NOT_RUN.keys()
    for why in NOT_RUN.values():
        assert all((CHECKOUT / path).is_file() for path in re.findall(r"tests/[\w/]+\.py", why))


def test_what_the_proxy_itself_refuses_is_counted_and_not_what_it_passes_on() -> None:
    config = (CHECKOUT / "deploy" / "proxy" / "nginx.conf").read_text(encoding="utf-8")
    (log_format,) = re.findall(r"log_format short '([^']+)'", config)

    def logged(status: str, upstream: str) -> str:
        return log_format.replace("$status", status).replace("$upstream_response_time", upstream) + "\n"

    (command,) = (line for line in NOT_RUN if "awk" in line)
    log = logged("429", "-") + logged("429", "0.004") + logged("200", "0.004") + logged("404", "-")
    counted = subprocess.run(
        ["bash", "-c", re.sub("^docker .*? proxy", "cat", command)],
        input=log,
        capture_output=True,
        text=True,
        check=True,
    )
    assert counted.stdout.strip() == "1"
