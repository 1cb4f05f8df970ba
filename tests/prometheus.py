"""A real Prometheus that follows the rules of `deploy/prometheus`, with time made short: what takes minutes there takes seconds here.

Only durations change. Expressions, thresholds, labels and the order of windows are those that operators run.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.engines.places import CHECKOUT
from deploy.engines.ports import free
from deploy.tools import program
from tests.conftest import eventually

FOLDER = CHECKOUT / "deploy" / "prometheus"
RULE_FILES = ("recording.yaml", "slo.yaml", "alerts.yaml")
SCRAPE = "750ms"
PACE = float(os.environ.get("ALERT_PACE", "1.5"))
"""On a machine that others load as well, 2 makes everything twice as long."""
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"\b(\d+)(ms|s|m|h|d)\b")
_DURATIONS_OF_A_RULE = ("for", "keep_firing_for", "expr")


def rules() -> list[dict[str, Any]]:
    """Every rule of every file, in order."""
    files = [yaml.safe_load((FOLDER / name).read_text(encoding="utf-8")) for name in RULE_FILES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> list[str]:
    """What each alert rule is called; those of a budget, which bear one name, with their severity: `PagesBurnBudget ticket`."""
    found = [rule for rule in rules() if "alert" in rule]
    times = Counter(rule["alert"] for rule in found)
    return sorted(f"{r['alert']} {r['labels']['severity']}" if times[r["alert"]] > 1 else r["alert"] for r in found)


def shrunk(text: str) -> str:
    """Return an expression or duration with each duration made short: 5m → 2 s, 1h → 5 s, 6h → 11 s, 3d → 29 s.

    The shorter stays the shorter, and none becomes too short for two scrapes; no window is so long that a test cannot wait for its end.
    """

    def short(found: re.Match[str]) -> str:
        return f"{round(PACE * 200 * (int(found[1]) * _SECONDS[found[2]]) ** 0.4)}ms"

    return _DURATION.sub(short, text)


def write_rules(folder: Path) -> None:
    """Write the files of rules into `folder`, in short time."""
    for name in RULE_FILES:
        content = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        for group in content["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule |= {key: shrunk(str(rule[key])) for key in _DURATIONS_OF_A_RULE if key in rule}
        (folder / name).write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


@dataclass
class Prometheus:
    """One Prometheus in a folder of its own, with the city's configuration but for intervals, targets and its own port."""

    folder: Path
    port: int = field(default_factory=lambda: free(1)[0])
    process: "subprocess.Popen[bytes] | None" = None
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=20))

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def point(self, file: str, targets: Sequence[Mapping[str, Any]]) -> None:
        """Say where a job's targets are, as an operator would in `targets/`."""
        folder = self.folder / "targets"
        folder.mkdir(exist_ok=True)
        (folder / file).write_text(yaml.safe_dump(list(targets)), encoding="utf-8")

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
        config["global"] |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": "300ms"}
        for job in config["scrape_configs"]:
            if job["job_name"] == "prometheus":
                job["static_configs"] = [{"targets": [f"127.0.0.1:{self.port}"]}]
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        write_rules(self.folder)
        with (self.folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                [
                    program("prometheus"),
                    f"--config.file={self.folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        async def is_ready() -> bool:
            with suppress(httpx.TransportError):
                return (await self._get("/-/ready")).status_code == 200
            return False

        await eventually(is_ready, 30)

    async def stop(self) -> None:
        """End it and forget its data."""
        await self.client.aclose()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    async def _get(self, path: str, **params: str) -> httpx.Response:
        return await self.client.get(self.url + path, params=params)

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """Run a query; return its series, each with `metric` and `value`.

        Raises:
            AssertionError: Prometheus refuses the query.
        """
        answer = (await self._get("/api/v1/query", query=query)).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def firing(self) -> list[dict[str, str]]:
        """The labels of every alert that fires at this moment."""
        answer = (await self._get("/api/v1/alerts")).json()
        return [alert["labels"] for alert in answer["data"]["alerts"] if alert["state"] == "firing"]

    async def unhealthy(self) -> list[str]:
        """What the rules could not compute: name and error."""
        groups = (await self._get("/api/v1/rules")).json()["data"]["groups"]
        return [f"{r['name']}: {r.get('lastError')}" for g in groups for r in g["rules"] if r["health"] == "err"]


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run promtool."""
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
