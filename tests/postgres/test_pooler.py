"""Behind PgBouncer: in transaction mode nothing may rest on the session, and nothing may be left in it."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.db.session import is_shared
from pg_events.delivery.worker import Worker
from pg_events.log.listener import Listener
from pg_events_tui.model.backend import DatabaseFeed
from pg_events_tui.model.feed import Intake
from pg_events_tui.model.store import Store
from tests.pooling import bouncing, installed
from tests.waiting import PATIENCE_SECONDS, Arrivals, until

pytestmark = pytest.mark.usefixtures("numbers")


@pytest.fixture(scope="session")
def program() -> Path:
    return installed()


@pytest.fixture(params=[1, 3], ids=["one connection", "three connections"])
def pooled_url(
    request: pytest.FixtureRequest, program: Path, db: psycopg.Connection, built_database_url: str
) -> Iterator[str]:
    """Through a pooler in transaction mode."""
    with bouncing(program, built_database_url, "transaction", request.param) as url:
        yield url


def write(url: str, first: int, count: int) -> None:
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        for number in range(first, first + count):
            connection.execute("insert into t values (%s)", (number,))


def ids(payloads: list[str]) -> list[int]:
    return sorted(int(payload.split('"new_data": {"id":')[1].split("}")[0]) for payload in payloads)


def test_a_pooler_in_transaction_mode_is_recognised(pooled_url: str) -> None:
    with connect(pooled_url, application_name="test") as connection:
        assert connection.is_proxied
        assert is_shared(connection, pooled_url)


def test_a_session_of_our_own_is_recognised(program: Path, db: psycopg.Connection, built_database_url: str) -> None:
    with connect(built_database_url, application_name="test") as connection:
        assert not connection.is_proxied
    with (
        bouncing(program, built_database_url, "session", 3) as url,
        connect(url, application_name="test") as connection,
    ):
        assert connection.is_proxied
        assert not is_shared(connection, url)


def test_a_pool_of_one_session_does_not_hold_a_reader_up(
    program: Path, db: psycopg.Connection, built_database_url: str
) -> None:
    """Its second connection, that of the echo, waits for the first."""
    with bouncing(program, built_database_url, "session", 1) as url, Listener(url) as listener:
        db.execute("insert into t values (1)")

        assert len(listener.poll()) == 1


def test_polling_takes_over_and_says_so_once(
    pooled_url: str, db: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), Listener(pooled_url, asks_to_be_woken=True) as listener:
        listener.connect()  # as after a lost link
        db.execute("insert into t values (1)")
        assert len(listener.poll()) == 1
        while listener._idle_looks < 15:
            listener.wait(0.01)
        assert listener.poll() == []

    assert [record.message for record in caplog.records if "pooler in transaction mode" in record.message] == [
        caplog.records[0].message
    ]
    assert db.execute("select last_value from pgevents.sleeper").fetchone() == (0,)  # nobody was asked to notify


def test_nothing_is_left_in_the_sessions_of_others(pooled_url: str, db: psycopg.Connection) -> None:
    settings = (
        "select name, setting from pg_settings where source = 'session'"
        # Those the pooler carries along.
        " and name not in ('application_name', 'client_encoding', 'DateStyle', 'TimeZone')"
    )
    with Listener(pooled_url) as listener, psycopg.connect(pooled_url, autocommit=True) as other:
        for _ in range(5):
            listener.poll()
            assert other.execute(settings).fetchall() == []
            assert other.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_a_worker_behind_a_pooler_loses_nothing(pooled_url: str) -> None:
    delivered = Arrivals()
    ready = threading.Event()
    worker = Worker(Settings(pooled_url, data_update_callback=delivered.append), on_ready=ready.set)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    writers = [threading.Thread(target=write, args=(pooled_url, 100 * n, 100)) for n in range(3)]

    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    delivered.wait(300)
    worker.stop()
    thread.join(PATIENCE_SECONDS)

    assert ids(delivered) == list(range(300))


def test_the_console_behind_a_pooler_shows_all(pooled_url: str, db: psycopg.Connection) -> None:
    store = Store()
    intake = Intake(DatabaseFeed(pooled_url), store)
    intake.start()
    until(lambda: intake.link.state == "live")
    seen = intake.link.received

    write(pooled_url, 0, 50)

    until(lambda: intake.link.received - seen >= 50)
    assert intake.stop()
    assert intake.link.received - seen == 50
    store.close()


def test_the_command_listen_behind_a_pooler_prints_all(pooled_url: str, db: psycopg.Connection) -> None:
    command = [sys.executable, "-m", "pg_events", "listen", "--format", "json", "--where", "op:I", "--since", "oldest"]
    write(pooled_url, 0, 25)
    with subprocess.Popen(
        [*command, "--limit", "50", "--database-url", pooled_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as listener:
        assert listener.stderr is not None
        assert "pooler in transaction mode" in listener.stderr.readline()
        write(pooled_url, 25, 25)
        out, _ = listener.communicate(timeout=PATIENCE_SECONDS)

    assert ids(out.splitlines()) == list(range(50))


@pytest.mark.parametrize("command", [("listen",), ("worker", "--once"), ("status",), ("doctor",), ("build",)])
def test_a_pooler_in_statement_mode_is_refused_in_a_line(
    program: Path, db: psycopg.Connection, built_database_url: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "chosen.py").write_text("PG_EVENTS_DATA_UPDATE_CALLBACK = print\n")
    with bouncing(program, built_database_url, "statement", 2) as url:
        answer = subprocess.run(
            [sys.executable, "-m", "pg_events", *command, "--database-url", url, "--settings", "chosen.py"],
            capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE_SECONDS,
        )  # fmt: skip

    assert answer.returncode == 3
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert "a pooler in statement mode, which does not support transactions" in answer.stderr
    assert "connect to the server directly, or use transaction mode" in answer.stderr
