"""Which events may be worked on at the same time."""

import random

import pytest

from pg_events.callbacks.callback import resolve
from pg_events.config.settings import Policy
from pg_events.delivery.attempts import Handler, Retries
from pg_events.delivery.ordering import InFlight, RowScheduler
from pg_events.event import Record
from pg_events.log.listener import Cursor


def entry(number: int, table: str, row: int | None, kind: str = "U") -> InFlight:
    record = Record(number, 1, "", kind, "public", table, None, None, None, None, None, None)
    key = table if row is None else f"{table} {row}"
    return InFlight(record, Cursor("1:1:", "2:2:", number), table, key, key)


def must_wait(later: InFlight, earlier: InFlight) -> bool:
    """The rule, said once more and slowly."""
    if {"S", "T"} & {later.record.kind, earlier.record.kind} or later.row == earlier.row:
        return True
    return later.table == earlier.table and later.table in (later.row, earlier.row)


def some(chance: random.Random, count: int) -> list[InFlight]:
    kinds = chance.choices("UTS", weights=(90, 5, 5), k=count)
    found: list[InFlight] = []
    for number, kind in enumerate(kinds):
        if kind == "S":
            found.append(entry(number, f"object {chance.randrange(2)}", None, kind))
        else:
            # The rows of the table `bag` are not told apart, nor is one now and then of another.
            table = chance.choice(("one", "two", "bag"))
            is_told = kind != "T" and table != "bag" and chance.random() < 0.9
            found.append(entry(number, table, chance.randrange(5) if is_told else None, kind))
    return found


@pytest.mark.parametrize("seed", range(200))
def test_nothing_overtakes_what_it_must_wait_for_and_all_is_done(seed: int) -> None:
    chance = random.Random(seed)
    waiting, running, done = some(chance, 120), list[InFlight](), list[InFlight]()
    everything = list(waiting)
    scheduler, passed = RowScheduler(), list[InFlight]()

    while waiting or scheduler:
        if waiting and chance.random() < 0.6:
            scheduler.add(waiting.pop(0))
        if chance.random() < 0.7 and (ready := scheduler.next_ready()):
            earlier = everything[: everything.index(ready)]
            assert not [one for one in earlier if must_wait(ready, one) and not one.is_finished]
            running.append(ready)
        if running and chance.random() < 0.5:
            finished = running.pop(chance.randrange(len(running)))
            scheduler.finish(finished)
            done.append(finished)
        passed += scheduler.pop_finished()
        # What was passed is an unbroken beginning, and all of it is done.
        assert passed == everything[: len(passed)]
        assert set(passed) <= set(done)

    assert passed == everything
    assert len(done) == len(everything)
    assert not scheduler._scopes  # pyright: ignore[reportPrivateUsage] - nothing is left of what is done


HANDLERS = [Handler(resolve(lambda _payload: None, "x"), Policy(1, 1.0, 1.0, "skip")) for _ in range(2)]


@pytest.mark.parametrize("seed", range(200))
def test_batches_hold_events_in_order_with_all_that_they_must_wait_for(seed: int) -> None:
    chance = random.Random(seed)
    waiting, running, sizes = some(chance, 120), list[list[InFlight]](), list[int]()
    for each in waiting:
        each.retries = Retries(HANDLERS[each.record.kind == "S"])
    everything = list(waiting)
    scheduler, passed = RowScheduler(), list[InFlight]()

    while waiting or scheduler:
        if waiting and chance.random() < 0.9:
            scheduler.add(waiting.pop(0))
        if chance.random() < 0.2 and (first := scheduler.next_ready()):
            size = chance.randrange(1, 20)
            batch = scheduler.take_batch(first, size)
            assert first in batch
            assert len(batch) <= size
            assert batch == sorted(batch, key=everything.index)
            assert len({each.retries_of_call.handler for each in batch}) == 1
            for each in batch:
                for other in everything[: everything.index(each)]:
                    assert not must_wait(each, other) or other.is_finished or other in batch
            running.append(batch)
            sizes.append(len(batch))
        if running and chance.random() < 0.3:
            for each in running.pop(chance.randrange(len(running))):
                scheduler.finish(each)
        passed += scheduler.pop_finished()

    assert passed == everything
    assert sum(sizes) == len(everything)  # each once
    assert not scheduler._scopes  # pyright: ignore[reportPrivateUsage] - nothing is left of what is done


def test_a_batch_takes_the_events_of_one_row() -> None:
    scheduler = RowScheduler()
    entries = [entry(number, "one", 1) for number in range(6)]
    for each in entries:
        each.retries = Retries(HANDLERS[0])
        scheduler.add(each)
    first = scheduler.next_ready()
    assert first is not None

    assert scheduler.take_batch(first, 4) == entries[:4]
    assert scheduler.next_ready() is None
    for each in entries[:4]:
        scheduler.finish(each)
    assert scheduler.next_ready() is entries[4]


def test_rows_do_not_wait_for_each_other() -> None:
    scheduler = RowScheduler()
    entries = [entry(number, "one", number % 3) for number in range(6)]
    for each in entries:
        scheduler.add(each)

    ready = [scheduler.next_ready() for _ in range(4)]

    assert ready == [*entries[:3], None]


@pytest.mark.parametrize("kind", ["T", "S"])
def test_a_truncate_and_ddl_let_nothing_pass_whatever_their_name(kind: str) -> None:
    """A partition's TRUNCATE has the partition's name, its rows have that of the root."""
    scheduler = RowScheduler()
    entries = [entry(1, "root", 1), entry(2, "part", None, kind), entry(3, "root", 2)]
    for each in entries:
        scheduler.add(each)

    told = list[InFlight | None]()
    for each in entries:
        told += [scheduler.next_ready(), scheduler.next_ready()]
        scheduler.finish(each)

    assert told == [entries[0], None, entries[1], None, entries[2], None]


def test_what_is_finished_before_it_comes_holds_nobody() -> None:
    scheduler = RowScheduler()
    first, second = entry(1, "one", 1), entry(2, "one", 1)
    first.is_finished = True
    scheduler.add(first)
    scheduler.add(second)

    assert scheduler.next_ready() is second
    assert list(scheduler.pop_finished()) == [first]


def test_there_is_room_until_too_much_waits() -> None:
    scheduler = RowScheduler()
    number = 0
    while scheduler.has_room:
        number += 1
        scheduler.add(entry(number, "one", 1))

    assert number == 500
