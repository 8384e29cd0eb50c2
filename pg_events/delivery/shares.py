"""Division of work: the shares of a consumer's rows that a worker holds, kept in the database and by its clock.

A row of a table belongs to one of 64 slots, by the hash of its key, and each slot to one share, which has a cursor. A
single worker holds one share with all slots, at the cost of one row to update. When a second worker joins, the first
splits off half of its slots as a share with the same cursor, which the second takes. Shares of one worker whose cursors
have met are merged.

A worker is registered under an id, a new one for each connection. It keeps its shares while its lease is valid and its
connection lives; after that any other worker of the consumer may expire it and take them. Every statement on a share
names the id, so that a save by an expired worker changes nothing.
"""

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from pg_events import sql
from pg_events.callbacks.callback import Failure
from pg_events.db.connection import translate
from pg_events.db.link import RawCursor
from pg_events.delivery.row_key import SLOTS, RowKeys, slot_of
from pg_events.delivery.share import KeptEvent, Share, age
from pg_events.errors import CursorTaken, DatabaseUnreachable, ForeignCursor
from pg_events.log.listener import EVERYTHING, Cursor, Listener

log = logging.getLogger(__name__)


class Start(NamedTuple):
    """Start position of a new consumer. Default: after everything visible at that time."""

    words: str = "after the newest event"
    snapshot: str | None = None
    """Start after everything visible in this `pg_snapshot`."""
    has_window: bool = False
    """True if the events up to now are a window of their own, from which some are excluded."""
    position: int = 0
    """Exclude events of the window up to this id."""
    since: datetime | None = None
    """Exclude events of the window before the first one since this time."""


NEWEST: Final = Start()
OLDEST: Final = Start("at the oldest event", EVERYTHING)


def start_at(event_id: int) -> Start:
    """Start at the event, or the next kept one. Events committed later with a lower id are delivered, too."""
    return Start(f"at event {event_id}", EVERYTHING, True, event_id - 1)


def start_since(moment: datetime) -> Start:
    """Start at the first event since this time. All following events are delivered, even those of older statements."""
    return Start(f"at the first event since {moment.astimezone():%Y-%m-%d %H:%M:%S}", EVERYTHING, True, 0, moment)


class Redelivery(NamedTuple):
    """Kept event that is to be delivered now."""

    event_id: int
    payload: str
    attempts: int
    is_again: bool
    """True if a user retries a failed event; False if the event was blocked and no longer is."""


class Shares:
    """Shares of one worker. Used by one thread; its own thread renews the lease."""

    def __init__(self, listener: Listener, consumer: str, start: Start, *, lease_seconds: float) -> None:
        self.consumer = consumer
        self.keys = RowKeys(self.ask, consumer)
        self.held: list[Share] = []
        self.blocked_rows: set[str] = set()
        """Keys of blocked rows."""
        self.any_redelivery = False
        """True if the last poll found kept events to deliver."""
        self._is_paused = False
        self._listener = listener
        self._start = start
        self._is_known = False
        """True if the worker joined before, so that `start` was logged if necessary."""
        self._lease_seconds = lease_seconds
        self._made_at: datetime | None = None
        """Time when this worker created the consumer, if it started at the newest event."""
        self._worker: int | None = None
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="pg_events lease", daemon=True)

    def ask(
        self, question: str, parameters: Sequence[object], connection: psycopg.Connection | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows of a packaged query, on the listener's connection or `connection`. Raises `DatabaseUnreachable`."""
        try:
            with RawCursor(self._listener.connection if connection is None else connection) as cursor:
                cursor.execute(sql.text(question), parameters)
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error

    @property
    def is_known(self) -> bool:
        """True if this worker was not expired by another, as of the last poll."""
        return self._worker is not None

    @property
    def is_paused(self) -> bool:
        """True if the consumer is paused, as of the last poll."""
        return self._is_paused

    def poll_paused(self) -> bool:
        """Ask whether the consumer is paused; while disconnected, nothing changes."""
        with suppress(DatabaseUnreachable):
            rows = self.ask("consumer_is_paused.sql", (self.consumer,))
            self._is_paused = bool(rows) and rows[0][0]
        return self._is_paused

    def reserve_calls(self, seconds: float) -> float:
        """Reserve a time for calls of this consumer; return the seconds until it begins. See `RateLimit`."""
        rows = self.ask("consumer_reserve.sql", (self.consumer, seconds))
        return rows[0][0] if rows else 0.0

    def is_first(self) -> bool:
        """True if no worker of any consumer has been running longer; False if disconnected. For other threads."""
        try:
            return self._worker is not None and self.ask("worker_is_first.sql", (self._worker,))[0][0]
        except DatabaseUnreachable:
            return False

    # --- joining and leaving ------------------------------------------------------------------------------------

    def join(self, *, reload: bool = False, is_reconnect: bool = False) -> None:
        """Register as a worker of the consumer, again after a reconnect; create the consumer if it is missing.

        Shares that no other worker took are kept, and events that were delivered but not saved are not delivered
        again; with `reload` they were undone, and the saved state counts. After a reconnect, possibly to another server,
        a consumer that is missing there starts where it was created.
        """
        # A promoted standby may lack a consumer that was just created. Its newest event would now be too late, and
        # snapshots of the old primary are meaningless there.
        if self.ask("origin.sql", ())[0][0]:
            raise ForeignCursor(
                "this database is a copy of another one in this cluster, whose workers deliver the events waiting here; "
                "remedy: pg_events build, which drops the copied consumers; new ones start at the newest event"
            )
        start = start_since(self._made_at) if is_reconnect and self._made_at is not None else self._start
        made = self.ask("consumer_create.sql", (self.consumer, *start[1:]))
        if not made and not is_reconnect and not self._is_known and self._start != NEWEST:
            log.warning(
                "consumer %s exists and resumes where it stopped; --from applies to new consumers (see pg_events consumers drop)",
                self.consumer,
            )
        self._is_known = True
        for _, made_at in made:
            log.info("consumer %s is new; starting %s", self.consumer, start.words)
            self._made_at = made_at if self._start == NEWEST else None
        name = f"{socket.gethostname()}:{os.getpid()}"
        # Behind a pooler the server connection is not the worker's: its end proves nothing.
        values = (self.consumer, name, self._lease_seconds, not self._listener.is_shared, self._worker)
        self._worker = self.ask("worker_register.sql", values)[0][0]
        known = {} if reload else {share.id: share for share in self.held}
        saved = [_share(row) for row in self.ask("shares_held.sql", (self._worker,))]
        # A promoted standby may have lost the last save, and reuses ids: then nothing is known of the next events.
        unmoved = {share.id for share in saved if share.id in known and known[share.id].saved_cursor == share.cursor}
        self.held = [known[share.id].return_to(share) if share.id in unmoved else share for share in saved]
        if any(share.is_whole and not share.kept for share in self.held):
            self._forget_keys()
        self.learn_blocked_rows()
        if not self._renewing.is_alive():
            self._renewing.start()

    def leave(self) -> None:
        """Release all shares. If that fails, the lease expires."""
        self._ended.set()
        if self._worker is None:
            return
        try:
            self.ask("worker_leave.sql", (self._worker,))
        except DatabaseUnreachable as error:
            log.debug("consumer %s: could not release its shares: %s", self.consumer, error)

    def close(self) -> None:
        """End the thread that renews the lease."""
        self._ended.set()
        if self._renewing.is_alive():
            self._renewing.join(5.0)

    def _renew(self) -> None:
        """Renew the lease from a separate thread, so that a callback may take any time."""
        while not self._ended.wait(self._lease_seconds / 4):
            try:
                self.ask("worker_renew.sql", (self._worker, self._lease_seconds))
            except Exception as error:  # noqa: BLE001 - the main thread meets the same error and reconnects
                log.debug("consumer %s: could not renew the lease: %s", self.consumer, error)

    # --- dividing the work --------------------------------------------------------------------------------------

    def look(self, before: Callable[[], None] = lambda: None) -> None:
        """Look for other workers; take free shares, and split off surplus ones. Call it between two events.

        `before` is called when the shares are about to change.
        """
        slots = sorted(slot for share in self.held for slot in share.slots)
        is_known, running, earlier, known, any_free, any_kept, self._is_paused = self.ask(
            "worker_look.sql", (self.consumer, self._worker, slots)
        )[0]
        # Most kept events may be blocked by others: live events must not wait for them.
        self.any_redelivery = any_kept and any(map(self.redeliveries, self.held))
        if not is_known:
            self.held.clear()
            self._worker = None
            raise CursorTaken(f"consumer {self.consumer}: this worker was expired by another one")
        if known > running:
            self.ask("worker_bury.sql", (self.consumer,))
            any_free = True
        # The earliest workers get the remainder.
        each, left = divmod(SLOTS, max(running, 1))
        quota = each + (earlier < left)
        if len(slots) > quota:
            before()
            self._part(len(slots) - quota, max(quota, 1))
        elif any_free and len(slots) < quota:
            before()
            self._take(quota - len(slots))

    def _take(self, missing: int) -> None:
        taken: list[Share] = []
        while missing > 0 and (rows := self.ask("share_take.sql", (self.consumer, self._worker))):
            taken.append(_share(rows[0]))
            missing -= len(taken[-1].slots)
        if taken:
            if not self.held:
                self.keys.forget()
            self.held += taken
            self.learn_blocked_rows()
            log.debug("consumer %s: took %d of %d parts", self.consumer, sum(len(s.slots) for s in taken), SLOTS)

    def _part(self, surplus: int, each: int) -> None:
        """Split slots from the largest share into free shares for other workers."""
        share = max(self.held, key=lambda share: len(share.slots))
        slots = sorted(share.slots)[-min(surplus, len(share.slots) - 1) :]
        if not slots:
            return
        if share.cursor != share.saved_cursor:
            self.save(share)
        try:
            with self._listener.connection.transaction():
                if share.is_whole:
                    self._forget_keys()
                for first in range(0, len(slots), each):
                    part = slots[first : first + each]
                    self._require(self.ask("share_part.sql", (share.id, self._worker, part)), share)
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        share.release(slots)
        log.debug("consumer %s: released %d of %d parts for another worker", self.consumer, len(slots), SLOTS)

    def _forget_keys(self) -> None:
        """Read the key columns again; safe because this worker holds all rows and none is in flight."""
        self.keys.forget()
        self.ask("row_keys_forget.sql", (self.consumer,))

    def furthest_behind(self) -> Share | None:
        """Share to deliver next; None if none is held.

        With several shares, it is read only up to the cursor of the next one, where they are merged.
        """
        self.held.sort(key=lambda share: share.progress)
        while len(self.held) > 1 and self.held[0].cursor == self.held[1].cursor:
            self._join(self.held[0], self.held[1])
        if not self.held:
            return None
        share = self.held[0]
        if len(self.held) > 1 and share.cursor.window_end is None:
            other = self.held[1].cursor
            end = other.window_end if age(other.snapshot) == age(share.cursor.snapshot) else other.snapshot
            share.advance(Cursor(share.cursor.snapshot, end, 0))
        return share

    def _join(self, share: Share, other: Share) -> None:
        for each in (share, other):
            if each.cursor != each.saved_cursor:
                self.save(each)
        try:
            with self._listener.connection.transaction():
                self._require(self.ask("share_join.sql", (share.id, other.id, self._worker)), share)
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        share.merge(other)
        self.held.remove(other)

    # --- saving -------------------------------------------------------------------------------------------------

    def save(self, share: Share, connection: psycopg.Connection | None = None) -> None:
        """Save the cursor and the kept events before it in one transaction, that of `connection` if given.

        Raises `CursorTaken` if another worker has taken the share.
        """
        link = self._listener.connection if connection is None else connection
        values = (
            share.id, self._worker, *share.cursor, share.saved_state(), share.interruptions,
            share.delivered, share.failed,
        )  # fmt: skip
        try:
            with link.transaction() if share.kept else nullcontext(), RawCursor(link) as cursor:
                self._require(cursor.execute(sql.text("share_save.sql"), values).fetchall(), share)
                for event in share.kept:
                    cursor.execute(sql.text("failed_keep.sql"), self._row_of(event))
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        share.mark_saved()

    def _row_of(self, event: KeptEvent) -> tuple[object, ...]:
        failure = event.failure
        error = "blocked by an earlier event of its row" if failure is None else f"{failure.type}: {failure.message}"
        return (
            self.consumer, event.event_id, event.payload, event.attempts, error, "" if failure is None else failure.traceback,
            "held" if failure is None else "failed", event.holds, slot_of_row(event.row_key), event.row_key,
            failure is not None and failure.is_discard,
        )  # fmt: skip

    def _require(self, rows: Sequence[object], share: Share) -> None:
        """Raise `CursorTaken` if there is no row: the share was not this worker's."""
        if not rows:
            self.held = [each for each in self.held if each is not share]
            raise CursorTaken(f"consumer {self.consumer}: another worker has taken over")

    # --- kept events --------------------------------------------------------------------------------------------

    def redeliveries(self, share: Share) -> list[Redelivery]:
        """Next kept events of the share that are to be delivered now."""
        connection = self._listener.connection
        try:
            # The index has the order. Without statistics, a plan that sorts all waiting events looks as cheap.
            with connection.transaction():
                connection.execute("set local enable_sort = off; set local enable_bitmapscan = off")
                rows = self.ask("failed_waiting.sql", (self.consumer, sorted(share.slots)))
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        return [Redelivery(*row) for row in rows]

    def done(self, share: Share, event_id: int, connection: psycopg.Connection | None = None) -> None:
        """Remove a kept event that was delivered; like `save()`, in the transaction of `connection` if given."""
        values = (self.consumer, event_id, share.id, self._worker)
        self._require(self.ask("failed_done.sql", values, connection), share)

    def failed_again(self, event_id: int, attempts: int, failure: Failure, holds: bool) -> None:
        """Record that a retry failed. Without `holds`, later events of its row are no longer blocked."""
        error = f"{failure.type}: {failure.message}"
        values = (self.consumer, event_id, attempts, error, failure.traceback, holds, failure.is_discard)
        self.ask("failed_again.sql", values)

    def block_row(self, row_key: str) -> None:
        """Block later events of a row, one of whose events failed and is not saved yet."""
        self.blocked_rows.add(row_key)

    def learn_blocked_rows(self) -> None:
        """Read the blocked rows again, and add those of kept events that are not saved yet."""
        self.any_redelivery = False
        self.blocked_rows = {row for (row,) in self.ask("failed_rows.sql", (self.consumer,))}
        self.blocked_rows |= set[str]().union(*(share.blocking_rows for share in self.held))


def slot_of_row(row_key: str) -> int:
    """Slot of a kept event; the first for schema events and those kept by an earlier release."""
    return 0 if not row_key or row_key.startswith('["ddl"') else slot_of(row_key)


def _share(row: tuple[Any, ...]) -> Share:
    number, slots, snapshot, window_end, position, state, interruptions = row
    by_id: dict[int, object] = {int(event): value for event, value in json.loads(state).items()}
    return Share(number, slots, Cursor(snapshot, window_end, position), interruptions, by_id)
