"""The commands on the pages of `docs/runbooks`: which of them a test runs as they stand, and why the others are not run so."""

import re
from collections.abc import Iterator, Mapping

from deploy.engines.places import CHECKOUT

FOLDER = CHECKOUT / "docs" / "runbooks"
PARKED = "actions.education/3/17"
"""The parked message of the pages' examples."""
NOT_RUN: Mapping[str, str] = {
    ".venv/bin/python -m services intake": "runs until it is stopped: so tests/e2e/fleet.py starts every service",
    ".venv/bin/python -m services.rebuild reporting": "wants its replicas stopped: tests/e2e/test_rebuild.py",
    "docker compose -f deploy/compose.yaml run --rm operator deploy.ops health": "needs a Docker daemon; what it runs is tried without",
    "docker compose -f deploy/compose.yaml run --rm operator": "needs a Docker daemon; what it runs is tried without",
    """docker compose -f deploy/compose.yaml logs --no-log-prefix --since 5m proxy | awk '$2 == 429 && $5 == "-"' | wc -l""": (
        "needs a Docker daemon; what stands behind it is tried on lines of the proxy's format: tests/architecture/test_runbooks.py"
    ),
    """kubectl -n ingress-nginx logs deployment/ingress-nginx-controller --since=5m | grep -c '" 429 '""": (
        "needs a cluster with that controller"
    ),
}
"""Command → why no test runs it as it stands, and where something like it is tried."""
_BLOCK = re.compile(r"^```sh( tried)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(
    r"`((?:\.venv/bin/|python3? |curl |docker |kubectl |make |(?:deploy|services|shared)\.\w+ )[^`]*)`"
)


def commands() -> Iterator[tuple[str, str, bool]]:
    """Every command of every page, in a block or within a sentence: the page's name, the line, whether it is marked as tried."""
    for page in sorted(FOLDER.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for tried, block in _BLOCK.findall(text):
            for line in block.splitlines():
                yield page.stem, line, bool(tried)
        for line in _INLINE.findall(_BLOCK.sub("", text)):
            yield page.stem, line, False


def tried() -> list[str]:
    """The commands that are marked as tried, each once."""
    return sorted({line for _, line, is_tried in commands() if is_tried})
