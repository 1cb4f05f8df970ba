"""A signing key is changed while services run: nobody is thrown out before the old key is retired, and it is on the record."""

import json
from pathlib import Path

import httpx
import pytest

from services.deadline.app import build
from shared.security import keys as rotation
from shared.security.issue import ensure_keys, issue_token
from tests.conftest import World, eventually
from tests.operator import ops

BY = ("--by", "duty", "--reason", "every half year")
ASKED = "/deadline/mailboxes"


async def status(client: httpx.AsyncClient, token: str) -> int:
    return (await client.get(ASKED, headers={"Authorization": f"Bearer {token}"})).status_code


async def test_a_token_of_the_old_key_is_good_until_that_is_retired_and_one_of_the_new_at_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "keys"
    ensure_keys(folder)
    monkeypatch.setattr(rotation, "KEYS_DIR", folder)
    monkeypatch.setenv("JWKS_FILE", str(folder / "jwks.json"))

    def token() -> str:
        return issue_token("mayor-duty", "mayor", ["duty_officer"], keys_dir=folder)

    def kids() -> list[str]:
        return [key["kid"] for key in json.loads((folder / "jwks.json").read_text("utf-8"))["keys"]]

    (first,) = kids()
    old = token()
    async with world.running(build(world.kit())) as client:
        assert await status(client, old) == 200
        refused = await ops(world, "keys", "rotate", "signing")
        assert (refused.status, "--reason" in refused.err, kids()) == (1, True, [first])

        rotated = await ops(world, "keys", "rotate", "signing", *BY)
        assert rotated.status == 0, rotated.err
        (second,) = set(kids()) - {first}
        new = token()

        async def taken() -> bool:
            return await status(client, new) == 200

        await eventually(taken, 5)
        assert await status(client, old) == 200

        unsure = await ops(world, "keys", "retire", first, *BY)
        assert (unsure.status, "--yes" in unsure.err, set(kids())) == (1, True, {first, second})
        retired = await ops(world, "keys", "retire", first, *BY, "--yes")
        assert retired.status == 0, retired.err
        assert kids() == [second]

        async def thrown_out() -> bool:
            return await status(client, old) == 401

        await eventually(thrown_out, 5)
        assert await status(client, new) == 200

        last = await ops(world, "keys", "retire", second, *BY, "--yes")
        assert (last.status, kids()) == (1, [second])
    noted = (await ops(world, "log", "--json")).answer
    assert [(one["verb"], one["by"], one["about"]["about"]) for one in noted] == [
        ("keys retire", "duty", first),
        ("keys rotate", "duty", "signing"),
    ]
    assert noted[0]["why"] == "every half year"
    listed = await ops(world, "keys", "list")
    assert second in listed.out
    assert first not in listed.out
    kit = world.kit()
    await kit.store.drop("ops")
    kit.store.close()
