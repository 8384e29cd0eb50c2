"""Batch callbacks: lists of events, in order, in every way of delivery; a failure is narrowed down to its event."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

import psycopg
import pytest

import pg_events
from pg_events import Discard, RetryAfter
from pg_events.config.settings import Settings
from pg_events.delivery.attempts import CallbackGaveUp
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Report, Worker
from tests.waiting import PATIENCE_SECONDS, until

WAYS: Final[dict[str, dict[str, Any]]] = {
    "sync": {},
    "async": {},
    "concurrent": {"concurrency": 4},
    "transactional": {"transactional": True, "ignore_own_changes": True},
    "isolated": {"isolate": True},
}

BATCHES: list[list[int]] = []
"""Rows of each call in this process."""
WISHES: dict[int, BaseException] = {}
"""Exception to raise for a batch with the row."""
TIMES: dict[int, int] = {}
"""Number of calls for which to raise it; without one, always."""


@pytest.fixture
def db(built_database_url: str) -> Iterator[psycopg.Connection]:
    for each in (BATCHES, WISHES, TIMES):
        each.clear()
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table written (item integer)")
        connection.execute("create table item (id integer primary key, v text)")
        connection.execute("truncate pgevents.event")
        yield connection


def act(payloads: list[str]) -> list[int]:
    events = [json.loads(payload) for payload in payloads]
    rows = [event["new_data"]["id"] for event in events if event.get("table_name") == "item"]
    BATCHES.append(rows)
    for row in rows:
        if (wish := WISHES.get(row)) is not None and TIMES.get(row, 1) > 0:
            if row in TIMES:
                TIMES[row] -= 1
            raise wish
    return rows


async def act_later(payloads: list[str]) -> None:
    act(payloads)


def act_and_write(payloads: list[str], connection: psycopg.Connection) -> None:
    rows = [json.loads(payload)["new_data"].get("id") for payload in payloads]
    connection.cursor().executemany("insert into written values (%s)", [(row,) for row in rows if row])
    act(payloads)


def act_there(payloads: list[str]) -> None:
    """Runs in the process of isolated callbacks: tells by what it raises, and by a table."""
    rows = [json.loads(payload)["new_data"]["id"] for payload in payloads]
    if 13 in rows:
        raise ValueError(f"{len(rows)} rows")


CALLBACKS: Final[dict[str, Callable[..., object]]] = {
    "sync": act,
    "async": act_later,
    "concurrent": act_later,
    "transactional": act_and_write,
    "isolated": act_there,
}


def run(url: str, way: str = "sync", callback: Callable[..., object] | None = None, **settings: Any) -> Report:
    together = {"retry_seconds": 0.01, "max_attempts": 2} | WAYS[way] | settings
    callback = callback or CALLBACKS[way]
    return Worker(Settings(url, data_update_callback=callback, **together), start=OLDEST).run(once=True)


def failed(db: psycopg.Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "select (f.payload::json -> 'new_data' ->> 'id')::integer, f.attempts, f.state from pgevents.failed f order by 1"
    ).fetchall()


@pytest.mark.parametrize("way", ["sync", "async", "transactional"])
def test_a_batch_has_the_events_in_order_up_to_its_size(
    db: psycopg.Connection, built_database_url: str, way: str
) -> None:
    db.execute("insert into item select n, 'a' from generate_series(1, 250) n")
    for n in range(251, 261):
        db.execute("insert into item values (%s, 'b')", [n])

    report = run(built_database_url, way, batch_size=100)

    assert [len(batch) for batch in BATCHES] == [100, 100, 60]
    assert [*chain.from_iterable(BATCHES)] == list(range(1, 261))
    assert report.delivered == 260
    if way == "transactional":
        assert db.execute("select array_agg(item order by ctid) from written").fetchone() == (list(range(1, 261)),)


def test_concurrent_batches_have_the_events_of_a_row_in_order(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into item select n, '0' from generate_series(1, 300) n")
    for v in range(1, 4):
        db.execute("update item set v = %s", [str(v)])
    seen: dict[int, list[str]] = {}
    running = most = 0

    async def take(payloads: list[str]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        for payload in payloads:
            row = json.loads(payload)["new_data"]
            seen.setdefault(row["id"], []).append(row["v"])
        BATCHES.append([len(payloads)])
        running -= 1

    report = run(built_database_url, "concurrent", take, batch_size=50)

    assert report.delivered == 1200
    assert seen == {n: ["0", "1", "2", "3"] for n in range(1, 301)}
    assert max(BATCHES) == [50]
    assert most > 1


@pytest.mark.parametrize("way", [*WAYS])
def test_the_failing_event_is_found_and_kept_and_all_others_are_delivered(
    db: psycopg.Connection, built_database_url: str, way: str
) -> None:
    WISHES[13] = ValueError("unlucky")
    db.execute("insert into item select n, 'a' from generate_series(1, 40) n")

    report = run(built_database_url, way)

    assert (report.delivered, report.failed) == (39, 1)
    assert failed(db) == [(13, 2, "failed")]
    if way == "transactional":
        assert db.execute("select count(*), count(distinct item) from written").fetchone() == (39, 39)
    if way != "isolated":
        # Whole, whole, halves; alone with all its attempts. The rest of a half is not taken apart.
        assert len(BATCHES[0]) == len(BATCHES[1]) == 40
        assert BATCHES.count([13]) == 2
        assert len(BATCHES) < 20


def test_a_failure_that_passes_takes_one_retry_of_the_batch(db: psycopg.Connection, built_database_url: str) -> None:
    WISHES[13], TIMES[13] = ValueError("unlucky"), 1
    db.execute("insert into item select n, 'a' from generate_series(1, 40) n")

    report = run(built_database_url)

    assert [len(batch) for batch in BATCHES] == [40, 40]
    assert (report.delivered, report.retried, report.failed) == (40, 1, 0)


@pytest.mark.parametrize("way", ["sync", "concurrent", "transactional"])
def test_retry_after_waits_and_repeats_the_whole_batch(
    db: psycopg.Connection, built_database_url: str, way: str
) -> None:
    WISHES[13], TIMES[13] = RetryAfter(0.1, "busy"), 3
    db.execute("insert into item select n, 'a' from generate_series(1, 40) n")

    report = run(built_database_url, way, max_attempts=1)

    assert [len(batch) for batch in BATCHES] == [40] * 4
    assert (report.delivered, report.postponed, report.retried) == (40, 3, 0)


@pytest.mark.parametrize("way", ["sync", "concurrent", "transactional"])
def test_discard_concerns_one_event(db: psycopg.Connection, built_database_url: str, way: str) -> None:
    WISHES[13] = Discard("not mine")
    db.execute("insert into item select n, 'a' from generate_series(1, 40) n")

    report = run(built_database_url, way)

    assert (report.delivered, report.discarded) == (39, 1)
    assert db.execute("select discarded, attempts from pgevents.failed").fetchall() == [(True, 1)]
    assert [row for row, _, _ in failed(db)] == [13]


def test_an_exception_that_is_not_retried_halves_the_batch_at_once(
    db: psycopg.Connection, built_database_url: str
) -> None:
    WISHES[13] = ValueError("unlucky")
    db.execute("insert into item select n, 'a' from generate_series(1, 16) n")

    run(built_database_url, give_up_on=("ValueError",))

    assert [len(batch) for batch in BATCHES][:3] == [16, 8, 8]
    assert BATCHES.count([13]) == 1


@pytest.mark.parametrize("way", ["sync", "concurrent"])
def test_a_kept_event_blocks_those_of_its_row_in_the_same_batch(
    db: psycopg.Connection, built_database_url: str, way: str
) -> None:
    WISHES[13], TIMES[13] = ValueError("unlucky"), 100
    db.execute("insert into item select n, 'a' from generate_series(1, 20) n")
    db.execute("update item set v = 'b' where id in (13, 14)")

    report = run(built_database_url, way, on_failure="hold")

    assert (report.delivered, report.failed, report.held) == (20, 1, 1)
    assert [row for row, _, _ in failed(db)] == [13, 13]


@pytest.mark.parametrize("way", ["sync", "concurrent"])
def test_all_later_events_of_a_blocked_row_are_kept_whatever_part_of_the_batch_they_are_in(
    db: psycopg.Connection, built_database_url: str, way: str
) -> None:
    WISHES[1], TIMES[1] = ValueError("unlucky"), 1000
    db.execute("insert into item values (1, '0')")
    for v in range(1, 16):
        db.execute("update item set v = %s", [str(v)])

    report = run(built_database_url, way, on_failure="hold")

    assert (report.delivered, report.failed, report.held) == (0, 1, 15)
    assert BATCHES.count([1]) == 2  # the attempts of the first event, alone


def test_a_worker_that_stops_before_a_failure_has_saved_what_was_delivered(
    db: psycopg.Connection, built_database_url: str
) -> None:
    WISHES[13] = ValueError("unlucky")
    db.execute("insert into item select n, 'a' from generate_series(1, 20) n")
    with pytest.raises(CallbackGaveUp):
        run(built_database_url, on_failure="stop")
    delivered = {row for batch in BATCHES for row in batch if 13 not in batch}
    assert delivered == set(range(1, 13))

    WISHES.clear()
    BATCHES.clear()
    run(built_database_url)

    assert [*chain.from_iterable(BATCHES)] == list(range(13, 21))


def test_typed_events_single_events_and_schema_events(db: psycopg.Connection, built_database_url: str) -> None:
    seen: list[object] = []

    def take(events: list[pg_events.DataEvent]) -> None:
        seen.append([event.row["id"] for event in events])

    def take_schema(payload: str) -> None:
        seen.append(json.loads(payload)["command_tag"])

    db.execute("insert into item values (1, 'a'), (2, 'a')")
    db.execute("alter table item add column w text")
    db.execute("insert into item values (3, 'a'), (4, 'a')")

    report = run(built_database_url, callback=take, db_schema_update_callback=take_schema)

    assert seen == [[1, 2], "ALTER TABLE", [3, 4]]
    assert report.delivered == 5


def test_a_batch_that_is_not_full_is_waited_for(db: psycopg.Connection, built_database_url: str) -> None:
    taken: list[int] = []

    def take(payloads: list[str]) -> None:
        taken.append(len(payloads))

    settings = Settings(built_database_url, data_update_callback=take, batch_size=6, batch_seconds=10.0)
    worker = Worker(settings, start=OLDEST)
    thread = threading.Thread(target=worker.run)
    begin = time.monotonic()
    thread.start()
    for n in range(1, 7):
        db.execute("insert into item values (%s, 'a')", [n])
        until(lambda n=n: worker.report.read >= n, "the event is read")
    until(lambda: bool(taken), "a full batch")
    worker.stop()
    thread.join(PATIENCE_SECONDS)

    assert taken == [6]
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("way", ["sync", "concurrent"])
def test_what_came_in_time_is_a_batch(db: psycopg.Connection, built_database_url: str, way: str) -> None:
    db.execute("insert into item values (1, 'a')")
    begin = time.monotonic()

    run(built_database_url, way, batch_size=100, batch_seconds=0.3)

    assert BATCHES == [[1]]
    assert time.monotonic() - begin >= 0.3


def test_a_batch_that_killed_its_worker_is_delivered_one_by_one(
    db: psycopg.Connection, built_database_url: str
) -> None:
    db.execute("insert into item select n, 'a' from generate_series(1, 5) n")
    run(built_database_url)
    BATCHES.clear()
    db.execute("insert into item select n, 'a' from generate_series(6, 10) n")
    db.execute("update pgevents.share set interruptions = 1")

    run(built_database_url)

    assert BATCHES == [[6], [7], [8], [9], [10]]


def test_what_a_batch_writes_has_its_cause_and_what_all_its_events_say(
    db: psycopg.Connection, built_database_url: str
) -> None:
    with db.transaction():
        db.execute("""select set_config('pgevents.context', '{"user": 1, "request": "a"}', true)""")
        db.execute("insert into item values (1, 'a')")
    with db.transaction():
        db.execute("""select set_config('pgevents.context', '{"user": 1, "request": "b"}', true)""")
        db.execute("insert into item values (2, 'a')")

    run(built_database_url, "transactional")

    (context,) = db.execute("select context from pgevents.log where table_name = 'written'").fetchone() or ("",)
    last = db.execute("select max(id) from pgevents.log where table_name = 'item'").fetchone()
    assert json.loads(context) == {
        "caused_by": {"consumer": "default", "event": (last or [0])[0], "depth": 1},
        "user": 1,
    }


def test_two_workers_share_the_rows_in_batches(db: psycopg.Connection, built_database_url: str) -> None:
    taken: dict[str, list[int]] = {"a": [], "b": []}

    def worker(name: str) -> Worker:
        def take(payloads: list[str]) -> None:
            taken[name] += [json.loads(payload)["new_data"]["id"] for payload in payloads]

        return Worker(Settings(built_database_url, data_update_callback=take, batch_size=50), start=OLDEST)

    workers = [worker("a"), worker("b")]
    threads = [threading.Thread(target=each.run) for each in workers]
    for thread in threads:
        thread.start()
    until(lambda: all(each.share == 0.5 for each in workers), "both have half of the rows")
    db.execute("insert into item select n, 'a' from generate_series(1, 1000) n")
    until(lambda: len(taken["a"]) + len(taken["b"]) >= 1000, "all are delivered")
    for each in workers:
        each.stop()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert sorted(taken["a"] + taken["b"]) == list(range(1, 1001))
    assert min(len(taken["a"]), len(taken["b"])) > 100
