"""Which errors of the store mean: not now, the same again later."""

import pytest
from pymongo import IndexModel
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
)

from shared.storage import DuplicateKey, Index, Store, StoreUnavailable, insert_missing, translated

DISK_FULL, OUT_OF_MEMORY = 4_293, 8_389
"""SQLSTATE 53100 and 53200, as DocumentDB passes them on: six bits for each sign, the first one lowest."""


@pytest.mark.parametrize("code", [DISK_FULL, OUT_OF_MEMORY])
def test_a_store_without_room_cannot_work_now_whether_one_write_or_a_batch_meets_it(code: int) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise WriteError("could not extend file: No space left on device", code)
    with pytest.raises(StoreUnavailable), translated():
        raise BulkWriteError({"writeErrors": [{"index": 0, "code": code, "errmsg": "no room"}]})


STEPPED_DOWN = {"code": 189, "errmsg": "primary stepped down while waiting for replication"}


async def test_r3_6_a_write_that_no_majority_confirmed_may_be_undone_and_does_not_count_as_done() -> None:
    class Bulk:
        async def bulk_write(self, *_: object, **__: object) -> None:
            raise BulkWriteError({"writeErrors": [], "writeConcernErrors": [STEPPED_DOWN], "nInserted": 1})

    with pytest.raises(StoreUnavailable):
        await insert_missing(Bulk(), [{"_id": "mayor/2026/000000017"}])
    with pytest.raises(StoreUnavailable), translated():
        await Bulk().bulk_write()
    with pytest.raises(StoreUnavailable), translated():
        raise WriteConcernError("waiting for replication timed out", 64)


@pytest.mark.parametrize("code", [13, 18])
def test_a_store_that_does_not_let_us_in_is_told_with_the_setting_to_look_at(code: int) -> None:
    with pytest.raises(StoreUnavailable, match="MONGO_URL"), translated():
        raise OperationFailure("Authentication failed.", code)


def test_a_key_that_is_taken_and_a_document_that_is_too_large_are_other_errors() -> None:
    with pytest.raises(DuplicateKey), translated():
        raise DuplicateKeyError("taken", 11_000)
    with pytest.raises(WriteError), translated():
        raise WriteError("the document is too large", 10_334)


class Late(PyMongoError):
    """An error of the driver that says only that time ran out."""

    @property
    def timeout(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AutoReconnect("connection closed"), None),
        (ServerSelectionTimeoutError("no server was found"), None),
        (Late("time ran out"), None),
        (OperationFailure("it took too long", 50), 50),
        (OperationFailure("Authentication failed.", 18), 18),
        (BulkWriteError({"writeErrors": [{"code": 11_000}, {"code": DISK_FULL}]}), DISK_FULL),
    ],
)
def test_why_the_store_failed_an_operation_is_one_line_in_the_log(
    error: PyMongoError, code: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise error
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert (vars(record)["error_type"], vars(record)["code"]) == (type(error).__name__, code)


def test_an_error_that_does_not_mean_that_the_store_is_away_is_no_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(DuplicateKey), translated():
        raise DuplicateKeyError("taken", 11_000)
    assert not caplog.records


class Collection:
    """A collection that is lost sight of some times while it is made."""

    def __init__(self, *errors: OperationFailure) -> None:
        self.errors = list(errors)
        self.made: list[str] = []

    async def create_indexes(self, models: list[IndexModel]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.made += [model.document["name"] for model in models]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    async def there(_: Store) -> None: ...

    monkeypatch.setattr(Store, "ping", there)
    return Store("mongodb://127.0.0.1:1/", "")


async def test_a_collection_that_the_store_loses_sight_of_while_making_it_is_made_at_the_next_try(store: Store) -> None:
    lost = OperationFailure("The specified collection 'rows' cannot be found.", 26)
    not_made = OperationFailure("Unable to create the specified collection", 1)
    collection = Collection(lost, not_made)
    await store.ensure(collection, [Index([("order", 1)])])
    assert collection.made == ["order_1"]


async def test_an_index_that_contradicts_an_older_one_is_not_tried_again(store: Store) -> None:
    other = OperationFailure("An existing index has the same name but other options", 86)
    collection = Collection(other)
    with pytest.raises(OperationFailure):
        await store.ensure(collection, [Index([("order", 1)])])
    assert collection.made == []
