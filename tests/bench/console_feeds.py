"""Where the console's events come from while it is measured: made up in memory, or out of a real database."""

import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg

from pg_events.event import Record
from pg_events_tui.model.backend import DatabaseFeed, NoDatabase

TABLES = ("orders", "order_items", "stock", "carts", "customers")


def record(number: int, at: str) -> Record:
    old = {
        "id": number,
        "status": "new",
        "total": 98,
        "note": "a note of some length",
        "items": [{"sku": "A1", "qty": 1}],
    }
    new = old | {"status": "paid", "total": number % 500, "items": [{"sku": "A1", "qty": 2}]}
    return Record(number, number // 3, at, "IUUD"[number % 4], "public", TABLES[number % 5], "app_rw", "checkout",
                  "update orders set status = 'paid' where id = $1", json.dumps(old), json.dumps(new), None)  # fmt: skip


class InMemory:
    """As many events a second as asked for, as fast as they are taken."""

    def __init__(self, history: int, rate: int) -> None:
        self.number = history
        self.rate = rate
        self.begun: float | None = None
        self.offered = 0
        self.taken = 0

    def start(self) -> None:
        self.begun = time.monotonic()

    def stop(self) -> None:
        self.begun = None

    def connect(self) -> None: ...

    def recent(self, limit: int) -> Sequence[Record]:
        return []

    def poll(self) -> Sequence[Record]:
        if self.begun is None:
            return []
        self.offered = int((time.monotonic() - self.begun) * self.rate)
        count = min(1_000, self.offered - self.taken)
        self.taken += count
        self.number += count
        at = datetime.now(UTC).isoformat()
        return [record(self.number - count + one, at) for one in range(count)]

    def oldest(self) -> int | None:
        return None

    def log(self) -> object:
        return None

    def wait(self, timeout_seconds: float) -> None:
        time.sleep(min(timeout_seconds, 0.02))

    def close(self) -> None: ...


class NoTables(NoDatabase):
    """A database without tables."""

    absent = ""

    def __init__(self) -> None:
        super().__init__("bench@memory")

    def coverage(self) -> Sequence[object]:
        return []


class FromDatabase(DatabaseFeed):
    """The log of a database in which a thread writes rows of a covered table, ten statements a second."""

    def __init__(self, url: str, rate: int) -> None:
        super().__init__(url, application_name="bench")
        self.rate = rate
        self.offered = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _write(self) -> None:
        begun = time.monotonic()
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while not self._stopping.wait(0.1):
                count = int((time.monotonic() - begun) * self.rate) - self.offered
                connection.execute(
                    "insert into orders (status, total, note, items)"
                    """ select 'new', n, 'a note of some length', '[{"sku": "A1", "qty": 1}]'"""
                    " from generate_series(1, %s) n",
                    [count],
                )
                self.offered += count
