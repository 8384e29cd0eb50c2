"""`worker`: deliver events to callbacks until it is stopped."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Final

from pg_events.cli import INTERRUPTED
from pg_events.cli.log import ending_told, set_up_log, tell
from pg_events.cli.terminal import configure, is_terminal
from pg_events.config.fields import address
from pg_events.config.settings import Settings, load
from pg_events.db.connection import describe
from pg_events.delivery.attempts import CallbackGaveUp
from pg_events.delivery.loops import mark_process
from pg_events.delivery.shares import NEWEST, OLDEST, Start, start_at, start_since
from pg_events.delivery.worker import Worker
from pg_events.errors import UsageError
from pg_events.filter.times import moment
from pg_events.text import clean

log = logging.getLogger("pg_events.delivery.worker")

_WATCH_SECONDS: Final = 1.0
"""Interval at which a thread checks the worker for a stall."""


@ending_told()
def worker(
    settings: str | None,
    database_url: str | None,
    name: str,
    once: bool,
    start: str,
    isolate: bool,
    metrics: str | None,
    log_format: str | None,
    verbose: bool,
) -> int:
    """Call your functions with every change, in order, at least once."""
    set_up_log(verbose, log_format or "text")
    if not name.strip():
        raise UsageError("--name is empty")
    mark_process(name)  # before the settings import callbacks, which may connect immediately
    chosen = load(settings, database_url)
    chosen = replace(chosen, isolate=chosen.isolate or isolate)
    set_up_log(verbose, log_format or chosen.log_format, chosen.database_url or "", {"consumer": clean(name)})

    def ready() -> None:
        log.info("consumer %s: delivering from %s", name, describe(chosen.database_url or ""))

    one = Worker(chosen, name, start=_start(start), on_ready=ready)
    configure(sys.stdout, line_buffering=True)  # output of callbacks appears at once, even in a pipe
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        one.stop()
        if len(received) > 1:
            raise KeyboardInterrupt
        if number == signal.SIGINT and is_terminal(sys.stderr):
            # Not with print(): the signal may interrupt one.
            os.write(2, b"\nfinishing the event in hand; once more to stop at once\n")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        with _exposed(one, chosen, metrics), _stalls_told(one):
            report = one.run(once=once)
    except CallbackGaveUp as error:
        tell(str(error), logging.ERROR)
        report = one.report
        report.failed += 1
    more = "".join(
        f", {name} {count:,}" for name in ("held", "discarded", "postponed") if (count := getattr(report, name))
    )
    tell(
        f"delivered {report.delivered:,}, failed {report.failed:,}, retried {report.retried:,}{more}",
        **{
            field: getattr(report, field)
            for field in ("delivered", "failed", "retried", "held", "discarded", "postponed")
        },
    )
    if one.last_failure is not None and report.failed + report.retried:
        tell(f"the last failure: {one.last_failure}", error=one.last_failure)
    if signal.SIGINT in received:
        return INTERRUPTED
    return 1 if report.failed else 0


@contextmanager
def _exposed(one: Worker, chosen: Settings, metrics: str | None) -> Generator[None]:
    """Serve the worker's metrics during the block, if requested."""
    try:
        wanted = chosen.metrics if metrics is None else address(metrics)
    except UsageError as error:
        raise UsageError(f"--metrics must be {error}") from None
    if wanted is None:
        yield
        return
    try:
        from pg_events.delivery.metrics import exposed
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise UsageError('metrics need an extra package: pip install "pg_events[metrics]"') from error
    assert chosen.database_url is not None
    with exposed(one, chosen.database_url, wanted) as found:
        log.info("metrics on http://%s/metrics, health on /healthz", found)
        yield


@contextmanager
def _stalls_told(one: Worker) -> Generator[None]:
    """Log, during the block, when no event has been finished for long, and when delivery resumes."""
    ended = threading.Event()

    def watch() -> None:
        before: str | None = None
        while not ended.wait(_WATCH_SECONDS):
            now = one.stalled()
            if now and not before:
                log.warning("consumer %s: %s", one.name, now)
            elif before and not now and one.disconnected_reason is None:
                log.info("consumer %s: resumed", one.name)
            before = now

    threading.Thread(target=watch, name="pg_events stalls", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _start(text: str) -> Start:
    if text in ("newest", "oldest"):
        return NEWEST if text == "newest" else OLDEST
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return start_at(int(text))
    try:
        return start_since(moment(text))
    except ValueError:
        raise UsageError(
            f"--from {clean(text)!r} is not a valid start; pass newest, oldest, an event's id, or a time: "
            "5m, 14:00, 2026-08-22 or 2026-08-22T14:00"
        ) from None
