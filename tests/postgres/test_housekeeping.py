"""What a worker does beside delivering: it prunes, and says what is wrong when it begins and when it ends."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.delivery import housekeeping
from pg_events.delivery.housekeeping import Housekeeping
from pg_events.delivery.worker import Worker
from pg_events.doctor import findings
from tests.waiting import Arrivals, until

pytestmark = pytest.mark.usefixtures("numbers")

SECONDS = 20.0
"""More than anything here takes."""


class Told(logging.Handler):
    """The lines that are logged, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put((record.levelname, record.getMessage()))

    def next(self) -> tuple[str, str]:
        return self._lines.get(timeout=SECONDS)

    def rest(self) -> list[tuple[str, str]]:
        return [self._lines.get() for _ in range(self._lines.qsize())]


@pytest.fixture
def told() -> Iterator[Told]:
    handler, logger = Told(), logging.getLogger("pg_events.delivery.housekeeping")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@contextmanager
def kept_house(url: str, is_first: Callable[[], bool] = lambda: True, **settings: object) -> Iterator[None]:
    one = Housekeeping(Settings(url, **settings), "c", is_first, seconds=0.05)  # pyright: ignore[reportArgumentType]
    one.start()
    try:
        yield
    finally:
        one.close()


def deliver(url: str, name: str = "default") -> None:
    Worker(Settings(url, data_update_callback=lambda _payload: None), name).run(once=True)


def ids(db: psycopg.Connection) -> list[int]:
    return [id for (id,) in db.execute("select id from pgevents.log order by id")]  # noqa: A001


def test_a_worker_prunes_what_was_delivered(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url)
    db.execute("insert into t select generate_series(1, 5)")
    deliver(built_database_url)
    db.execute("insert into t values (6)")
    last = ids(db)[-1]
    held = threading.Event()
    settings = Settings(
        built_database_url, data_update_callback=lambda _payload: held.wait(SECONDS), retention=timedelta(0)
    )
    worker = Worker(settings)
    running = threading.Thread(target=worker.run, daemon=True)

    running.start()
    until(lambda: len(ids(db)) < 6, "events are deleted")

    assert ids(db) == [last]  # its callback has not returned yet
    held.set()
    worker.stop()
    running.join(SECONDS)
    assert not running.is_alive()


def test_a_worker_without_the_setting_prunes_nothing(
    db: psycopg.Connection, built_database_url: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "OLD_SECONDS", 0.5)
    db.execute("insert into t values (1)")
    db.execute("update pgevents.event set at = '2001-01-01'")

    with kept_house(built_database_url), psycopg.connect(built_database_url) as other:
        other.execute("select 1")
        told.next()  # so it was round

    assert len(ids(db)) == 1


def test_what_a_consumer_has_not_been_given_is_kept_and_that_is_told_once(
    db: psycopg.Connection, built_database_url: str, told: Told
) -> None:
    deliver(built_database_url, "slow")
    db.execute("insert into t select generate_series(1, 5)")
    first = ids(db)[0]

    with kept_house(built_database_url, retention=timedelta(0)):
        level, line = told.next()
        deliver(built_database_url, "slow")
        over = told.next()

    assert level == "WARNING"
    assert f"5 events (ids {first} to {first + 4}) would be pruned" in line
    assert "consumer slow" in line
    assert over == ("INFO", f"resolved: {line.split(';')[0]}")
    assert ids(db) == []
    assert not told.rest()


def test_what_is_deleted_unread_is_said_aloud(db: psycopg.Connection, built_database_url: str, told: Told) -> None:
    deliver(built_database_url, "slow")
    db.execute("insert into t select generate_series(1, 5)")
    first = ids(db)[0]

    with kept_house(built_database_url, retention=timedelta(0), retain_unread=False):
        level, line = told.next()

    assert level == "WARNING"
    assert line.startswith(f"pruned 5 events (ids {first} to {first + 4}) that consumer slow has not received")
    assert ids(db) == []


def test_a_long_transaction_is_named_when_it_begins_and_when_it_ends(
    db: psycopg.Connection, built_database_url: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "OLD_SECONDS", 0.5)

    with kept_house(built_database_url), psycopg.connect(built_database_url) as other:
        pid = other.info.backend_pid
        other.execute("insert into t values (1)")
        level, line = told.next()
        other.rollback()
        over = told.next()

    assert level == "WARNING"
    assert line.startswith(f"pid {pid} (role ")
    assert "pg_terminate_backend" in line
    assert over[0] == "INFO"
    assert over[1].startswith(f"resolved: pid {pid} ")
    assert not told.rest()


def test_a_prepared_transaction_is_named(
    db: psycopg.Connection, built_database_url: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "OLD_SECONDS", 0.0)
    db.execute("begin; insert into t values (1); prepare transaction 'forgotten one'")

    with kept_house(built_database_url):
        lines = [told.next()]
        while "'forgotten one'" not in lines[-1][1]:
            lines.append(told.next())  # with no age too young, short ones are told of, too
        db.execute("rollback prepared 'forgotten one'")
        while not lines[-1][1].startswith("resolved: transaction 'forgotten one'"):
            lines.append(told.next())


def test_only_the_worker_that_has_run_longest_tells(
    db: psycopg.Connection, built_database_url: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "OLD_SECONDS", 0.0)
    db.execute("insert into pgevents.consumer (name, system_identifier) values ('c', '')")
    add = "insert into pgevents.worker (consumer, name, lease_until) values ('c', '', 'infinity') returning id"
    first, second = (row[0] for _ in range(2) if (row := db.execute(add).fetchone()))
    deliver(built_database_url, "slow")
    db.execute("insert into t values (1)")

    with psycopg.connect(built_database_url) as other:
        other.execute("select 1")
        with kept_house(built_database_url, lambda: is_first(db, second), retention=timedelta(0)):
            assert "consumer slow" in told.next()[1]
            deliver(built_database_url, "slow")
            assert told.next()[1].startswith("resolved: at least")  # it was round, and said nothing else
        with kept_house(built_database_url, lambda: is_first(db, first)):
            assert f"pid {other.info.backend_pid}" in told.next()[1]


def is_first(db: psycopg.Connection, worker: int) -> bool:
    row = psycopg.RawCursor(db).execute(sql.text("worker_is_first.sql"), (worker,)).fetchone()
    assert row is not None
    return row[0]


def test_only_the_first_worker_keeps_its_link_between_two_rounds(
    db: psycopg.Connection, built_database_url: str
) -> None:
    rounds = Arrivals()

    def links() -> int:
        row = db.execute(
            "select count(*) from pg_stat_activity"
            " where application_name = 'pg_events housekeeping c' and datname = current_database()"
        ).fetchone()
        assert row is not None
        return row[0]

    def is_first() -> bool:
        """Asked at the beginning of a round, when the last one is over."""
        rounds.append(links())
        return len(rounds) < 4

    with kept_house(built_database_url, is_first):
        rounds.wait(4)
        until(lambda: not links(), "the link is closed")
        count = len(rounds)
        rounds.wait(count + 2)

    assert rounds[:4] == [0, 1, 1, 1]
    assert rounds[count + 1] == 0


def test_a_link_that_is_cut_is_made_anew(db: psycopg.Connection, built_database_url: str, told: Told) -> None:
    with kept_house(built_database_url, retention=timedelta(0)):
        db.execute("insert into t values (1)")
        until(lambda: not ids(db), "the event is deleted")
        db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'pg_events housekeeping c' and datname = current_database()"
        )
        assert told.next()[0] == "WARNING"
        db.execute("insert into t values (2)")
        until(lambda: not ids(db), "the event is deleted")


def file_bytes(db: psycopg.Connection) -> int:
    row = db.execute("select pg_total_relation_size('pgevents.event')").fetchone()
    assert row is not None
    return row[0]


def test_the_log_stays_bounded_under_load(
    db: psycopg.Connection, built_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_DEAD", (100, 0.2))
    db.execute("insert into t select generate_series(1, 10000)")
    sizes = [file_bytes(db)]

    with kept_house(built_database_url, retention=timedelta(0)):
        for _ in range(20):
            # As a writer does that commits now and then: each time about as much as is kept.
            db.execute("insert into t select generate_series(1, 10000)")
            until(lambda: not ids(db), "the events are deleted")
            sizes.append(file_bytes(db))

    assert sizes[-1] < 4 * sizes[0], sizes  # and not twenty times


def test_a_log_that_a_transaction_keeps_from_shrinking_is_told_with_its_holder(
    db: psycopg.Connection, built_database_url: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_DEAD", (1, 0.0))
    monkeypatch.setattr(findings, "BLOATED_ROWS", 10)
    monkeypatch.setattr(findings, "OLD_SECONDS", 0.5)
    db.execute("insert into t select generate_series(1, 5000)")

    with psycopg.connect(built_database_url) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select 1")
        holder_pid = holder.info.backend_pid
        with kept_house(built_database_url, retention=timedelta(0)):
            lines = {told.next()[1], told.next()[1]}

    assert any(line.startswith("the log takes ") and "most of its rows are dead" in line for line in lines)
    assert any(line.startswith(f"pid {holder_pid} ") for line in lines)
