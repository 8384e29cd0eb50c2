"""Events into callbacks: deliver in order, retry, keep what failed, save the cursor.

At least once: the cursor is saved after the callbacks returned. A worker that dies between the two delivers those
events again, with the same ids, when it or another one takes the cursor up.
"""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg import RawCursor

from pg_events import sql
from pg_events.callbacks import Callback, Failure, describe_failure, is_failure
from pg_events.connection import translate
from pg_events.errors import CursorTaken, DatabaseUnreachable, UsageError
from pg_events.event import SCHEMA, Record
from pg_events.isolation import ready
from pg_events.listener import EVERYTHING, Cursor, Listener
from pg_events.settings import Settings
from pg_events.text import one_line

log = logging.getLogger(__name__)

LEASE_SECONDS: Final = 60.0
"""How long a worker that says nothing keeps its consumer's cursor, when its connection still looks alive."""
_SAVE_SECONDS: Final = 0.5
"""Slow callbacks: the cursor is saved within a page this often, so that a crash repeats little."""


@dataclass
class Report:
    """What a worker did so far."""

    delivered: int = 0
    """Events whose callback returned."""
    failed: int = 0
    """Events kept as failed."""
    retried: int = 0
    """Attempts that failed and were made again."""
    reconnects: int = 0


@dataclass
class _Unsaved:
    """What was done since the cursor was saved last."""

    delivered: int = 0
    failures: list[tuple[Record, int, Failure]] = field(default_factory=list[tuple[Record, int, Failure]])


class Worker:
    """Delivers a consumer's events to the settings' callbacks. `run()` blocks; `stop()` may come from anywhere.

    Callbacks run one at a time, in order, in the thread of `run()`.
    """

    def __init__(
        self,
        settings: Settings,
        name: str = "default",
        *,
        from_oldest: bool = False,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """`name` is the consumer's. One that is new starts after what is visible now, or with `from_oldest` at the
        oldest event that is kept. `on_ready` is called once the cursor is held.

        Raises `UsageError` when a callback cannot be used, or there is none.
        """
        if settings.database_url is None:
            raise UsageError("no database: give --database-url or set PG_EVENTS_DATABASE_URL")
        self.name = name
        self.report = Report()
        self._settings = settings
        self._callbacks = _callbacks(settings)
        self._from_oldest = from_oldest
        self._on_ready = on_ready
        self._stopping = threading.Event()
        self._listener = Listener(
            settings.database_url,
            application_name=f"pg_events worker {name}",
            asks_to_be_woken=True,
            wake_up=settings.wake_up,
            link_seconds=settings.link_seconds,
        )
        self._token: int | None = None
        self._position = self._saved = Cursor("")
        self._unsaved = _Unsaved()
        self._saved_at = 0.0

    def stop(self) -> None:
        """Finish the event in hand, save, and return from `run()`. Safe in a signal handler and from other threads."""
        self._stopping.set()

    def run(self, once: bool = False) -> Report:
        """Deliver until `stop()`; with `once` until nothing is new.

        A link that is lost later is taken up again for ever, with growing pauses; at the first connection it raises:
        `DatabaseUnreachable`, `NotInstalled`, `NotPermitted`, `ForeignCursor`.
        """
        try:
            self._listener.connect()
            self._take_cursor()
            while not self._stopping.is_set():
                try:
                    page = self._listener.poll()
                    self._deliver(page)
                    if page:
                        continue
                    if once:
                        break
                    self._keep_lease()
                    self._listener.wait(1.0)
                except DatabaseUnreachable as error:
                    self._reconnect(error)
                except CursorTaken:
                    log.warning("consumer %s: another worker has taken over", self.name)
                    self._take_cursor()
            self._release()
        finally:
            self._listener.close()
            for callback in self._callbacks.values():
                callback.close()
        return self.report

    # --- delivering ---------------------------------------------------------------------------------------------

    def _deliver(self, page: Sequence[Record]) -> None:
        """Hand a page to the callbacks, in order, saving the cursor on the way when they are slow."""
        for record in page:
            if self._stopping.is_set():
                break
            callback = self._callbacks.get(record.kind == SCHEMA)
            try:
                if callback is None:
                    pass  # nobody asked for events of this kind
                elif (failure := self._call(callback, record)) is None:
                    self.report.delivered += 1
                    self._unsaved.delivered += 1
                else:
                    self.report.failed += 1
                    self._unsaved.failures.append((record, self._settings.max_attempts, failure))
            except _Stopped:
                break
            self._position = self._listener.cursor_after(record)
            if time.monotonic() - self._saved_at > _SAVE_SECONDS:
                self._save()
        else:
            if page:
                self._position = self._listener.cursor
        if page:
            self._save()

    def _call(self, callback: Callback, record: Record) -> Failure | None:
        """Call until it returns or the attempts are used up; the last failure, or None."""
        payload = record.payload
        attempt = 1
        while (failure := _attempt(callback, payload, attempt)) is not None and attempt < self._settings.max_attempts:
            self.report.retried += 1
            pause = self._settings.retry_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            log.debug("%s failed on event %d (%s), again in %.1f s", callback.name, record.id, failure.type, pause)
            if self._stopping.wait(pause):
                raise _Stopped
            attempt += 1
        if failure is not None:
            what = f"{failure.type}: {one_line(failure.message)}"
            log.error(
                "%s failed %d times on event %d of %s: %s; kept as failed",
                callback.name, attempt, record.id, record.table_name, what, extra={"traceback": failure.traceback},
            )  # fmt: skip
        return failure

    # --- the cursor ---------------------------------------------------------------------------------------------

    def _take_cursor(self) -> None:
        """Hold the consumer's cursor, waiting for as long as another worker has it."""
        told = False
        while (row := self._try_to_take()) is None:
            if not told:
                log.info("consumer %s has a worker; standing by", self.name)
                told = True
            if self._stopping.wait(1.0):
                return
        token, saved = row[0], Cursor(row[1], row[2], row[3])
        if self._saved != saved:
            # A first start, or somebody else has delivered in the meantime: what is saved counts.
            self._saved = self._position = saved
            self._unsaved = _Unsaved()
        self._token = token
        self._listener.cursor = self._position
        self._saved_at = time.monotonic()
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    def _try_to_take(self) -> tuple[int, str, str | None, int] | None:
        try:
            with RawCursor(self._listener.connection) as cursor:
                start = EVERYTHING if self._from_oldest else None
                if cursor.execute(sql.text("consumer_create.sql"), (self.name, start)).fetchone() is not None:
                    where = "at the oldest event" if self._from_oldest else "after the newest event"
                    log.info("consumer %s is new: it starts %s", self.name, where)
                return cursor.execute(sql.text("consumer_take.sql"), (self.name, _holder(), LEASE_SECONDS)).fetchone()
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error

    def _save(self) -> None:
        """Save the cursor, and what failed before it, in one transaction. Raises `CursorTaken`."""
        unsaved = self._unsaved
        values = (
            self.name, self._token, *self._position, unsaved.delivered, len(unsaved.failures), LEASE_SECONDS,
        )  # fmt: skip
        try:
            connection = self._listener.connection
            with connection.transaction() if unsaved.failures else nullcontext(), RawCursor(connection) as cursor:
                if cursor.execute(sql.text("consumer_save.sql"), values).fetchone() is None:
                    raise CursorTaken(f"consumer {self.name} was taken over by another worker")
                for record, attempts, failure in unsaved.failures:
                    error = f"{failure.type}: {failure.message}"
                    cursor.execute(
                        sql.text("failed_keep.sql"),
                        (self.name, record.id, record.payload, attempts, error, failure.traceback),
                    )
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        self._unsaved = _Unsaved()
        self._saved = self._position
        self._saved_at = time.monotonic()

    def _keep_lease(self) -> None:
        """Idle: run the lease on, and the cursor with it, now and then."""
        if time.monotonic() - self._saved_at > LEASE_SECONDS / 4:
            self._position = self._listener.cursor
            self._save()

    def _release(self) -> None:
        """Give the cursor back, for the next worker and for `status`. When that fails the lease just runs out."""
        try:
            with RawCursor(self._listener.connection) as cursor:
                cursor.execute(sql.text("consumer_release.sql"), (self.name, self._token))
        except (psycopg.Error, DatabaseUnreachable) as error:
            log.debug("consumer %s: its lease could not be given back: %s", self.name, error)

    def _reconnect(self, error: DatabaseUnreachable) -> None:
        """Take the link up again, for ever. What was delivered and could not be saved is not delivered again, unless
        another worker had the cursor in between."""
        log.warning("%s; reconnecting", error)
        self._listener.close()
        pause = 0.1
        while not self._stopping.is_set():
            try:
                self._listener.connect()
                self._take_cursor()
            except DatabaseUnreachable as again:
                log.debug("%s", again)
                self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, 10.0)
            else:
                self.report.reconnects += 1
                log.info("connected again")
                return


class _Stopped(Exception):
    """`stop()` came between two attempts: the event is delivered again by the next worker."""


def _attempt(callback: Callback, payload: str, number: int) -> Failure | None:
    try:
        callback(payload, attempt=number)
    except BaseException as error:  # a callback's SystemExit is its failure, see is_failure()
        if not is_failure(error):
            raise
        return describe_failure(error)
    return None


def _callbacks(settings: Settings) -> Mapping[bool, Callback]:
    found = ready(settings)
    if not found:
        raise UsageError(
            f"{settings.source or 'the settings'}: neither PG_EVENTS_DATA_UPDATE_CALLBACK nor "
            "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK is set; a worker needs at least one, for example 'my_module.function'"
        )
    return found


def _holder() -> str:
    """What people call this worker."""
    return f"{socket.gethostname()}:{os.getpid()}"
