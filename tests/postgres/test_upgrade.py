"""Another release builds while this one reads: readers notice it in the next question, and give out nothing of it."""

import threading

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker
from pg_events.errors import NotInstalled
from pg_events.filter.parser import parse
from pg_events.log.listener import EVERYTHING, Cursor, Listener
from pg_events.log.retained import Retained
from pg_events_tui.model.backend import DatabaseFeed
from pg_events_tui.model.feed import Intake
from pg_events_tui.model.store import Store
from tests.waiting import PATIENCE_SECONDS, Arrivals, until

LATER = "insert into pgevents.migration (version, name) values (1000, '1000_later')"
SAYS = r"schema is version 1000, this release knows \d+; upgrade pg_events"


def write_after_an_upgrade(db: psycopg.Connection) -> None:
    with db.transaction():
        db.execute(LATER)
        db.execute("insert into item values (100)")


@pytest.fixture(autouse=True)
def _item(db: psycopg.Connection) -> None:
    db.execute("create table item (id integer primary key)")


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_worker_delivers_what_it_has_and_ends(url: str, db: psycopg.Connection, concurrency: int) -> None:
    got, ready, ended = Arrivals(), threading.Event(), []
    going_on = threading.Event()

    def slow(payload: str) -> None:
        got.append(payload)
        going_on.wait(PATIENCE_SECONDS)

    async def side_by_side(payload: str) -> None:
        got.append(payload)

    callback = slow if concurrency == 1 else side_by_side
    worker = Worker(Settings(url, data_update_callback=callback, concurrency=concurrency), on_ready=ready.set)

    def run() -> None:
        try:
            worker.run()
        except NotInstalled as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    db.execute("insert into item values (1)")
    got.wait(1)
    write_after_an_upgrade(db)
    going_on.set()
    thread.join(PATIENCE_SECONDS)

    assert not thread.is_alive()
    assert len(got) == 1
    (error,) = ended
    with pytest.raises(NotInstalled, match=SAYS) as at_start:
        Worker(Settings(url, data_update_callback=callback)).run()
    assert str(error) == str(at_start.value)
    db.execute("delete from pgevents.migration where version = 1000")
    assert Worker(Settings(url, data_update_callback=got.append)).run(once=True).delivered == 1
    assert len(got) == 2


def test_a_listener_gives_out_nothing_and_stays_where_it_is(url: str, db: psycopg.Connection) -> None:
    with Listener(url) as listener:
        before = listener.cursor
        write_after_an_upgrade(db)

        with pytest.raises(NotInstalled, match=SAYS):
            listener.poll()
        assert listener.cursor == before
        with pytest.raises(NotInstalled, match=SAYS):
            listener.recent(10)


def test_a_large_window_ends_at_the_upgrade(url: str, db: psycopg.Connection) -> None:
    db.execute("insert into item select generate_series(1, 50)")
    with Listener(url, Cursor(EVERYTHING), page_events=10) as listener:
        assert len(listener.poll()) == 10
        db.execute(LATER)

        with pytest.raises(NotInstalled, match=SAYS):
            list(listener.pages())


def test_kept_events_are_not_read_past_an_upgrade(url: str, db: psycopg.Connection) -> None:
    db.execute("insert into item values (1)")
    with Listener(url) as listener:
        log = Retained(listener, parse(""))
        db.execute(LATER)

        with pytest.raises(NotInstalled, match=SAYS):
            list(log)


def test_the_console_says_it_and_stays(url: str, db: psycopg.Connection) -> None:
    store = Store()
    intake = Intake(DatabaseFeed(url), store)
    intake.start()
    until(lambda: intake.link.state == "live")
    seen = intake.link.received

    write_after_an_upgrade(db)

    until(lambda: intake.link.state == "down")
    assert "upgrade pg_events" in intake.link.reason
    assert intake.link.received == seen
    assert intake.stop()
    store.close()
