"""When the last backup went through, as a gauge, so that an alert can be had of it wherever backups are made."""

from dataclasses import dataclass
from typing import Final

from shared.observability import metrics
from shared.storage import Store, translated

DATABASE: Final = "ops"
LOG: Final = "log"
"""Where the operator's command records what operators did: collection `log` of the database `xinxiang_ops`. It is the only thing outside
its own database that the service reads."""


@dataclass(frozen=True, slots=True)
class LastBackup:
    """Sets the gauge; where no backup is on record there is none, which the alert asks for, too."""

    store: Store

    async def measure(self) -> None:
        """Look for the newest record of a backup.

        Raises:
            StoreUnavailable: the store does not answer, or does not let the service read `xinxiang_ops`.
        """
        with translated():
            found = await self.store.collection(DATABASE, LOG).find_one({"verb": "backup"}, sort=[("_id", -1)])
        if found is not None:
            metrics.backup_last_success_timestamp_seconds.labels("reporting").set(found["at"].timestamp())
