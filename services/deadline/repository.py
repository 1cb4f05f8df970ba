"""Deadline's collection: one document per letter, with the moment at which it must be looked at next."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.deadline.domain import Clocks, Condition, Kind, Rules, foremost, next_at
from shared.storage import Aggregates, Index, Store, Stored, translated

SERVICE = "deadline"

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every moment. The store walks a partial index in its order only for a range that is closed below; else it sorts, or reads all."""


def letters(store: Store, rules: Rules) -> Aggregates[Clocks]:
    """Return the collection of letters.

    `next_at` is there while something is left to declare. `holder`, `due_at` and `kind` describe the running clock that is due first;
    letters on which nothing runs are in no index.
    """

    def fields(state: Clocks) -> dict[str, Any]:
        first = foremost(state, rules)
        clock, due = first or (None, None)
        return {
            "next_at": next_at(state, rules),
            "holder": clock.mailbox if clock else None,
            "due_at": due.at if due else None,
            "kind": clock.kind.value if clock else None,
            "reported": state.reported_mailbox if clock else None,
        }

    return Aggregates(
        store,
        SERVICE,
        "letters",
        dump=lambda state: state.model_dump(mode="json", exclude_defaults=True),
        load=Clocks.model_validate,
        fields=fields,
        indexes=[
            Index([("next_at", 1)], only_where={"next_at": {"$exists": True}}),
            Index([("holder", 1), ("due_at", 1), ("_id", 1)], only_where={"holder": {"$exists": True}}),
        ],
    )


async def due(letters: Aggregates[Clocks], until: datetime, *, skip: int = 0, limit: int) -> list[str]:
    """Return the ids of letters that must be looked at by `until`, the longest due first."""
    with translated():
        query = letters.collection.find({"next_at": {"$gt": BEGINNING, "$lte": until}}, {"_id": 1})
        cursor = query.sort([("next_at", 1)]).skip(skip).limit(limit)
        return [document["_id"] async for document in cursor]


def _range(condition: Condition, now: datetime, soon: datetime) -> dict[str, datetime]:
    if condition is Condition.OVERDUE:
        return {"$gt": BEGINNING, "$lte": now}
    return {"$gt": now, "$lte": soon} if condition is Condition.DUE_SOON else {"$gt": BEGINNING}


async def page(
    letters: Aggregates[Clocks],
    mailbox: str,
    condition: Condition,
    after: tuple[datetime, str] | None,
    limit: int,
    *,
    now: datetime,
    soon: datetime,
) -> list[Stored[Clocks]]:
    """Return letters whose clock runs for a mailbox, soonest due first, from `after` (due_at, id) on.

    Args:
        letters: the collection.
        mailbox: who must act.
        condition: `running` is all; else only those overdue, or due by `soon`.
        after: due moment and id of the last letter of the page before.
        limit: at most so many.
        now: the moment.
        soon: the latest due moment that counts as soon.
    """
    bounds = _range(condition, now, soon)
    query: dict[str, Any] = {"holder": mailbox, "due_at": bounds}
    if after is not None:
        moment, letter_id = after
        query["due_at"] = bounds | {"$gte": moment}
        query["$or"] = [{"due_at": {"$gt": moment}}, {"due_at": moment, "_id": {"$gt": letter_id}}]
    return await letters.find(query, sort=[("due_at", 1), ("_id", 1)], limit=limit)


@dataclass(frozen=True, slots=True)
class Figures:
    """The live figures of one mailbox's clocks (R1.4)."""

    unread: int = 0
    running: int = 0
    due_soon: int = 0
    overdue: int = 0
    oldest_due_at: datetime | None = None


async def figures(
    letters: Aggregates[Clocks], mailbox: str, *, now: datetime, soon: datetime, hidden: tuple[str, ...] = ()
) -> Figures:
    """Count the running clocks of a mailbox in one pass over its open work.

    Letters that report on one of the mailboxes `hidden` do not count (architecture rule 4).
    """

    def number(condition: Any) -> dict[str, Any]:
        return {"$sum": {"$cond": [condition, 1, 0]}}

    late = {"$lte": ["$due_at", now]}
    steps = [
        {"$match": {"holder": mailbox, **({"reported": {"$nin": list(hidden)}} if hidden else {})}},
        {
            "$group": {
                "_id": None,
                "unread": number({"$eq": ["$kind", Kind.READING.value]}),
                "running": {"$sum": 1},
                "due_soon": number({"$and": [{"$gt": ["$due_at", now]}, {"$lte": ["$due_at", soon]}]}),
                "overdue": number(late),
                "oldest_due_at": {"$min": "$due_at"},
            }
        },
        {"$project": {"_id": 0}},
    ]
    with translated():
        async for found in letters.collection.aggregate(steps):
            return Figures(**found)
    return Figures()


async def totals(letters: Aggregates[Clocks], now: datetime) -> dict[tuple[str, bool], int]:
    """Count all running clocks by kind and whether they are overdue."""
    late = {"$lte": ["$due_at", now]}
    steps = [
        {"$match": {"holder": {"$exists": True}}},
        {"$group": {"_id": {"kind": "$kind", "late": late}, "count": {"$sum": 1}}},
    ]
    with translated():
        groups = [group async for group in letters.collection.aggregate(steps)]
    return {(group["_id"]["kind"], group["_id"]["late"]): group["count"] for group in groups}
