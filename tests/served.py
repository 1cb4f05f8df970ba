"""An application of this process behind a real port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from tests.conftest import eventually


@asynccontextmanager
async def served(config: uvicorn.Config) -> AsyncIterator[int]:
    """Serve an application of this process; gives the port."""
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())

    async def port() -> int:
        assert server.started
        found: int = server.servers[0].sockets[0].getsockname()[1]
        return found

    try:
        yield await eventually(port)
    finally:
        server.should_exit = True
        await task
