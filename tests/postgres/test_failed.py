"""Events whose callback gave up: what becomes of them, and of later events of their row."""

import json
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events import sql
from pg_events.config.settings import Policy, Settings
from pg_events.delivery.attempts import CallbackGaveUp
from pg_events.delivery.shares import OLDEST, Shares, start_at, start_since
from pg_events.delivery.worker import Report, Worker
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("items")


class Handler:
    """A callback that fails for the rows in `broken`, and notes what it was called with."""

    def __init__(self) -> None:
        self.broken: set[int] = set()
        self.calls: list[tuple[int, int, int]] = []
        """Row, version, attempt."""
        self.payloads: list[dict[str, Any]] = []

    def __call__(self, payload: str, attempt: int) -> None:
        event = json.loads(payload)
        row = event["new_data"]
        self.calls.append((row["id"], row["version"], attempt))
        self.payloads.append(event)
        if row["id"] in self.broken:
            raise ValueError(f"row {row['id']}")


@pytest.fixture
def handler() -> Handler:
    return Handler()


Run = Callable[..., Report]


@pytest.fixture
def run(built_database_url: str, handler: Handler) -> Run:
    """`run(on_failure="hold")`: what is there is delivered, once."""

    def run(**more: Any) -> Report:
        values = {"max_attempts": 2, "retry_seconds": 0} | more
        settings = Settings(built_database_url, data_update_callback=handler, **values)
        return Worker(settings, start=OLDEST).run(once=True)

    return run


def write(db: psycopg.Connection, *changes: tuple[int, int]) -> None:
    for change in changes:
        db.execute(
            "insert into item values (%s, %s) on conflict (id) do update set version = excluded.version", list(change)
        )


def kept(db: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Row, version, state and attempts of what is kept."""
    return db.execute(
        "select (payload::json #>> '{new_data,id}')::int, (payload::json #>> '{new_data,version}')::int, state, attempts"
        " from pgevents.failed order by event_id"
    ).fetchall()


def ask(db: psycopg.Connection, state: str = "retry") -> None:
    db.execute("update pgevents.failed set state = %s where state = 'failed'", [state])


def test_skip_goes_on_and_a_retry_delivers_it_marked(db: psycopg.Connection, run: Run, handler: Handler) -> None:
    handler.broken = {1}
    write(db, (1, 1), (2, 1), (1, 2))

    assert run() == Report(delivered=1, failed=2, retried=2)
    handler.broken.clear()
    handler.calls.clear()
    ask(db)

    assert run() == Report(delivered=2)
    assert handler.calls == [(1, 1, 3), (1, 2, 3)]
    assert handler.payloads[-1]["replay"] == {"run": "failed", "attempt": 3}
    assert kept(db) == []


def test_a_retry_that_fails_is_failed_again_after_one_attempt(
    db: psycopg.Connection, run: Run, handler: Handler
) -> None:
    handler.broken = {1}
    write(db, (1, 1))
    run()
    ask(db)

    assert run() == Report(failed=1)
    assert kept(db) == [(1, 1, "failed", 3)]


def test_hold_lets_the_row_wait_and_no_other(db: psycopg.Connection, run: Run, handler: Handler) -> None:
    handler.broken = {1}
    write(db, (1, 1), (2, 1), (1, 2), (2, 2))
    first = run(on_failure="hold")
    write(db, (1, 3))
    second = run(on_failure="hold")  # another process, that has to find out

    assert first == Report(delivered=2, failed=1, retried=1, held=1)
    assert second == Report(held=1)
    assert kept(db) == [(1, 1, "failed", 2), (1, 2, "held", 0), (1, 3, "held", 0)]

    handler.broken.clear()
    handler.calls.clear()
    ask(db)
    write(db, (1, 4))
    run(on_failure="hold")

    assert handler.calls == [(1, 1, 3), (1, 2, 1), (1, 3, 1), (1, 4, 1)]
    assert kept(db) == []


def test_the_last_attempt_is_the_last_and_holds_its_row_though_the_link_is_lost_in_it(
    db: psycopg.Connection, built_database_url: str
) -> None:
    calls = list[int]()

    def callback(payload: str) -> None:
        calls.append(json.loads(payload)["new_data"]["version"])
        db.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like 'pg_events worker%'"
        )
        write(db, (1, 2))
        raise ValueError

    write(db, (1, 1))
    settings = Settings(built_database_url, data_update_callback=callback, max_attempts=1, on_failure="hold")

    report = Worker(settings, start=OLDEST).run(once=True)

    assert calls == [1]
    assert kept(db) == [(1, 1, "failed", 1), (1, 2, "held", 0)]
    assert report == Report(failed=1, held=1, reconnects=1)


def test_what_is_held_is_delivered_in_order_when_the_failed_one_is_discarded(
    db: psycopg.Connection, run: Run, handler: Handler
) -> None:
    handler.broken = {1}
    write(db, (1, 1), (1, 2), (1, 3))
    run(on_failure="hold")
    db.execute("delete from pgevents.failed where state = 'failed'")
    handler.broken.clear()
    handler.calls.clear()

    run(on_failure="hold")
    write(db, (1, 4))
    run(on_failure="hold")

    assert handler.calls == [(1, 2, 1), (1, 3, 1), (1, 4, 1)]


def test_a_held_event_that_fails_in_its_turn_holds_the_rest(db: psycopg.Connection, run: Run, handler: Handler) -> None:
    handler.broken = {1}
    write(db, (1, 1), (1, 2), (1, 3))
    run(on_failure="hold")
    db.execute("delete from pgevents.failed where state = 'failed'")

    run(on_failure="hold")

    assert kept(db) == [(1, 2, "failed", 2), (1, 3, "held", 0)]


def test_stop_ends_the_worker_before_the_event(db: psycopg.Connection, run: Run, handler: Handler) -> None:
    handler.broken = {2}
    write(db, (1, 1), (2, 1), (3, 1))

    with pytest.raises(
        CallbackGaveUp, match=r"failed 2 times on event \d+ of item: ValueError: row 2; stopped before it"
    ):
        run(on_failure="stop")
    handler.broken.clear()
    handler.calls.clear()
    run(on_failure="stop")

    assert handler.calls == [(2, 1, 3), (3, 1, 1)]
    assert kept(db) == []


def test_attempts_count_on_when_a_worker_is_told_to_stop_between_two(
    db: psycopg.Connection, built_database_url: str
) -> None:
    calls: list[int] = []

    def callback(payload: str, attempt: int) -> None:
        calls.append(attempt)
        if attempt == 2:
            worker.stop()
        if attempt < 4:
            raise ValueError

    settings = Settings(built_database_url, data_update_callback=callback, retry_seconds=0.001, max_attempts=9)
    write(db, (1, 1))
    worker = Worker(settings, start=OLDEST)
    worker.run(once=True)
    Worker(settings).run(once=True)

    assert calls == [1, 2, 3, 4]


def test_each_callback_can_have_a_policy_of_its_own(db: psycopg.Connection, built_database_url: str) -> None:
    def fail(payload: str) -> None:
        raise ValueError

    settings = Settings(
        built_database_url, data_update_callback=fail, db_schema_update_callback=fail,
        retry_seconds=0, max_attempts=4, db_schema_update_policy={"max_attempts": 1},
    )  # fmt: skip
    write(db, (1, 1))
    db.execute("create table other (id integer)")

    assert Worker(settings, start=OLDEST).run(once=True) == Report(failed=2, retried=3)


def test_pauses_double_up_to_a_limit_and_half_of_one_is_chance() -> None:
    policy = Policy(9, 1.0, 10.0, "skip")

    assert [policy.pause(attempts, 0) for attempts in (1, 2, 3, 4, 5, 6, 10_000)] == [1, 2, 4, 8, 10, 10, 10]
    assert policy.pause(3, 1.0) == 2


def test_a_new_consumer_starts_at_an_id_or_a_time(db: psycopg.Connection, built_database_url: str) -> None:
    write(db, (1, 1), (2, 1))
    (moment,) = db.execute("select clock_timestamp()").fetchone()  # type: ignore[misc]
    write(db, (3, 1), (4, 1))
    (last,) = db.execute("select max(id) from pgevents.log").fetchone()  # type: ignore[misc]

    def delivered(name: str, start: Any) -> list[int]:
        got: list[int] = []
        settings = Settings(
            built_database_url, data_update_callback=lambda payload: got.append(json.loads(payload)["new_data"]["id"])
        )
        Worker(settings, name, start=start).run(once=True)
        return got

    assert delivered("time", start_since(moment)) == [3, 4]
    assert delivered("id", start_at(last)) == [4]
    assert delivered("above", start_at(last + 100)) == []
    write(db, (5, 1))
    assert delivered("time", OLDEST) == delivered("above", OLDEST) == [5]


def test_a_consumer_from_before_the_shares_goes_on_in_the_midst_of_its_window(database_url: str, build: Any) -> None:
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute((Path(__file__).parent / "schemas" / "1.sql").read_bytes())
        db.execute(
            "update pgevents.setting set value = (select system_identifier::text from pg_control_system())"
            " where name = 'system_identifier'"
        )
        db.execute("drop table item; create table item (id integer primary key, version integer)")
        db.execute("truncate pgevents.event")
        write(db, *((number, 1) for number in range(10)))
        db.execute(
            "insert into pgevents.consumer (name, snapshot, window_end, position, system_identifier, delivered)"
            " select 'default', '1:1:', pg_current_snapshot(), (select id from pgevents.event order by id offset 4 limit 1),"
            " system_identifier::text, 5 from pg_control_system()"
        )
        payload = '{"id": 1, "xid": 1, "at": "x", "table_schema": "public", "new_data": {"id": -1}}'
        db.execute("insert into pgevents.failed values ('default', 1, %s, 5, 'x', 'y')", [payload])
        write(db, (10, 1))

        assert not build(database_url).failed
        ask(db)
        got: list[int] = []
        callback = lambda payload: got.append(json.loads(payload)["new_data"]["id"])  # noqa: E731
        Worker(Settings(database_url, data_update_callback=callback)).run(once=True)

        assert got == [*range(5, 11), -1]
        assert db.execute("select sum(delivered) from pgevents.share").fetchone() == (12,)


def test_while_a_row_is_held_the_others_go_on(
    db: psycopg.Connection, built_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, delivered = queue.Queue[None](), queue.Queue[int]()
    look = Shares.look

    def counted(shares: Shares, *given: Any) -> None:
        look(shares, *given)
        looks.put(None)

    def callback(payload: str) -> None:
        row = json.loads(payload)["new_data"]
        if row["id"] == 1:
            raise ValueError
        delivered.put(row["id"])

    monkeypatch.setattr(Shares, "look", counted)
    write(db, (1, 1), (1, 2), (2, 1))
    settings = Settings(built_database_url, data_update_callback=callback, max_attempts=1, on_failure="hold")
    worker = Worker(settings, start=OLDEST)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert delivered.get(timeout=30) == 2
        looks.queue.clear()
        for _ in range(2):
            looks.get(timeout=30)
        write(db, (3, 1))

        assert delivered.get(timeout=30) == 3
    finally:
        worker.stop()
        thread.join(30)
    assert kept(db) == [(1, 1, "failed", 1), (1, 2, "held", 0)]


def test_retries_and_live_events_take_turns(db: psycopg.Connection, run: Run, handler: Handler) -> None:
    handler.broken = set(range(250))
    write(db, *((number, 1) for number in range(250)))
    run(max_attempts=1)
    handler.broken = set()
    handler.calls.clear()
    db.execute("update pgevents.failed set state = 'retry'")
    write(db, (1000, 1))

    report = run()

    rows = [row for row, _, _ in handler.calls]
    assert report.delivered == 251
    assert rows.index(1000) <= 100
    assert [row for row in rows if row != 1000] == list(range(250))
    assert kept(db) == []


def test_another_worker_has_its_share_while_many_retries_wait(
    db: psycopg.Connection, built_database_url: str, run: Run, handler: Handler
) -> None:
    handler.broken = set(range(300))
    write(db, *((number, 1) for number in range(300)))
    run(max_attempts=1)
    db.execute("update pgevents.failed set state = 'retry'")
    both, is_shared = threading.Semaphore(0), threading.Event()

    def wait(payload: str) -> None:
        both.release()
        is_shared.wait(0.05)  # slow, until the test has seen what it looks for

    workers = [Worker(Settings(built_database_url, wait)) for _ in range(2)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    threads[0].start()
    assert both.acquire(timeout=60)
    threads[1].start()

    until(lambda: workers[1].share > 0)
    waiting = len(kept(db))
    is_shared.set()
    for worker, thread in zip(workers, threads, strict=True):
        worker.stop()
        thread.join(60)

    assert waiting > 0


def test_the_next_that_wait_are_found_without_looking_at_all(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute(
        "insert into pgevents.failed (consumer, event_id, payload, attempts, error, traceback, state, slot)"
        " select 'default', n, '{}', 1, '', '', 'retry', n % 64 from generate_series(1, 20000) n"
    )

    db.execute("set enable_sort = off; set enable_bitmapscan = off; set enable_seqscan = off")
    with psycopg.RawCursor(db) as cursor:
        [(plan,)] = cursor.execute(
            "explain (analyze, buffers, format json) " + sql.text("failed_waiting.sql"), ("default", list(range(64)))
        ).fetchall()

    assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 100
