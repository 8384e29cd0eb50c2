"""Runs all parts on one machine: a server, a shop with live traffic, a worker, and a console."""

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Final, LiteralString, cast

from pg_events.config.settings import Settings, load
from pg_events.db.connection import connect
from pg_events.delivery.worker import Worker
from pg_events.demo import callbacks
from pg_events.demo.callbacks import Delivery
from pg_events.demo.ledger import Ledger
from pg_events.demo.server import Server, any_binaries
from pg_events.demo.traffic import Traffic
from pg_events.errors import PgEventsError
from pg_events.log.listener import Cursor, Listener
from pg_events.triggers import build

CONSUMER: Final = "demo"
_START_SECONDS: Final = 30.0
_DRAIN_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Latency:
    """Time from the confirmed commit to the call of the callback, in milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Summary:
    """Counts of a demo. `missing` and `duplicates` are counted against the writers' own ledger."""

    seconds: float
    writes: int
    """Rows that the writers know to be committed."""
    captured: int
    """Data events in the log."""
    delivered: int
    """Calls of the callback."""
    missing: int
    duplicates: int
    latency_ms: Latency

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class Demo:
    """Running demo."""

    settings: Settings
    traffic: Traffic
    worker: Worker
    started: float

    def finish(self) -> Summary:
        """Stop the traffic, let the worker deliver the rest, and count."""
        self.traffic.stop()
        seconds = time.monotonic() - self.started
        _wait_until_delivered(self.settings)
        self.worker.stop()
        assert self.settings.database_url is not None
        with connect(self.settings.database_url, application_name="pg_events demo") as connection:
            row = connection.execute("select count(*) from pgevents.log where kind <> 'S'").fetchone()
        assert row is not None
        ledger = self.traffic.ledger
        delivered = list(callbacks.deliveries)
        verdict = ledger.count_delivered([delivery[:4] for delivery in delivered])
        return Summary(
            round(seconds, 1),
            ledger.writes,
            row[0],
            len(delivered),
            verdict.missing + verdict.unexpected,
            verdict.duplicates,
            _latency(delivered, ledger),
        )


@contextmanager
def running(rate: float, seed: int | None = None) -> Generator[Demo]:
    """Run a demo during the block; removes everything afterwards.

    Raises `UsageError` if the extra `demo` is not installed.
    """
    callbacks.deliveries.clear()
    with Server(any_binaries()) as server:
        url = server.create_database("shop")
        settings = load("pg_events.demo.settings", url)
        with connect(url, application_name="pg_events demo") as connection:
            connection.execute(cast("LiteralString", files(__package__ or "").joinpath("shop.sql").read_text("utf-8")))
            plan = build.make_plan(connection, settings)
        applied = build.apply(url, plan)
        if applied.failed:
            raise PgEventsError(f"the build failed: {applied.failed[0][1]}")
        with _delivering(settings) as worker:
            traffic = Traffic(url, rate=rate, seed=seed)
            started = time.monotonic()
            traffic.start()
            try:
                yield Demo(settings, traffic, worker, started)
            finally:
                traffic.stop()


@contextmanager
def _delivering(settings: Settings) -> Generator[Worker]:
    """Worker in a separate thread, ready when the block begins."""
    ready = threading.Event()
    failures: list[Exception] = []
    worker = Worker(settings, CONSUMER, on_ready=ready.set)

    def run() -> None:
        try:
            worker.run()
        except Exception as error:  # noqa: BLE001 - raised in the waiting thread
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="worker", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_SECONDS) or failures:
            raise PgEventsError("the worker did not start") from (failures[0] if failures else None)
        yield worker
    finally:
        worker.stop()
        thread.join()


def _wait_until_delivered(settings: Settings) -> None:
    """Wait until the worker's saved cursor has passed everything that is visible now."""
    assert settings.database_url is not None
    with Listener(settings.database_url) as listener:
        deadline = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < deadline:
            row = listener.connection.execute(
                "select snapshot::text, window_end::text, position from pgevents.share where consumer = %s", [CONSUMER]
            ).fetchone()
            assert row is not None
            listener.cursor = Cursor(*row)
            if not listener.poll():
                return
            listener.wait(0.1)
    raise PgEventsError(f"the worker did not deliver everything within {_DRAIN_SECONDS:.0f} s")


def _latency(delivered: Sequence[Delivery], ledger: Ledger) -> Latency:
    committed_at = ledger.committed_at()
    milliseconds = sorted(
        max(0.0, delivery.at - committed_at[delivery.xid]) * 1000
        for delivery in delivered
        if delivery.xid in committed_at
    )
    if not milliseconds:
        return Latency(0.0, 0.0)
    return Latency(
        *(round(milliseconds[min(int(len(milliseconds) * q), len(milliseconds) - 1)], 1) for q in (0.5, 0.99))
    )
