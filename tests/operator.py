"""An operator at the command line, on the engines of a test's own world."""

import io
import json
import sys
from dataclasses import dataclass
from typing import Any

from deploy.ops.__main__ import serve
from services.settings import Settings
from tests.conftest import World


@dataclass
class Said:
    """What a run of the command came to."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


async def ops(world: World, *arguments: str, settings: Settings | None = None) -> Said:
    """Run `python -m deploy.ops …` on a world."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.stderr = sys.stderr, err
    try:
        status = await serve([str(argument) for argument in arguments], settings or world.settings, out)
    finally:
        sys.stderr = before
    return Said(status, out.getvalue(), err.getvalue())
