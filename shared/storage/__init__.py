"""The document store: the only place that imports motor and pymongo."""

from pymongo import DeleteOne, ReplaceOne, UpdateOne

from shared.storage.aggregates import Aggregates, Change, NewerDocument, Stored
from shared.storage.bucket import Bucket
from shared.storage.places import place, places_after
from shared.storage.store import (
    Collection,
    Database,
    DuplicateKey,
    Index,
    Store,
    StoreUnavailable,
    find_many,
    insert_missing,
    is_address,
    translated,
)

__all__ = [
    "Aggregates",
    "Bucket",
    "Change",
    "Collection",
    "Database",
    "DeleteOne",
    "DuplicateKey",
    "Index",
    "NewerDocument",
    "ReplaceOne",
    "Store",
    "StoreUnavailable",
    "Stored",
    "UpdateOne",
    "find_many",
    "insert_missing",
    "is_address",
    "place",
    "places_after",
    "translated",
]
