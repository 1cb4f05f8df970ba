"""`python -m deploy.dashboards [--check]`: write `deploy/grafana/dashboards/*.json`, or say whether they are as described."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.dashboards.described import ALL
from deploy.engines.places import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "grafana" / "dashboards"


def files() -> Mapping[Path, str]:
    """Path → content of every dashboard."""
    return {FOLDER / f"{one.uid}.json": json.dumps(one.json(), ensure_ascii=False, indent=1) + "\n" for one in ALL}


def main(arguments: list[str] | None = None) -> int:
    """Write the files; with `--check` return 1 where one is missing, other than described, or described no more."""
    parser = argparse.ArgumentParser(prog="python -m deploy.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not as described")
    check = parser.parse_args(arguments).check
    wanted = files()
    surplus = set(FOLDER.glob("*.json")) - wanted.keys()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if check:
        for path in sorted({*stale, *surplus}):
            print(f"{path.relative_to(CHECKOUT)} is not as described: run .venv/bin/python -m deploy.dashboards")
        return 1 if stale or surplus else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    for path in surplus:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
