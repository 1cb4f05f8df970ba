"""`python -m deploy.demo_provider`: the demonstration with an identity provider, Dex, at which its staff sign in with a browser.

Everybody in the directory has the password `password`; their account is their `subject` with `@city.test` behind it, such as
mayor-clerk@city.test. `make demo SIGN_IN=1` is the same command. Dex and its settings here are for demonstrations and tests; a city has a
provider of its own (docs/operating.md, Signing in).
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

import httpx

from deploy.engines import EngineError, Process
from deploy.tools import program, provide, say
from services.settings import SAMPLE
from shared.directory import Directory, load_directory

PORT = 8120
CLIENT, AUDIENCE, SYSTEM = "mailboxes", "xinxiang", "unit-system"
PASSWORD = "password"  # noqa: S105 - of people who are invented
_HASH = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"
"""Of that password, by bcrypt, which Dex asks for."""
START_SECONDS = 30
ROLES = """# Written by deploy.demo_provider. Dex gives an account's short name in the claim `name`; a claim that nobody has leaves people
# the name that the directory has.
subject: name
name: none
directory: true
"""


@dataclass(frozen=True)
class Dex:
    """A provider that runs."""

    issuer: str
    process: Process

    def stop(self) -> None:
        """End it."""
        self.process.stop(seconds=5)


def configuration(issuer: str, sites: Sequence[str], directory: Directory) -> dict[str, object]:
    """Return Dex's settings: staff of the directory may sign in to the sites; nothing is kept when it ends."""
    people = sorted(
        {
            person.subject
            for mailbox in directory.mailboxes()
            for person in (*mailbox.staff, *((mailbox.leader,) if mailbox.leader is not None else ()))
        }
    )
    return {
        "issuer": issuer,
        "storage": {"type": "memory"},
        "web": {"http": issuer.removeprefix("http://").partition("/")[0]},
        "oauth2": {"skipApprovalScreen": True, "passwordConnector": "local"},
        "logger": {"level": "warn"},
        "staticClients": [
            {
                "id": CLIENT,
                "name": "公开电子信箱 Public mailbox",
                "public": True,
                "redirectURIs": [f"{site}/auth/callback" for site in sites],
            },
            {"id": AUDIENCE, "name": "API", "secret": token_urlsafe(32), "trustedPeers": [SYSTEM]},
            {"id": SYSTEM, "name": "单位业务系统", "secret": SYSTEM},
        ],
        "enablePasswordDB": True,
        "staticPasswords": [
            {"email": f"{subject}@city.test", "hash": _HASH, "username": subject, "userID": subject}
            for subject in people
        ],
    }


@contextmanager
def provider(folder: Path, port: int, sites: Sequence[str], directory: Directory) -> Iterator[Dex]:
    """Run Dex on a port of this machine, for people of the directory who come from the sites.

    Raises:
        EngineError: it is not there, or does not start.
    """
    issuer = f"http://127.0.0.1:{port}/dex"
    file = folder / "dex.yaml"
    file.write_text(json.dumps(configuration(issuer, sites, directory), ensure_ascii=False), encoding="utf-8")
    process = Process("dex", folder)
    process.start([str(program("dex")), "serve", str(file)], cwd=folder, env={"PATH": "/usr/bin:/bin"})
    try:
        process.wait_ready(lambda: _answers(issuer), START_SECONDS)
        yield Dex(issuer, process)
    finally:
        process.stop(seconds=5)


def environment(issuer: str, folder: Path) -> dict[str, str]:
    """Return the settings of services whose staff sign in there."""
    roles = folder / "roles.yaml"
    roles.write_text(ROLES, encoding="utf-8")
    return {
        "OIDC_ISSUER": issuer,
        "OIDC_CLIENT_ID": CLIENT,
        "OIDC_AUDIENCE": AUDIENCE,
        "ROLES_FILE": str(roles),
        "SESSION_SECRETS": token_urlsafe(32),
    }


def _answers(issuer: str) -> bool:
    try:
        return httpx.get(issuer + "/.well-known/openid-configuration", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Run the provider, and the demonstration with it until that ends."""
    if not provide(["dex"]):
        return 1
    first = int(environ.get("DEMO_PORT", "8101"))
    site = f"http://127.0.0.1:{first - 1}"
    with tempfile.TemporaryDirectory(prefix="xinxiang-dex-") as made:
        folder = Path(made)
        try:
            with provider(folder, PORT, [site], load_directory(SAMPLE)) as dex:
                say(f"登录 sign in: {site}/auth/login, for example as mayor-clerk@city.test, password {PASSWORD}")
                child = subprocess.Popen(
                    [sys.executable, "-m", "deploy.demo"], env={**environ, **environment(dex.issuer, folder)}
                )
                signal.signal(signal.SIGTERM, lambda *_: child.terminate())
                while True:
                    try:
                        return child.wait()
                    except KeyboardInterrupt:
                        continue  # the demonstration heard it, too, and stops what it started
        except EngineError as error:
            say(str(error))
            return 1


if __name__ == "__main__":
    sys.exit(main())
