"""Which errors of the store mean: not now, the same again later."""

import pytest
from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError

from shared.storage import DuplicateKey, StoreUnavailable, translated

DISK_FULL, OUT_OF_MEMORY = 4_293, 8_389
"""SQLSTATE 53100 and 53200, as DocumentDB passes them on: six bits for each sign, the first one lowest."""


@pytest.mark.parametrize("code", [DISK_FULL, OUT_OF_MEMORY])
def test_a_store_without_room_cannot_work_now_whether_one_write_or_a_batch_meets_it(code: int) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise WriteError("could not extend file: No space left on device", code)
    with pytest.raises(StoreUnavailable), translated():
        raise BulkWriteError({"writeErrors": [{"index": 0, "code": code, "errmsg": "no room"}]})


def test_a_key_that_is_taken_and_a_document_that_is_too_large_are_other_errors() -> None:
    with pytest.raises(DuplicateKey), translated():
        raise DuplicateKeyError("taken", 11_000)
    with pytest.raises(WriteError), translated():
        raise WriteError("the document is too large", 10_334)
