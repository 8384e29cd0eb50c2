"""Metrics of a worker, for Prometheus.

The worker counts anyway; its counts are read on each scrape. Only the duration of callbacks is measured per call, if
metrics are enabled. Values from the database are queried periodically, on a separate connection. Labels are the consumer
and its one or two callbacks, but not tables: some databases have many, and the log lines of failures name them.
"""

import inspect
import logging
import platform
import threading
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final, cast

import psycopg
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from psycopg.sql import SQL, Literal

from pg_events import __version__, sql
from pg_events.callbacks.callback import Callback
from pg_events.config.fields import Address
from pg_events.db import session
from pg_events.db.connection import connect
from pg_events.db.link import Link
from pg_events.delivery.metrics_server import serving
from pg_events.delivery.worker import Worker
from pg_events.errors import PgEventsError
from pg_events.text import clean

log = logging.getLogger(__name__)

BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)
"""Upper bounds, in seconds, of the buckets for durations of callbacks."""
_SAMPLE_SECONDS: Final = 10.0
"""Minimum interval between queries of the database."""
_SAMPLE_PART: Final = 0.02
"""Maximum fraction of the time spent on queries, when a worker is far behind and counting is slow."""
_SILENCE_SECONDS: Final = 20.0


# --- callbacks ----------------------------------------------------------------------------------------------------


@dataclass
class Durations:
    """Durations of the calls of one callback. One thread adds to it, others read."""

    calls: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """Number of calls per bucket of `BOUNDS`; the last bucket has the longer ones."""
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.calls[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Stopwatch:
    """Measures the duration of callbacks."""

    def __init__(self) -> None:
        self.durations: dict[str, Durations] = {}
        """Durations by name of the callback."""

    def around(self, callback: Callback) -> Callback:
        """Wrap the callback so that its calls are measured."""
        durations = self.durations.setdefault(callback.name, Durations())
        return replace(callback, function=_timed(callback.function, durations))


def _timed(function: Callable[..., object], durations: Durations) -> Callable[..., object]:
    add, clock = durations.add, time.perf_counter

    def call(payload: str, **given: object) -> object:
        begin = clock()
        try:
            result = function(payload, **given)
            if result is not None and inspect.isawaitable(result):
                return _until_done(cast("Awaitable[object]", result), durations)
        except BaseException:  # measured whatever it raises, and raised again
            add(clock() - begin)
            raise
        add(clock() - begin)
        return result

    return call


async def _until_done(awaitable: Awaitable[object], durations: Durations) -> object:
    begin = time.perf_counter()
    try:
        return await awaitable
    finally:
        durations.add(time.perf_counter() - begin)


# --- the database -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Values from the database, in the order of `metrics.sql`."""

    behind_events: int
    behind_seconds: float
    failed: int
    held: int
    log_bytes: int
    log_rows: int | None


class Sampler:
    """Queries the database periodically, from a separate thread."""

    def __init__(self, database_url: str, consumer: str) -> None:
        self.latest: Sample | None = None
        """Last sample; None if the last query failed, because an old one would look healthy."""
        self._database_url = database_url
        self._consumer = consumer
        self._link: Link | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pg_events sampler", daemon=True)

    @contextmanager
    def running(self) -> Generator[None]:
        """Query periodically during the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join(1.0)

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            begin = time.monotonic()
            self.sample()
            pause = max(_SAMPLE_SECONDS, (time.monotonic() - begin) / _SAMPLE_PART)
        self.close()

    def sample(self) -> None:
        """Query once and keep the sample; reconnects if the connection was lost."""
        had_link = self._link is not None
        self.latest = self._asked() or (self._asked() if had_link and self._link is None else None)

    def _asked(self) -> Sample | None:
        question = SQL(sql.text("metrics.sql")).format(
            consumers=SQL(sql.text("consumers.sql")), name=Literal(self._consumer)
        )
        try:
            if self._link is None:
                self._link = connect(
                    self._database_url,
                    application_name=f"pg_events metrics {self._consumer}",
                    silence_seconds=_SILENCE_SECONDS,
                )
                session.settle(self._link)  # no sequential scan of the log, whatever the statistics say
            row = self._link.execute(question).fetchone()
        except (PgEventsError, psycopg.Error) as error:
            log.debug("metrics: could not query the database: %s", error)
            self.close()
            return None
        return None if row is None else Sample(*row)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._link is not None:
            self._link.close()
            self._link = None


# --- all of it ----------------------------------------------------------------------------------------------------


class WorkerMetrics(Collector):
    """Collector of the current metrics of a worker."""

    def __init__(self, worker: Worker, stopwatch: Stopwatch, sampler: Sampler) -> None:
        self._worker = worker
        self._stopwatch = stopwatch
        self._sampler = sampler
        self._consumer = clean(worker.name)

    def collect(self) -> Iterator[Metric]:
        yield from self._counts()
        yield from self._state()
        if self._sampler.latest is not None:
            yield from self._sampled(self._sampler.latest)
        about = {"version": __version__, "python_version": platform.python_version()}
        yield InfoMetricFamily("pg_events_build", "Running release.", about)

    def _counts(self) -> Iterator[Metric]:
        report = self._worker.report
        for name, value, words in (
            ("delivered", report.delivered, "Events whose callback returned."),
            ("failed", report.failed, "Events whose callback gave up."),
            ("retried", report.retried, "Failed calls that were retried."),
            ("held", report.held, "Events blocked because an earlier one of their row failed."),
            ("discarded", report.discarded, "Events that the callback discarded."),
            ("postponed", report.postponed, "Calls that asked to be made again later (RetryAfter)."),
            ("reconnects", report.reconnects, "Reconnects after a lost connection to the server."),
        ):
            yield self._one(CounterMetricFamily, name, words, value)
        batches = SummaryMetricFamily("pg_events_batch_events", "Events per page read.", labels=["consumer"])
        batches.add_metric([self._consumer], report.batches, report.read)
        yield batches
        calls = HistogramMetricFamily(
            "pg_events_callback_duration_seconds",
            "Duration of callbacks, including failed calls.",
            labels=["consumer", "callback"],
        )
        for callback, durations in self._stopwatch.durations.items():
            classes = zip((*map(str, BOUNDS), "+Inf"), map(float, accumulate(durations.calls)), strict=True)
            calls.add_metric([self._consumer, clean(callback)], [*classes], durations.seconds)
        yield calls

    def _state(self) -> Iterator[Metric]:
        worker = self._worker
        moved_at = time.time() - (time.monotonic() - worker.moved_at)
        for name, value, words in (
            ("connected", worker.disconnected_reason is None, "1 if the worker is connected to the server."),
            ("paused", worker.is_paused, "1 if the consumer is paused (pg_events consumers resume)."),
            ("share_ratio", worker.share, "Part of the consumer's rows that this worker delivers."),
            (
                "last_progress_timestamp_seconds",
                moved_at,
                "Time when the last event was finished, or the worker was idle.",
            ),
        ):
            yield self._one(GaugeMetricFamily, name, words, value)

    def _sampled(self, sample: Sample) -> Iterator[Metric]:
        for name, value, words in (
            ("behind_events", sample.behind_events, "Events waiting to be delivered."),
            ("lag_seconds", sample.behind_seconds, "Age of the oldest waiting event; 0 if there is none."),
        ):
            yield self._one(GaugeMetricFamily, name, words, value)
        kept = GaugeMetricFamily(
            "pg_events_kept_events",
            "Failed events, and events blocked by them.",
            labels=["consumer", "state"],
        )
        kept.add_metric([self._consumer, "failed"], sample.failed)
        kept.add_metric([self._consumer, "held"], sample.held)
        yield kept
        yield GaugeMetricFamily(
            "pg_events_log_bytes", "Size of the log on the server's disk, with indexes.", sample.log_bytes
        )
        if sample.log_rows is not None:
            yield GaugeMetricFamily(
                "pg_events_log_rows",
                "Estimated rows of the log; one holds up to a hundred events of a statement.",
                sample.log_rows,
            )

    def _one(self, kind: Any, name: str, words: str, value: float) -> Metric:
        metric = kind(f"pg_events_{name}", words, labels=["consumer"])
        metric.add_metric([self._consumer], value)
        return metric


@contextmanager
def exposed(worker: Worker, database_url: str, wanted: Address) -> Generator[Address]:
    """Serve the metrics and the health of a worker during the block; yields the address.

    The worker must not run yet. Raises `UsageError` if the address cannot be used.
    """
    stopwatch, sampler = Stopwatch(), Sampler(database_url, worker.name)
    worker.wrap(stopwatch.around)
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(worker, stopwatch, sampler))
    ProcessCollector(registry=registry)
    with (
        serving(wanted, registry, worker.trouble, lambda: "paused" if worker.is_paused else "ok") as address,
        sampler.running(),
    ):
        yield address
