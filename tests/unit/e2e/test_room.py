"""Who may run beside whom: the rule that lets the end-to-end tests share one cluster and one operator."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.room import Company, Room

PATIENCE = 30


@contextmanager
def entering(room: Room, who: str, company: Company) -> Iterator[threading.Event]:
    """Asks to come in on a thread of its own; the event says that it did."""
    came = threading.Event()

    def enter() -> None:
        room.enter(who, company)
        came.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    yield came
    room.leave(who)
    thread.join(PATIENCE)


def queued(room: Room, who: str) -> None:
    """Returns once it waits at the door."""
    with room.changed:
        assert room.changed.wait_for(lambda: who in room.waiting, PATIENCE)


BEAR_EACH_OTHER = {(each, each) for each in (Company.ANY, Company.KILLERS, Company.BREAKERS)}


@pytest.mark.parametrize(("inside", "outside"), [*itertools.product(Company, Company)])
def test_only_like_bear_like_and_the_lonely_bear_nobody(inside: Company, outside: Company) -> None:
    room = Room()
    room.enter("first", inside)
    with entering(room, "second", outside) as came:
        if (inside, outside) in BEAR_EACH_OTHER:
            assert came.wait(PATIENCE)
        else:
            queued(room, "second")
            assert not came.is_set()
            room.leave("first")
            assert came.wait(PATIENCE)


def test_nobody_overtakes_one_who_waits() -> None:
    room = Room()
    room.enter("first", Company.ANY)
    with entering(room, "lonely", Company.NOBODY) as lonely:
        queued(room, "lonely")
        with entering(room, "late", Company.ANY) as late:
            queued(room, "late")
            assert not late.is_set(), "it would bear the first, but the lonely one would wait for ever"
            room.leave("first")
            assert lonely.wait(PATIENCE)
            assert not late.is_set()
            room.leave("lonely")
            assert late.wait(PATIENCE)


@pytest.mark.parametrize("gone", [lambda room: room.leave("inside"), lambda room: room.leave("waiting")])
def test_one_that_died_inside_or_at_the_door_holds_nobody_up(gone: Callable[[Room], None]) -> None:
    room = Room()
    room.enter("inside", Company.ANY)
    with entering(room, "waiting", Company.NOBODY):
        queued(room, "waiting")
        with entering(room, "next", Company.ANY) as came:
            queued(room, "next")
            gone(room)
            room.leave("waiting")
            assert came.wait(PATIENCE)
