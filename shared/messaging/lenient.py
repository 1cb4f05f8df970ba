"""A repair of aiokafka 0.14: a header whose *name* is no UTF-8 stops a consumer for ever, with everything before and behind it.

Brokers take such names, and clients that are not written in Java or Python send them. The client's parser raises, the position stays, and
the same batch is fetched again and again: one message of one unit's system would stop the actions of all units. Here the batch is read
again, by a parser that writes � for what is no UTF-8; the message then is what any other with odd headers is: refused or parked.
"""

from typing import Any, Self

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy
from aiokafka.record.util import decode_varint_py


class _Text(bytes):
    """Bytes that decode in any case."""

    def decode(self, encoding: str = "utf-8", _errors: str = "") -> str:
        return super().decode(encoding, "replace")


class _Buffer(bytearray):
    """A batch's bytes, whose slices decode in any case."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _Text(found) if isinstance(key, slice) else found


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: Any

    def __iter__(self) -> Self:
        self._maybe_uncompress()
        self._buffer = _Buffer(self._buffer)
        return self

    def _read_msg(self) -> Any:
        return super()._read_msg(decode_varint_py)


class _Kept:
    """What was fetched of a partition, as the client reads it, and its bytes for the second reading."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._records: Any = MemoryRecords(raw)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        return self._records.next_batch()

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def lenient(self) -> "_Lenient":
        return _Lenient(self._raw)


class _Lenient:
    """The same, read by the parser that takes any name."""

    def __init__(self, raw: bytes) -> None:
        self._records: Any = _MemoryRecordsPy(raw)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        ahead: Any = self._records._next_slice  # noqa: SLF001
        batch = self._records.next_batch()
        with_headers = ahead[_MemoryRecordsPy.MAGIC_OFFSET] >= 2  # since Kafka 0.11
        return _LenientBatch(ahead) if with_headers else batch


class _Partition(fetcher.PartitionRecords):  # type: ignore[misc]
    """Reads once more, leniently, what the client's parser gives up; what was read already is skipped by its offset."""

    _records: Any
    _records_iterator: Any

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except (UnicodeDecodeError, CorruptRecordException) as error:
            if not isinstance(self._records, _Kept) or not _by_name(error):
                raise
            self._records = self._records.lenient()
            self._records_iterator = self._unpack_records()
            return super().__next__()


def _by_name(error: BaseException) -> bool:
    return isinstance(error, UnicodeDecodeError) or isinstance(error.__cause__, UnicodeDecodeError)


def read_any_header_name() -> None:
    """Put the repair in place, for every consumer of this process; again: nothing changes."""
    fetcher.MemoryRecords = _Kept
    fetcher.PartitionRecords = _Partition
