"""Proxies (toxiproxy) before each process' broker and store: they make a connection slow, or cut it as a broken network does."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.engines import Process
from deploy.tools import program


@dataclass
class Proxies:
    """The proxy server of one run; it is recorded in the engines' folder, so that taking these down ends it too."""

    folder: Path
    port: int

    def start(self) -> None:
        """Start the server; returns when it answers."""
        process = Process("toxiproxy", self.folder)
        process.start(
            [str(program("toxiproxy")), "-host", "127.0.0.1", "-port", str(self.port)], cwd=self.folder, env=os.environ
        )
        process.wait_ready(self._answers, 20)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/version", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    async def add(self, name: str, listen: int, upstream: int) -> None:
        """Pass on what comes to one port to another."""
        body = {"name": name, "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{upstream}", "enabled": True}
        await self._ask("POST", "/proxies", body)

    async def slow(self, names: list[str], milliseconds: float) -> None:
        """Delay every answer by so much, or up to half of it more or less."""
        delay = {"latency": int(milliseconds), "jitter": int(milliseconds / 2)}
        await asyncio.gather(*(self._toxic(name, "latency", "downstream", delay) for name in names))

    async def cut(self, name: str) -> None:
        """Let nothing through in either direction: connections stay open, and new ones are never answered."""
        for stream in ("upstream", "downstream"):
            await self._toxic(name, "timeout", stream, {"timeout": 0})

    async def bent(self, name: str) -> bool:
        """Whether something is done to what comes through, as the server itself says."""
        return bool((await self._ask("GET", f"/proxies/{name}/toxics")).json())

    async def heal(self, name: str) -> None:
        """Let everything through again. Connections are closed first: what was cut off in the middle of one must not go on."""
        await self._ask("POST", f"/proxies/{name}", {"enabled": False})
        for toxic in (await self._ask("GET", f"/proxies/{name}/toxics")).json():
            await self._ask("DELETE", f"/proxies/{name}/toxics/{toxic['name']}")
        await self._ask("POST", f"/proxies/{name}", {"enabled": True})

    async def _toxic(self, name: str, kind: str, stream: str, attributes: Mapping[str, int]) -> None:
        body = {"name": f"{kind}-{stream}", "type": kind, "stream": stream, "attributes": attributes}
        await self._ask("POST", f"/proxies/{name}/toxics", body)

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20) as client:
            response = await client.request(method, path, json=body)
        response.raise_for_status()
        return response
