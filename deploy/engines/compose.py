"""The same engines as containers, where a Docker daemon answers: `deploy/compose.yaml` under the instance's name."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.engines.errors import EngineError
from deploy.engines.places import CHECKOUT, checkout_hash
from deploy.engines.ports import Ports

FILE = CHECKOUT / "deploy" / "compose.yaml"


def available(environ: Mapping[str, str]) -> bool:
    """Whether a Docker daemon answers within two seconds, its compose plugin is there, and it is not unwanted."""
    if environ.get("XINXIANG_ENGINES") == "local" or not shutil.which("docker", path=environ.get("PATH")):
        return False
    try:
        return all(
            subprocess.run(command, env=dict(environ), capture_output=True, check=False, timeout=2).returncode == 0
            for command in (["docker", "info"], ["docker", "compose", "version"])
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


class Containers:
    """The containers of one instance."""

    def __init__(self, name: str, ports: Ports, environ: Mapping[str, str], log: Path) -> None:
        self._base = ["docker", "compose", "-p", f"xinxiang-{name}-{checkout_hash()}", "-f", str(FILE)]
        self._environ = {**environ, "KAFKA_PORT": str(ports.kafka), "MONGO_PORT": str(ports.ferretdb)}
        self._log = log

    def running(self) -> set[str]:
        """The engines whose containers run."""
        return set(self._compose("ps", "--services", "--status", "running").split())

    def start(self, engines: Iterable[str]) -> None:
        """Create or start containers and wait until they are healthy; on failure those named are stopped again."""
        engines = list(engines)
        try:
            self._compose("up", "-d", "--wait", *engines)
        except BaseException:
            logs = self._compose("logs", "--no-color", "--tail", "15", *engines)
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._log.write_text(logs)
            self._compose("stop", *engines)
            raise

    def stop(self, engines: Iterable[str]) -> None:
        """Stop containers in order; their data stays."""
        self._compose("stop", *engines)

    def kill(self, engine: str) -> None:
        """End one container with SIGKILL."""
        self._compose("kill", engine)

    def remove(self, *, with_data: bool) -> None:
        """Remove the containers, and on request their volumes."""
        self._compose("down", *(["--volumes"] if with_data else []))

    def _compose(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [*self._base, *arguments], env=self._environ, capture_output=True, text=True, check=False
            )
            said = (done.stderr[-2000:] or "no reason given") if done.returncode else ""
        except OSError as error:
            said = str(error)
        if said:
            raise EngineError(
                f"`docker compose {' '.join(arguments)}` failed; logs, if any, are in {self._log}:\n{said}\n"
                "XINXIANG_ENGINES=local starts the engines without Docker."
            )
        return done.stdout
