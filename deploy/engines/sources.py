"""The host's own Debian mirror, read from its apt sources (deb822 `.sources` and one-line `.list`).

The packages of the store come from the mirror that this host already trusts, so no host name is written down anywhere.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SUITES = frozenset(
    "stable oldstable testing unstable sid buster bullseye bookworm trixie forky duke".split()  # noqa: SIM905
)
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Source:
    """One archive that packages may come from."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    trusted: bool = False

    def is_debian_main(self) -> bool:
        """Whether this is Debian's own archive, not a third party's that borrows a suite's name."""
        if self.suite not in SUITES or "main" not in self.components:
            return False
        if self.signed_by:
            return "debian-archive" in self.signed_by or ("BEGIN PGP" in self.signed_by and self._named_debian())
        return self._named_debian()

    def _named_debian(self) -> bool:
        return "debian" in urlsplit(self.uri).path.rstrip("/").rpartition("/")[2]

    def line(self, suite: str, architecture: str) -> str:
        """The one-line source for `suite` of the same archive, with only the package index to be read."""
        options = [f"arch={architecture}", "target=Packages"]
        if self.signed_by.startswith("/"):
            options.append(f"signed-by={self.signed_by}")
        elif KEYRING.exists():
            options.append(f"signed-by={KEYRING}")
        if self.trusted:
            options.append("trusted=yes")
        return f"deb [{' '.join(options)}] {self.uri} {suite} main"


def parse_list(text: str) -> Iterator[Source]:
    """Sources in a one-line `.list` file."""
    for raw in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", raw)
        if not match:
            continue
        options = dict(option.partition("=")[::2] for option in shlex.split(match[1] or ""))
        yield Source(
            uri=match[2],
            suite=match[3],
            components=tuple(match[4].split()),
            signed_by=options.get("signed-by", ""),
            trusted=options.get("trusted", "") == "yes",
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources in a deb822 `.sources` file; one for each URI and suite of each stanza that is enabled."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        field = ""
        for line in stanza.splitlines():
            if line[:1].isspace() and field:
                fields[field] += "\n" + line.strip()
            elif ":" in line:
                field, _, value = line.partition(":")
                field = field.strip().lower()
                fields[field] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(
                    uri=uri,
                    suite=suite,
                    components=tuple(fields.get("components", "").split()),
                    signed_by=fields.get("signed-by", ""),
                    trusted=fields.get("trusted", "").lower() == "yes",
                )


def debian_source(folder: Path = Path("/etc/apt")) -> Source | None:
    """The first source of Debian's own `main` among the host's apt sources; None where there is none."""
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]
    found: list[Source] = []
    for file in files:
        if file.suffix == ".list" and file.is_file():
            found += parse_list(file.read_text(errors="replace"))
        elif file.suffix == ".sources" and file.is_file():
            found += parse_deb822(file.read_text(errors="replace"))
    official = [source for source in found if source.is_debian_main()]
    return next((source for source in official if source.signed_by), official[0] if official else None)
