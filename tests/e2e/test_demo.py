"""The demonstration as a newcomer runs it: on engines of its own, in a process of its own, to its end and again."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.engines import Engines
from deploy.engines.places import CHECKOUT
from deploy.engines.ports import is_taken, take

INSTANCE = "demotest"
STAYS_UP = "Ctrl-C"

pytestmark = pytest.mark.timeout(900)


@dataclass
class Stage:
    """Where the demonstration of this module runs."""

    engines: Engines
    port: int
    out: Path

    def environment(self, **more: str) -> dict[str, str]:
        mine = {"DEMO_INSTANCE": INSTANCE, "DEMO_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        others = {"KAFKA_BOOTSTRAP", "MONGO_URL", "NAMESPACE", "DEMO_EXIT"}
        return {name: value for name, value in os.environ.items() if name not in others} | mine | more

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run to the end of the journey."""
        command = [sys.executable, "-m", "deploy.demo"]
        env = self.environment(DEMO_EXIT="1")
        return subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=800, check=False)

    def start(self, until: str = STAYS_UP) -> subprocess.Popen[bytes]:
        """Start it and return when it says so."""
        with self.out.open("wb") as out:
            demo = subprocess.Popen(
                [sys.executable, "-m", "deploy.demo"], cwd=CHECKOUT, env=self.environment(), stdout=out, stderr=out
            )
        end = time.monotonic() + 300
        while until not in self.out.read_text():
            assert demo.poll() is None, self.out.read_text()
            assert time.monotonic() < end, self.out.read_text()
            time.sleep(0.1)
        return demo

    def processes(self) -> list[str]:
        """Processes of this instance that run now."""
        mark = f"{os.sep}{INSTANCE}{os.sep}"
        return [
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline", "environ"])
            if mark in (process.info["environ"] or {}).get("CLOCK_FILE", "")
            or any(mark in word for word in process.info["cmdline"] or ())
        ]


def five_free_ports() -> int:
    while True:
        first = random.randrange(20_000, 31_990)
        if all(take(first + n) for n in range(-1, 5)):
            return first


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    engines = Engines(INSTANCE)
    engines.reset()
    yield Stage(engines, five_free_ports(), tmp_path_factory.mktemp("demo") / "out.txt")
    engines.reset()


@pytest.fixture(scope="module")
def journey(stage: Stage) -> subprocess.CompletedProcess[str]:
    """The first run, made once."""
    return stage.run()


def test_a_taken_port_is_named_before_anything_is_started(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", stage.port + 1)):
        run = stage.run()
    assert run.returncode == 1
    assert f"port {stage.port + 1} for routing is taken" in run.stderr
    assert "DEMO_PORT" in run.stderr
    assert stage.processes() == []


def test_a_wrong_setting_is_refused_with_its_name(stage: Stage) -> None:
    command = [sys.executable, "-m", "deploy.demo"]
    env = stage.environment(DEMO_PORT="80")
    run = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "DEMO_PORT" in run.stderr


def test_ctrl_c_in_the_middle_ends_all_within_15_seconds(stage: Stage) -> None:
    """What it leaves half done is forgotten by the next run, which the next test sees."""
    demo = stage.start(until=" 2/18 ")
    pressed = time.monotonic()
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 130
    assert time.monotonic() - pressed < 15
    assert stage.processes() == []


def test_the_whole_journey_is_seen_and_ends_with_status_0(
    stage: Stage, journey: subprocess.CompletedProcess[str]
) -> None:
    assert journey.returncode == 0, journey.stdout + journey.stderr
    assert journey.stdout.count("✓") == 18
    assert "全部步骤均已看到" in journey.stdout
    assert stage.processes() == []


def test_a_second_run_finds_its_data_and_ctrl_c_ends_all_within_15_seconds(
    stage: Stage, journey: subprocess.CompletedProcess[str]
) -> None:
    assert journey.returncode == 0
    demo = stage.start()
    assert "市民递交来信 citizens write letters  [" not in stage.out.read_text(), "the journey was made a second time"
    origin = f"http://127.0.0.1:{stage.port + 3}"
    assert len(httpx.get(f"{origin}/public/letters.json").json()["items"]) == 20
    assert "渝府信〔2026〕" in httpx.get(f"{origin}/public/board").text
    printed = re.findall(r"TOKEN=\$\(.*\)|curl -H .*", stage.out.read_text())
    shell = subprocess.run(["sh", "-c", "\n".join(printed)], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert "渝府信〔2026〕" in json.loads(shell.stdout)["items"][0]["number"], (
        "the printed commands show the mayor's mailbox"
    )
    pressed = time.monotonic()
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 0
    assert time.monotonic() - pressed < 15
    assert stage.processes() == []
    assert not any(is_taken(stage.port + n) for n in range(-1, 5))


def test_a_step_that_cannot_be_seen_ends_it_with_status_1_and_what_was_expected(
    stage: Stage, journey: subprocess.CompletedProcess[str]
) -> None:
    assert journey.returncode == 0
    file = stage.engines.folder / "demo.json"
    state = json.loads(file.read_text())
    key = next(key for key, letter in state["letters"].items() if letter["fate"] == "early")
    told = state["letters"][key]["reply"]
    state["letters"][key]["reply"] = "从未给出的答复"
    file.write_text(json.dumps(state))
    run = stage.run()
    state["letters"][key]["reply"] = told
    file.write_text(json.dumps(state))
    assert run.returncode == 1
    assert "✗ 承办回复、答复来信人" in run.stdout
    assert "从未给出的答复" in run.stdout
    assert told[:20] in run.stdout
    assert stage.processes() == []
