"""Which generation of a service's projection is live: so that one can be built beside it and take its place while the service runs.

The document `live` in a service's collection `generations` names the live generation and the collections that belong to one; all others
(contact data, files, bulletins …) stand where they always stood. The collections of the first generation, "", stand beside them, those of
`g2` in the database `xinxiang_<service>_g2`. Replicas look at the document every second. While it is `held`, a replica does without the
store, as if it were away: handlers wait, HTTP answers 503 with Retry-After, the front door takes letters. A replica that has not been able
to look for `LEASE_SECONDS` holds by itself; so whoever has held the document for longer than that is alone with the projection.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

COLLECTION: Final = "generations"
LIVE: Final = "live"
LOOK_EVERY_SECONDS: Final = 1.0
LEASE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Generation:
    """What a process knows of a service's projection."""

    name: str = ""
    collections: frozenset[str] = frozenset()
    """Those that belong to a generation; none: there has only ever been one."""
    held: bool = False
    leased: frozenset[str] = frozenset()
    """Those that a process which keeps looking must not touch on the strength of an old look; none: it looked once, and is no replica."""
    looked_at: float = field(default_factory=monotonic)

    def database(self, service: str, collection: str) -> str:
        """Return the name of the database in which a collection stands, without prefix."""
        return service if not self.name or collection not in self.collections else f"{service}_{self.name}"

    def withheld(self, collection: str) -> bool:
        """Whether a collection must not be touched now."""
        if self.held and collection in self.collections:
            return True
        return collection in self.leased and monotonic() - self.looked_at > LEASE_SECONDS


def generation_of(document: Mapping[str, Any] | None, leased: frozenset[str], looked_at: float) -> Generation:
    """Return what the document says, which was asked for at `looked_at` (`time.monotonic`)."""
    found = document or {}
    collections = frozenset(found.get("collections", ()))
    return Generation(found.get("generation", ""), collections, bool(found.get("held")), leased, looked_at)
