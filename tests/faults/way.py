"""How the workers of a long run deliver, and the database that they are given."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.demo.server import Server
from pg_events.triggers.build import apply, make_plan
from tests.faults.harness import Change, Deliveries, Delivery, WorkerProcess, execute, make_accounts

LEASE_SECONDS = 2.0
HOUSEKEEPING_SECONDS = 0.3
UNCOVERED = ("public.copied",)


class Copies(Deliveries):
    """What the workers' callback has written into the database, together with the cursor."""

    def __init__(self, path: Path, url: str) -> None:
        super().__init__(path)
        self._url = url

    def read(self) -> list[Delivery]:
        rows = execute(self._url, "select event, key, sequence from copied order by number")
        return [Delivery(event, 0, Change(key, sequence)) for event, key, sequence in rows]


@dataclass(frozen=True)
class Way:
    """How workers deliver."""

    concurrency: int = 1
    is_transactional: bool = False
    is_pruned: bool = False
    """The log is kept for a second only."""

    def __str__(self) -> str:
        words = [f"{self.concurrency} side by side"] if self.concurrency > 1 else []
        words += ["transactional"] if self.is_transactional else []
        words += ["pruned"] if self.is_pruned else []
        return ", ".join(words) or "one by one"

    def worker(self, url: str, deliveries: Deliveries) -> WorkerProcess:
        """Runs when it returns, and delivers: at its first connection a worker is meant to give up at once."""
        settings: dict[str, object] = {"PG_EVENTS_LEASE_SECONDS": LEASE_SECONDS}
        if self.concurrency > 1:
            settings |= {
                "PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:side_by_side",
                "PG_EVENTS_CONCURRENCY": self.concurrency,
            }
        if self.is_transactional:
            settings |= {"PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:copying", "PG_EVENTS_TRANSACTIONAL": True}
        environment: dict[str, str] = {}
        if self.is_pruned:
            settings["PG_EVENTS_RETENTION"] = "1s"
            environment["FAULTS_HOUSEKEEPING_SECONDS"] = str(HOUSEKEEPING_SECONDS)
        return WorkerProcess(url, deliveries, "default", "--verbose", environment=environment, **settings).ready()

    @contextmanager
    def shop(self, server: Server, name: str) -> Iterator[tuple[str, Deliveries]]:
        """A database with covered accounts, and what is delivered of it."""
        url = server.create_database(name)
        execute(url, "create table copied (number bigserial primary key, event bigint, key integer, sequence integer)")
        build(url, Settings(url, exclude=UNCOVERED))
        make_accounts(url)
        execute(url, "create table ballast (number integer)")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "deliveries"
            yield url, Copies(path, url) if self.is_transactional else Deliveries(path)


def build(url: str, settings: Settings) -> None:
    with connect(url, application_name="test") as connection:
        plan = make_plan(connection, settings)
    assert not (done := apply(url, plan)).failed, done.failed
