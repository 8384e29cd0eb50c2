"""The transactional mode: what callbacks write and the cursor go together, whatever fails."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from pg_events.callbacks.callback import Callback
from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.transaction import ConnectionMisused
from pg_events.delivery.worker import Report, Worker
from pg_events.errors import PgEventsError, UsageError

Act = Callable[[psycopg.Connection, int], object]


@pytest.fixture
def shop(built_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key, note text)")
        connection.execute("create table written (event bigint, item integer)")
        yield connection


def copying(act: Act = lambda _connection, _item: None) -> Callable[..., None]:
    """A callback that writes a row for each event of `item`, and then acts."""

    def callback(payload: str, connection: psycopg.Connection) -> None:
        event = json.loads(payload)
        if event.get("table_name") == "item":
            number = event["new_data"]["id"]
            connection.execute("insert into written values (%s, %s)", [event["id"], number])
            act(connection, number)

    return callback


def settings(shop: psycopg.Connection, callback: object, **more: object) -> Settings:
    url = f"host={shop.info.host} port={shop.info.port} dbname={shop.info.dbname} user={shop.info.user}"
    return Settings(database_url=url, data_update_callback=callback, retry_seconds=0.01, transactional=True, **more)  # type: ignore[arg-type]


def run(chosen: Settings) -> Report:
    return Worker(chosen).run(once=True)


def fill(shop: psycopg.Connection, count: int) -> None:
    shop.execute("insert into item select number, '' from generate_series(1, %s) number", [count])


def written(shop: psycopg.Connection) -> list[int]:
    return [item for (item,) in shop.execute("select item from written order by item")]


def test_what_callbacks_write_is_there_once(shop: psycopg.Connection) -> None:
    chosen = settings(shop, copying())
    run(chosen)
    fill(shop, 120)

    run(chosen)

    assert written(shop) == list(range(1, 121))


def test_the_connection_is_an_ordinary_one(shop: psycopg.Connection) -> None:
    found: list[object] = []

    def act(connection: psycopg.Connection, _item: int) -> None:
        found.extend(connection.execute("select '{\"a\": 1}'::json").fetchone() or ())

    chosen = settings(shop, copying(act))
    run(chosen)
    fill(shop, 1)
    run(chosen)

    assert found == [{"a": 1}]


def test_a_failed_call_leaves_nothing_behind_and_the_others_are_kept(shop: psycopg.Connection) -> None:
    def act(_connection: psycopg.Connection, item: int) -> None:
        if item == 2:
            raise ValueError("no")

    chosen = settings(shop, copying(act), max_attempts=2)
    run(chosen)
    fill(shop, 3)

    report = run(chosen)

    assert written(shop) == [1, 3]
    assert (report.failed, report.retried) == (1, 1)
    kept = shop.execute("select payload::json #>> '{new_data,id}', attempts from pgevents.failed").fetchall()
    assert kept == [("2", 2)]


def test_a_failed_statement_that_the_callback_hides_is_a_failure(shop: psycopg.Connection) -> None:
    def act(connection: psycopg.Connection, item: int) -> None:
        if item == 1:
            with contextlib.suppress(psycopg.Error):
                connection.execute("select 1 / 0")

    chosen = settings(shop, copying(act), max_attempts=1)
    run(chosen)
    fill(shop, 2)
    run(chosen)

    assert written(shop) == [2]
    assert "a statement on its connection failed" in shop.execute("select error from pgevents.failed").fetchall()[0][0]


def test_a_part_can_be_undone_by_a_transaction_of_its_own(shop: psycopg.Connection) -> None:
    def act(connection: psycopg.Connection, _item: int) -> None:
        with connection.transaction(force_rollback=True):
            connection.execute("insert into written values (0, 0)")

    chosen = settings(shop, copying(act))
    run(chosen)
    fill(shop, 1)
    run(chosen)

    assert written(shop) == [1]


@pytest.mark.parametrize("method", ["commit", "rollback"])
def test_commit_and_rollback_are_refused_as_failures(shop: psycopg.Connection, method: str) -> None:
    chosen = settings(shop, copying(lambda connection, _item: getattr(connection, method)()), max_attempts=1)
    run(chosen)
    fill(shop, 1)
    report = run(chosen)

    assert (report.failed, written(shop)) == (1, [])


@pytest.mark.parametrize("statement", ["commit", "rollback", "commit; begin", "rollback; begin", "close"])
def test_ending_the_transaction_in_sql_stops_the_worker_with_one_line(shop: psycopg.Connection, statement: str) -> None:
    def act(connection: psycopg.Connection, item: int) -> None:
        if item == 2:
            connection.close() if statement == "close" else connection.execute(statement.encode())

    chosen = settings(shop, copying(act))
    run(chosen)
    fill(shop, 3)

    with pytest.raises(ConnectionMisused, match="ended the transaction of its connection") as raised:
        run(chosen)

    assert isinstance(raised.value, PgEventsError)
    assert "\n" not in str(raised.value)


def test_a_stale_worker_writes_nothing(shop: psycopg.Connection) -> None:
    """What it wrote goes with its cursor, which is refused."""
    stolen = threading.Event()

    def act(_connection: psycopg.Connection, _item: int) -> None:
        if not stolen.is_set():
            stolen.set()
            # What another worker does once this one's lease has run out.
            shop.execute("update pgevents.share set worker = null")

    chosen = settings(shop, copying(act))
    run(chosen)
    fill(shop, 10)
    run(chosen)

    # The first transaction was refused; then the worker took the share again and did it once more.
    assert stolen.is_set()
    assert written(shop) == list(range(1, 11))


def test_a_link_lost_in_a_call_undoes_what_was_not_committed(shop: psycopg.Connection) -> None:
    lost = threading.Event()

    def act(_connection: psycopg.Connection, item: int) -> None:
        if item == 5 and not lost.is_set():
            lost.set()
            shop.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'pg_events callbacks default'"
            )

    chosen = settings(shop, copying(act))
    run(chosen)
    fill(shop, 10)
    report = run(chosen)

    assert report.reconnects == 1
    assert written(shop) == list(range(1, 11))


def by_itself(connection: psycopg.Connection) -> None:
    connection.execute("select pg_terminate_backend(pg_backend_pid())")


def by_itself_unseen(connection: psycopg.Connection) -> None:
    with contextlib.suppress(psycopg.Error):
        by_itself(connection)


def by_another(connection: psycopg.Connection) -> None:
    with psycopg.connect(connection.info.dsn, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])


def by_another_and_raises(connection: psycopg.Connection) -> None:
    by_another(connection)
    raise ValueError("no")


@pytest.mark.parametrize("ends", [by_itself, by_itself_unseen, by_another, by_another_and_raises])
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_call_that_ends_its_own_connection_each_time_is_given_up(
    shop: psycopg.Connection, ends: Callable[[psycopg.Connection], None], attempts: int
) -> None:
    calls = list[int]()

    def act(connection: psycopg.Connection, item: int) -> None:
        if item == 2:
            calls.append(item)
            ends(connection)

    chosen = settings(shop, copying(act), max_attempts=attempts)
    run(chosen)
    fill(shop, 4)
    report = run(chosen)

    assert written(shop) == [1, 3, 4]
    assert (report.failed, report.retried) == (1, attempts - 1)
    assert shop.execute("select payload::json #>> '{new_data,id}', attempts from pgevents.failed").fetchall() == [
        ("2", attempts)
    ]
    # The first time it took the work of others with it, which counts for none of them, nor for it: unless a slow machine had
    # saved that work by then.
    assert len(calls) in (attempts, attempts + 1)


def test_what_only_the_commit_refuses_is_a_failure_of_the_call_that_wrote_it(shop: psycopg.Connection) -> None:
    shop.execute("create table part_of (item integer references item initially deferred)")
    calls = list[int]()

    def act(connection: psycopg.Connection, item: int) -> None:
        calls.append(item)
        connection.execute("insert into part_of values (%s)", [item if item != 3 else 0])

    chosen = settings(shop, copying(act), max_attempts=2)
    run(chosen)
    fill(shop, 60)

    report = run(chosen)

    assert written(shop) == [item for item in range(1, 61) if item != 3]
    assert (report.failed, report.retried) == (1, 1)
    (kept,) = shop.execute("select payload::json #>> '{new_data,id}', attempts, error from pgevents.failed").fetchall()
    assert kept[:2] == ("3", 2)
    assert "ForeignKeyViolation" in kept[2]
    assert calls.count(3) == 3  # the first time with others, whose work was undone with it


def test_a_failed_event_that_ends_its_connection_when_it_is_delivered_again_fails_again(
    shop: psycopg.Connection,
) -> None:
    chosen = settings(shop, copying(lambda connection, _item: by_itself(connection)), max_attempts=1)
    run(chosen)
    fill(shop, 1)
    assert run(chosen).failed == 1
    shop.execute("update pgevents.failed set state = 'retry'")

    assert run(chosen).failed == 1

    assert shop.execute("select state, attempts from pgevents.failed").fetchall() == [("failed", 2)]
    assert written(shop) == []


def test_a_failed_event_that_is_delivered_again_writes_once(shop: psycopg.Connection) -> None:
    failing = [True]

    def act(_connection: psycopg.Connection, _item: int) -> None:
        if failing[0]:
            raise ValueError("not yet")

    chosen = settings(shop, copying(act), max_attempts=1)
    run(chosen)
    fill(shop, 2)
    run(chosen)
    failing[0] = False
    shop.execute("update pgevents.failed set state = 'retry'")

    run(chosen)

    assert written(shop) == [1, 2]
    assert shop.execute("select from pgevents.failed").fetchall() == []


async def awaited(payload: str, connection: object) -> None: ...


@pytest.mark.parametrize(
    ("callback", "more", "says"),
    [
        (awaited, {}, "awaited is async, and only 'def' functions get the connection"),
        (lambda _payload: None, {}, "takes no connection"),
        (copying(), {"isolate": True}, "cannot be passed to a separate process"),
        (copying(), {"concurrency": 2}, "one transaction holds one call at a time"),
        (copying(), {"transactional": False}, "which only PG_EVENTS_TRANSACTIONAL = True gives"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(callback: object, more: dict[str, object], says: str) -> None:
    chosen = {"database_url": "dbname=x", "data_update_callback": callback, "transactional": True}

    with pytest.raises(UsageError, match=says):
        Worker(Settings(**chosen | more))  # type: ignore[arg-type]


def test_without_a_connection_the_functions_own_default_counts() -> None:
    got: list[object] = []

    def callback(_payload: str, connection: object = "mine") -> None:
        got.append(connection)

    Callback("mine", False, callback, accepts=frozenset({"connection"}))("{}")

    assert got == ["mine"]


def test_what_is_written_on_the_lent_connection_is_known_as_the_consumers_own(built_database_url: str) -> None:
    with psycopg.connect(built_database_url, autocommit=True) as db:
        db.execute("create table looped (id integer)")
        db.execute("delete from pgevents.event")
        db.execute("insert into looped values (0)")

    def again(_payload: str, connection: psycopg.Connection) -> None:
        connection.execute("insert into looped values (1)")

    settings = Settings(built_database_url, data_update_callback=again, transactional=True, ignore_own_changes=True)

    assert Worker(settings, "größe", start=OLDEST).run(once=True).delivered == 1
