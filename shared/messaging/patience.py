"""How handlers wait for an engine that is away: back off with jitter, go on by themselves, hand the batch back after a while."""

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from shared.storage import StoreUnavailable

PATIENCE_SECONDS = 60


class Conflict(Exception):
    """Too many writers at one letter at once; try again."""

    def __init__(self, letter_id: str) -> None:
        super().__init__("too many writers at one letter at once; try again")
        self.letter_id = letter_id


def patiently() -> AsyncRetrying:
    """Retry while the store is away, for a minute; then the error goes to Kafka's client, which brings the batch again."""
    return AsyncRetrying(
        retry=retry_if_exception_type((StoreUnavailable, Conflict)),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_delay(PATIENCE_SECONDS),
        reraise=True,
    )
