"""Links that break without a word, and what a server's administrator does to sessions."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.delivery.worker import Worker
from pg_events.demo.server import FAST, Server
from pg_events.errors import DatabaseUnreachable
from pg_events.log.listener import Cursor, Listener, not_ahead
from pg_events.triggers.build import apply, make_plan
from tests.waiting import PATIENCE_SECONDS, Arrivals, until


def numbers(listener: Listener) -> list[int]:
    """The rows inserted since the last call."""
    return [
        int(record.payload.split('"new_data": {"id":')[1].split("}")[0]) for page in listener.pages() for record in page
    ]


@contextmanager
def working(url: str, **settings: Any) -> Iterator[tuple[Worker, Arrivals]]:
    """A worker in a thread of its own, and the payloads it has delivered."""
    delivered = Arrivals()
    ready = threading.Event()
    chosen = Settings(database_url=url, data_update_callback=delivered.append, **settings)
    worker = Worker(chosen, on_ready=ready.set)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    try:
        yield worker, delivered
    finally:
        worker.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


# --- silence ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("numbers")
def test_a_frozen_server_process_is_given_up_and_nothing_is_missed(
    server: Server, db: psycopg.Connection, built_database_url: str
) -> None:
    assert server.pid  # its processes are ours to stop
    with Listener(built_database_url, server_timeout_seconds=1) as listener:
        assert listener.poll() == []
        pid = listener.connection.info.backend_pid
        db.execute("insert into t values (1)")
        os.kill(pid, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            with pytest.raises(DatabaseUnreachable, match="no answer for 1 s"):
                listener.poll()
            assert time.monotonic() - begin < 10

            listener.connect()

            assert numbers(listener) == [1]
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.usefixtures("numbers")
def test_a_server_that_is_only_slow_is_given_more_time_at_each_link(
    db: psycopg.Connection, built_database_url: str
) -> None:
    with (
        Listener(built_database_url, server_timeout_seconds=1) as listener,
        psycopg.connect(built_database_url) as other,
    ):
        other.execute("lock table pgevents.event in access exclusive mode")
        for seconds in (1, 2):
            with pytest.raises(DatabaseUnreachable, match=f"no answer for {seconds} s"):
                listener.poll()
            listener.connect()
        other.rollback()

        assert listener.poll() == []

        other.execute("lock table pgevents.event in access exclusive mode")
        with pytest.raises(DatabaseUnreachable, match="no answer for 1 s"):  # it has answered since
            listener.poll()


@pytest.mark.usefixtures("numbers")
def test_a_question_given_up_is_cancelled(db: psycopg.Connection, built_database_url: str) -> None:
    with connect(built_database_url, application_name="slow", silence_seconds=1) as slow:
        with pytest.raises(psycopg.OperationalError, match="no answer"):
            slow.execute("select pg_sleep(1000)")

        assert slow.closed
    until(lambda: not db.execute("select from pg_stat_activity where application_name = 'slow'").fetchall())


def test_an_answer_that_trickles_is_no_silence(built_database_url: str) -> None:
    with connect(built_database_url, application_name="test", silence_seconds=1) as connection:
        # Each row fills the server's buffer: one arrives every 0.3 s.
        rows = connection.execute("select repeat('x', 20000), pg_sleep(0.3) from generate_series(1, 6)").fetchall()

        assert len(rows) == 6


def test_a_question_that_may_take_long_is_not_given_up(built_database_url: str) -> None:
    with connect(built_database_url, application_name="test", silence_seconds=0.2) as connection:
        with connection.patiently():
            connection.execute("select pg_sleep(1)")

        with pytest.raises(psycopg.OperationalError, match="no answer"):
            connection.execute("select pg_sleep(1)")


class Proxy:
    """TCP in front of a server's unix socket. `stall()` swallows what it is sent, from old and new clients."""

    def __init__(self, url: str) -> None:
        parts = conninfo_to_dict(url)
        self._target = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        self._flows = threading.Event()
        self._flows.set()
        self._gate = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._gate]
        self.url = f"postgresql://postgres@127.0.0.1:{self._gate.getsockname()[1]}/{quote(str(parts['dbname']))}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def close(self) -> None:
        for each in self._open:
            with closing(each):
                pass
        self.flow()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._gate.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                if not self._flows.is_set():
                    self._flows.wait()
                    break  # what was swallowed does not come later
                sink.sendall(piece)
        except OSError:
            pass
        for each in (source, sink):
            with closing(each):
                pass


@pytest.fixture
def proxy(server: Server, built_database_url: str) -> Iterator[Proxy]:
    assert server.directory
    with closing(Proxy(built_database_url)) as proxy:
        yield proxy


@pytest.mark.usefixtures("numbers")
def test_a_worker_leaves_a_black_hole_behind(proxy: Proxy, db: psycopg.Connection) -> None:
    url = f"{proxy.url}?connect_timeout=2"
    with working(url, server_timeout_seconds=1) as (worker, delivered):
        db.execute("insert into t values (1)")
        delivered.wait(1)

        proxy.stall()
        db.execute("insert into t values (2)")
        until(lambda: not worker._listener._connection)
        proxy.flow()

        delivered.wait(2)
        assert worker.report.reconnects == 1


# --- what is set for a role ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("numbers")
def test_no_timeout_of_the_role_ends_a_reader(db: psycopg.Connection, built_database_url: str) -> None:
    role = f"hasty_{os.getpid()}"
    db.execute(f"create role {role} superuser login".encode())
    try:
        for setting in (
            "idle_session_timeout",
            "idle_in_transaction_session_timeout",
            "statement_timeout",
            "lock_timeout",
        ):
            db.execute(f"alter role {role} set {setting} = '50ms'".encode())
        db.execute(f"alter role {role} set default_transaction_read_only = on".encode())
        db.execute(f"alter role {role} set default_transaction_isolation = 'serializable'".encode())
        url = built_database_url.replace("postgres@", f"{role}@")

        with working(url) as (worker, delivered):
            until(lambda: worker._listener._idle_looks > 20)  # asleep for longer than all of these allow
            db.execute("insert into t values (1)")
            delivered.wait(1)

        assert worker.report.reconnects == 0
    finally:
        db.execute(f"drop role {role}".encode())


# --- a standby, and its promotion ---------------------------------------------------------------------------------


class Standby(Server):
    """A copy of a running server that follows it."""

    def __init__(self, primary: Server) -> None:
        super().__init__(primary._binaries, settings={**FAST, "wal_retrieve_retry_interval": "100ms"})
        self._primary = primary

    def _initdb(self, locale: str) -> subprocess.CompletedProcess[str]:
        command = [
            *(self._programs / "pg_basebackup", "--dbname", self._primary.url(), "--pgdata", self._data),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, **self._process_options())


@pytest.fixture
def pair(server: Server) -> Iterator[tuple[Server, Standby, str]]:
    """A primary, its standby, and the URL of a built database on both, the standby first."""
    with Server(server._binaries, settings=FAST) as primary:
        url = primary.create_database("shop")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create table t (id integer)")
        with connect(url, application_name="test") as connection:
            plan = make_plan(connection, Settings(url))
        assert not apply(url, plan).failed
        with Standby(primary) as standby:
            hosts = ",".join(quote(str(one._running_guardian.sockets), safe="") for one in (standby, primary))
            yield primary, standby, f"postgresql://postgres@/shop?host={hosts}&port=5432"


def write(server: Server, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(server.url("shop"), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def follow(primary: Server, standby: Server) -> None:
    """Until the standby has all that the primary has."""
    (lsn,) = write(primary, "select pg_current_wal_insert_lsn()")[0]
    until(lambda: write(standby, f"select pg_last_wal_replay_lsn() >= '{lsn}'") == [(True,)])


def promote(primary: Server, standby: Server) -> None:
    primary.stop("immediate")
    write(standby, "select pg_promote()")


def test_a_standby_is_refused_in_one_line(pair: tuple[Server, Standby, str]) -> None:
    _, standby, _ = pair

    for wake_up in (True, False):
        with pytest.raises(DatabaseUnreachable, match="is a standby"):
            Listener(standby.url("shop"), wake_up=wake_up).connect()


def test_a_worker_follows_a_promotion(pair: tuple[Server, Standby, str]) -> None:
    primary, standby, url = pair
    with working(url) as (worker, delivered):
        write(primary, "insert into t select generate_series(1, 50)")
        delivered.wait(50)
        follow(primary, standby)
        assert worker.trouble() is None

        primary.stop("immediate")
        until(lambda: "standby" in (worker.trouble() or ""))
        write(standby, "select pg_promote()", "insert into t select generate_series(51, 60)")

        delivered.until(lambda found: len(set(found)) == 60)
        assert worker.report.reconnects == 1
        assert worker.trouble() is None


@pytest.mark.parametrize("reader", ["worker", "listener"])
def test_events_of_transaction_ids_that_come_again_are_not_missed(
    pair: tuple[Server, Standby, str], reader: str
) -> None:
    """The standby was behind: what it did not have is gone, and its new transactions have the numbers of the lost."""
    primary, standby, url = pair
    follow(primary, standby)
    with working(url) as (_worker, delivered), Listener(url) as listener:
        write(standby, "alter system set primary_conninfo = ''", "select pg_reload_conf()")
        until(lambda: write(primary, "select count(*) from pg_stat_replication") == [(0,)])
        for number in range(50):
            write(primary, f"insert into t values ({number})")
        delivered.wait(50)
        assert numbers(listener) == list(range(50))

        promote(primary, standby)
        with pytest.raises(DatabaseUnreachable):
            listener.poll()
        if reader == "listener":
            listener.connect()
        write(standby, "insert into t values (777)")

        if reader == "listener":
            assert numbers(listener) == [777]
        else:
            delivered.until(lambda found: any('{"id":777}' in payload for payload in found))


@pytest.mark.parametrize(
    ("cursor", "now", "then"),
    [
        (Cursor("10:12:11"), "20:20:", Cursor("10:12:11")),
        (Cursor("10:12:11"), "9:12:9", Cursor("10:12:11")),
        (Cursor("10:12:11"), "9:11:9", Cursor("9:11:9")),
        (Cursor("10:12:11", "30:30:", 7), "20:20:", Cursor("10:12:11")),
        (Cursor("10:12:11", "20:20:", 7), "20:20:", Cursor("10:12:11", "20:20:", 7)),
    ],
)
def test_a_cursor_is_never_ahead_of_its_server(cursor: Cursor, now: str, then: Cursor) -> None:
    assert not_ahead(cursor, now) == then
