"""The running replicas, as they speak for themselves: alive, ready or what they wait for, and what they measure."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.ops.console import Refused
from services import NAMES
from services.__main__ import PORTS

SECONDS = 5.0


@dataclass
class Replica:
    """One replica of one service."""

    service: str
    address: str
    live: bool = False
    ready: bool = False
    missing: dict[str, str] = field(default_factory=dict)
    """What it waits for, and why."""
    seconds: float | None = None
    """How long its sign of life took."""
    error: str = ""
    metrics: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)

    def most(self, name: str) -> float | None:
        """Return the largest value of a metric of this service; None: it does not measure it."""
        found = self._values(name)
        return max(found) if found else None

    def total(self, name: str) -> float | None:
        """Return the sum over the values of a metric of this service; None: it does not measure it."""
        found = self._values(name)
        return sum(found) if found else None

    @property
    def release(self) -> str:
        """The release that it runs; empty: it does not say."""
        return next((labels["release"] for labels, _ in self._samples("xinxiang_build_info")), "")

    def _values(self, name: str) -> list[float]:
        return [value for _, value in self._samples(name)]

    def _samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        # `services all` answers for the five with one page.
        return [
            (labels, value) for labels, value in self.metrics.get(name, ()) if labels.get("service") == self.service
        ]


def addresses(given: Iterable[str]) -> list[tuple[str, str]]:
    """Return (service, address) of `NAME=URL`; nothing given: of OPS_SERVICES (separated by commas), else the ports of this machine.

    Raises:
        Refused: one cannot be read.
    """
    words = list(given) or [word for word in os.environ.get("OPS_SERVICES", "").split(",") if word.strip()]
    if not words:
        return [(name, f"http://127.0.0.1:{PORTS[name]}") for name in NAMES]
    found = []
    for word in words:
        name, _, address = word.strip().partition("=")
        names = NAMES if name == "all" else (name,)
        if not address.startswith(("http://", "https://")) or not set(names) <= set(NAMES):
            raise Refused(
                f"读不懂 {word!r}，应为 服务=地址 / {word!r} is no NAME=URL, such as "
                f"intake=http://10.0.0.5:8101; names: {', '.join(NAMES)}, all"
            )
        found += [(one, address.rstrip("/")) for one in names]
    return found


async def ask(given: Iterable[str], client: httpx.AsyncClient | None = None) -> list[Replica]:
    """Ask all replicas at once; one that does not answer is in the list with its error."""
    replicas = [Replica(*one) for one in addresses(given)]
    own = client or httpx.AsyncClient(timeout=SECONDS)
    try:
        await asyncio.gather(*(_ask(own, replica) for replica in replicas))
    finally:
        if client is None:
            await own.aclose()
    return replicas


async def _ask(client: httpx.AsyncClient, replica: Replica) -> None:
    began = perf_counter()
    try:
        replica.live = (await client.get(f"{replica.address}/health/live")).status_code == 200
        replica.seconds = perf_counter() - began
        answer = await client.get(f"{replica.address}/health/ready")
        replica.ready = answer.status_code == 200
        replica.missing = _of_service(answer.json().get("missing", {}), replica.service)
        page = (await client.get(f"{replica.address}/metrics")).text
    except (httpx.HTTPError, ValueError) as error:
        replica.error = f"{type(error).__name__}: {error}".rstrip(": ")
        return
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            replica.metrics.setdefault(sample.name, []).append((dict(sample.labels), sample.value))


def _of_service(missing: Mapping[str, str], service: str) -> dict[str, str]:
    """Return what one service waits for; `services all` puts the service's name before each part."""
    own = {part.removeprefix(f"{service}: "): why for part, why in missing.items() if part.startswith(f"{service}: ")}
    return own or {part: why for part, why in missing.items() if ": " not in part}
