"""The document store: the only place that imports motor and pymongo."""

from pymongo import DeleteOne, ReplaceOne, UpdateOne

from shared.storage.aggregates import Aggregates, Change, NewerDocument, Stored
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
from shared.storage.uploads import Uploads

__all__ = [
    "Aggregates",
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
    "Uploads",
    "find_many",
    "insert_missing",
    "is_address",
    "place",
    "places_after",
    "translated",
]
