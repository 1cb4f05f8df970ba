"""One message must not stop the others: where a batch fails and waiting does not help, the message to blame is found and put aside.

Everything foreseen is parked by the handlers themselves. This is for the rest: a mistake of ours, or content that the store or the broker
refuses. Without it, Kafka would bring the same batch again for ever, and everything behind it would wait.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from shared.messaging.patience import Conflict
from shared.storage import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")


def _passes(error: Exception) -> bool:
    """Whether it may be otherwise when the batch comes again."""
    if isinstance(error, MessageSizeTooLargeError):
        return False
    return isinstance(error, StoreUnavailable | Conflict | KafkaError | OSError)


async def salvage(
    items: Sequence[T],
    handle: Callable[[Sequence[T]], Awaitable[object]],
    aside: Callable[[T, Exception], Awaitable[None]],
) -> None:
    """Handle items, in their order; give those that cannot be handled whatever happens to `aside`. Handling twice must do no harm.

    Raises:
        StoreUnavailable, Conflict, KafkaError, OSError: from `handle`; the batch comes again.
    """
    try:
        await handle(items)
    except Exception as error:
        if _passes(error):
            raise
        if len(items) == 1:
            log.exception("a message made its batch fail and is put aside", exc_info=error)
            await aside(items[0], error)
            return
        half = len(items) // 2
        await salvage(items[:half], handle, aside)
        await salvage(items[half:], handle, aside)
