"""Which generation of a projection a process works with, and when it must not touch any."""

from time import monotonic

from shared.storage.generations import LEASE_SECONDS, Generation, generation_of

NAMES = frozenset({"letters", "waiting"})
DOCUMENT = {"generation": "g2", "collections": ["letters", "waiting"], "held": False}


def test_what_follows_from_facts_stands_in_the_live_generation_and_all_else_where_it_always_stood() -> None:
    live = generation_of(DOCUMENT, NAMES, monotonic())
    assert live.database("intake", "letters") == "intake_g2"
    assert live.database("intake", "contacts") == "intake"
    assert Generation().database("intake", "letters") == "intake"


def test_while_it_is_held_nobody_touches_the_projection_but_contact_data_stays_at_hand() -> None:
    held = generation_of(DOCUMENT | {"held": True}, NAMES, monotonic())
    assert held.withheld("letters")
    assert not held.withheld("contacts")
    assert not generation_of(DOCUMENT, NAMES, monotonic()).withheld("letters")


def test_a_replica_that_could_not_look_for_a_while_holds_by_itself_even_if_nothing_was_ever_exchanged() -> None:
    old = monotonic() - LEASE_SECONDS - 1
    assert generation_of(None, NAMES, old).withheld("letters")
    assert not generation_of(None, NAMES, old).withheld("contacts")
    assert not generation_of(None, frozenset(), old).withheld("letters"), "a command that looked once is no replica"
