"""`PG_EVENTS_RATE_LIMIT`: calls a second of one consumer, over all its workers, in every way of delivery."""

import threading
import time
from typing import Any, Final

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Report, Worker
from tests.postgres.test_worker import working
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("items")

WAYS: Final[dict[str, dict[str, Any]]] = {
    "one by one": {},
    "concurrent": {"concurrency": 8},
    "transactional": {"transactional": True},
}
RATE: Final = 20.0


class Desk:
    """Callbacks of each way, which note when they are called; the first call of an event fails if `fails`."""

    def __init__(self, *, fails: bool = False) -> None:
        self.called_at: list[float] = []
        self._fails = fails

    def sync(self, payload: str, attempt: int, connection: psycopg.Connection | None = None) -> None:
        if '"table_name": "item"' not in payload or '"object_identity"' in payload:
            return
        self.called_at.append(time.monotonic())
        if self._fails and attempt == 1:
            raise ValueError

    async def later(self, payload: str, attempt: int) -> None:
        self.sync(payload, attempt)

    def settings(self, url: str, way: str, **more: Any) -> Settings:
        callback = self.later if way == "concurrent" else self.sync
        return Settings(
            url, data_update_callback=callback, **{"retry_seconds": 0.0, "rate_limit": RATE} | WAYS[way] | more
        )

    def assert_limited(self, rate: float = RATE) -> None:
        """Any number of calls in a row took as long as the limit says, but for those of one reservation."""
        at = self.called_at
        burst = max(1, int(rate * 0.1)) + 2
        for first in range(0, len(at), 5):
            for last in range(first + burst, len(at)):
                assert at[last] - at[first] >= (last - first - burst) / rate, (first, last)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fails", [False, True])
def test_calls_keep_to_the_limit_and_nothing_is_lost(
    db: psycopg.Connection, built_database_url: str, way: str, fails: bool
) -> None:
    desk = Desk(fails=fails)
    db.execute("insert into item select generate_series(1, 20)")

    report = Worker(desk.settings(built_database_url, way), start=OLDEST).run(once=True)

    assert report == Report(delivered=20, retried=20 * fails)
    assert len(desk.called_at) == 20 + 20 * fails
    desk.assert_limited()


def test_workers_of_a_consumer_keep_to_the_limit_together(db: psycopg.Connection, built_database_url: str) -> None:
    desk = Desk()
    settings = desk.settings(built_database_url, "one by one")
    with working(settings):
        second = Worker(settings)
        thread = threading.Thread(target=second.run)
        thread.start()
        try:
            until(lambda: 0 < second.share < 1)
            db.execute("insert into item select generate_series(1, 40)")
            until(lambda: len(desk.called_at) == 40)
        finally:
            second.stop()
            thread.join(30)

    assert second.report.delivered > 0
    desk.assert_limited()


def test_a_limit_below_one_call_a_second_does_not_keep_a_worker_from_stopping(
    db: psycopg.Connection, built_database_url: str
) -> None:
    desk = Desk()
    begun = time.monotonic()
    with working(desk.settings(built_database_url, "one by one", rate_limit=0.01)) as worker:
        db.execute("insert into item values (1), (2)")
        until(lambda: len(desk.called_at) == 1)
        until(lambda: worker.moved_at > desk.called_at[0] + 1)
        assert worker.trouble() is None

    assert time.monotonic() - begun < 60
    assert len(desk.called_at) == 1


def test_a_clock_that_was_set_back_does_not_stop_delivery(db: psycopg.Connection, built_database_url: str) -> None:
    desk = Desk()
    settings = desk.settings(built_database_url, "one by one")
    Worker(settings, start=OLDEST).run(once=True)
    db.execute("update pgevents.consumer set next_call_at = now() + interval '1 year'")
    db.execute("insert into item values (1)")

    assert Worker(settings).run(once=True) == Report(delivered=1)
