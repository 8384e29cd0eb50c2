"""`consumers pause` and `resume`: kept in the database, for all workers of the consumer."""

import asyncio
import json
import threading
import time
from typing import Any, Final

import psycopg
import pytest

from pg_events.cli import consumers
from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Report, Worker
from pg_events.errors import UsageError
from tests.postgres.test_worker import working
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("items")

WAYS: Final[dict[str, dict[str, Any]]] = {
    "one by one": {},
    "concurrent": {"concurrency": 8},
    "transactional": {"transactional": True},
}


class Desk:
    """Callbacks of each way, which note the rows; `act` is called before."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.attempts: list[int] = []
        self.failing = threading.Event()

    def sync(self, payload: str, attempt: int, connection: psycopg.Connection | None = None) -> None:
        event = json.loads(payload)
        if event.get("table_name") != "item":
            return
        self.attempts.append(attempt)
        if self.failing.is_set():
            raise ValueError("not now")
        self.rows.append(event["new_data"]["id"])

    async def later(self, payload: str, attempt: int) -> None:
        await asyncio.sleep(0)
        self.sync(payload, attempt)

    def settings(self, url: str, way: str, **more: Any) -> Settings:
        callback = self.later if way == "concurrent" else self.sync
        return Settings(url, data_update_callback=callback, **{"retry_seconds": 0.01} | WAYS[way] | more)


def insert(db: psycopg.Connection, first: int, last: int) -> None:
    db.execute("insert into item select generate_series(%s::int, %s)", [first, last])


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_delivered_while_paused_and_everything_after(
    db: psycopg.Connection, built_database_url: str, way: str
) -> None:
    url, desk = built_database_url, Desk()
    with working(desk.settings(url, way)) as worker:
        insert(db, 1, 3)
        until(lambda: len(desk.rows) == 3)
        consumers.pause(None, url, "default")
        until(lambda: worker.is_paused)
        insert(db, 4, 6)
        written = time.monotonic()
        until(lambda: worker.moved_at > written + 1)
        assert desk.rows == [1, 2, 3]
        assert worker.trouble() is None

        consumers.resume(None, url, "default")
        until(lambda: len(desk.rows) == 6)

    assert sorted(desk.rows) == [1, 2, 3, 4, 5, 6]


def test_a_pause_survives_the_worker(db: psycopg.Connection, built_database_url: str) -> None:
    url, desk = built_database_url, Desk()
    settings = desk.settings(url, "one by one")
    Worker(settings, start=OLDEST).run(once=True)
    consumers.pause(None, url, "default")
    insert(db, 1, 2)

    assert Worker(settings).run(once=True) == Report()
    consumers.resume(None, url, "default")
    assert Worker(settings).run(once=True) == Report(delivered=2)


@pytest.mark.parametrize("way", WAYS)
def test_a_retry_that_waits_comes_after_the_pause_with_its_number(
    db: psycopg.Connection, built_database_url: str, way: str
) -> None:
    url, desk = built_database_url, Desk()
    desk.failing.set()
    with working(desk.settings(url, way, retry_seconds=2.0, retry_max_seconds=2.0)) as worker:
        insert(db, 1, 1)
        until(lambda: desk.attempts == [1])
        consumers.pause(None, url, "default")
        until(lambda: worker.is_paused)
        desk.failing.clear()
        paused = time.monotonic()
        until(lambda: worker.moved_at > paused + 2.5)
        assert desk.attempts == [1]
        consumers.resume(None, url, "default")
        until(lambda: desk.rows == [1])

    assert desk.attempts == [1, 2]
    assert worker.report == Report(delivered=1, retried=1)


def test_all_workers_of_a_consumer_pause_and_no_other(db: psycopg.Connection, built_database_url: str) -> None:
    url, desk, other = built_database_url, Desk(), Desk()
    with (
        working(desk.settings(url, "one by one")) as one,
        working(other.settings(url, "one by one"), "other"),
    ):
        second = Worker(desk.settings(url, "one by one"))
        thread = threading.Thread(target=second.run)
        thread.start()
        try:
            until(lambda: 0 < second.share < 1)
            consumers.pause(None, url, "default")
            until(lambda: one.is_paused and second.is_paused)
            insert(db, 1, 20)
            until(lambda: len(other.rows) == 20)
            assert desk.rows == []
            consumers.resume(None, url, "default")
            until(lambda: len(desk.rows) == 20)
        finally:
            second.stop()
            thread.join(30)

    assert sorted(desk.rows) == list(range(1, 21))


def test_a_pause_is_listed(db: psycopg.Connection, built_database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = built_database_url
    Worker(Desk().settings(url, "one by one"), start=OLDEST).run(once=True)
    consumers.pause(None, url, "default")
    capsys.readouterr()

    consumers.list_consumers(None, url, as_json=False)
    consumers.list_consumers(None, url, as_json=True)

    table, line = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert "stopped, paused" in table
    assert json.loads(line)["is_paused"] is True


def test_an_unknown_consumer_cannot_be_paused(db: psycopg.Connection, built_database_url: str) -> None:
    with pytest.raises(UsageError, match="there is no consumer 'mailer'; there are: none"):
        consumers.pause(None, built_database_url, "mailer")
