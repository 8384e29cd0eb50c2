"""Who delivers what: the shares of a consumer's rows that a worker holds, by rows of the database and its clock.

A row of a table belongs to one of 64 slots, by the hash of its key, and each slot to one share, which has a cursor. A
worker that is alone holds one share with all slots: what it costs is one row to update. When a second one joins, the
first parts half of its slots as a share with the same cursor, which the second takes. Shares of one worker whose
cursors have met are put together again.

A worker is registered under an id of its own, drawn anew with each connection. It keeps its shares while its lease runs
and its connection lives; then any other worker of the consumer may forget it and take them. Every statement on a share
names the id: what a worker that was taken for dead would save changes nothing.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from pg_events import sql
from pg_events.callbacks.callback import Failure
from pg_events.db.connection import translate
from pg_events.db.link import RawCursor
from pg_events.delivery.row_key import SLOTS, RowKeys, slot_of
from pg_events.errors import CursorTaken, DatabaseUnreachable, ForeignCursor
from pg_events.event import Record
from pg_events.log.listener import EVERYTHING, Cursor, Listener

log = logging.getLogger(__name__)


class Start(NamedTuple):
    """Where a consumer that is new begins. Without a value: behind everything that is visible then."""

    words: str = "after the newest event"
    snapshot: str | None = None
    """A `pg_snapshot`: behind everything visible in it."""
    has_window: bool = False
    """Events up to now are a window of their own, of which some are left out:"""
    position: int = 0
    """those up to this id,"""
    since: datetime | None = None
    """or those before the first one since then."""


NEWEST: Final = Start()
OLDEST: Final = Start("at the oldest event", EVERYTHING)


def start_at(event_id: int) -> Start:
    """At the event, or the next one that is kept. What is committed later with a lower id comes, too."""
    return Start(f"at event {event_id}", EVERYTHING, True, event_id - 1)


def start_since(moment: datetime) -> Start:
    """At the first event since then. What follows it comes, even a change that an older statement made."""
    return Start(f"at the first event since {moment.astimezone():%Y-%m-%d %H:%M:%S}", EVERYTHING, True, 0, moment)


class Kept(NamedTuple):
    """An event to be kept in `pgevents.failed`: its callback gave up, or an earlier one of its row waits."""

    event_id: int
    payload: str
    row_key: str
    attempts: int = 0
    failure: Failure | None = None
    """None: it was not called, it waits."""
    holds: bool = False
    """Later events of its row wait behind it."""


class Waiting(NamedTuple):
    """A kept event that is to be delivered now."""

    event_id: int
    payload: str
    attempts: int
    is_again: bool
    """Its callback gave up before, and somebody asked for it; else nothing stands before it any longer."""


@dataclass(eq=False)
class Share:
    """A part of a consumer's rows, how far it is, and what was done with it since that was saved."""

    id: int
    slots: frozenset[int]
    cursor: Cursor
    attempts: dict[int, int] = field(default_factory=dict[int, int])
    """Event -> its failed attempts so far, for those that are still to be delivered."""
    interruptions: int = 0
    """Workers that died with the events that come next in hand: each may have called a callback with them."""
    done: dict[int, str] = field(default_factory=dict[int, str])
    """Events of these slots, behind the cursor, that were dealt with -> when they happened."""
    passed: list[Record] = field(default_factory=list[Record])
    """Events of these slots that were dealt with, and that the cursor has passed since it was saved."""
    delivered: int = 0
    kept: list[Kept] = field(default_factory=list[Kept])
    saved: Cursor | None = None
    saved_at: float = 0.0

    @property
    def is_whole(self) -> bool:
        return len(self.slots) == SLOTS

    def is_done(self, record: Record) -> bool:
        """Was it dealt with? A standby that was promoted may have lost an event and give its id to another."""
        return self.done.get(record.id) == record.at

    def back_to(self, saved: "Share") -> "Share":
        """The same share, with the cursor as it is saved and what was done since then still known.

        A cursor that was not saved can be wrong after a crash of the server: transactions that left nothing on its disk
        are finished in the cursor's snapshot, and their ids come again.
        """
        self.cursor = self.saved = saved.cursor
        self.slots = saved.slots
        self.done |= {record.id: record.at for record in self.passed}
        self.passed.clear()
        return self

    @property
    def progress(self) -> tuple[int, int, int]:
        """Grows as the cursor moves on: snapshots of one server lie one behind the other."""
        return (*_age(self.cursor.snapshot), self.cursor.position if self.cursor.window_end else 0)


def _age(snapshot: str) -> tuple[int, int]:
    _, end, running = snapshot.split(":")
    return int(end), -len(running.split(",")) if running else 0


class Shares:
    """The shares that one worker holds. One thread uses it; another of its own runs the lease on."""

    def __init__(self, listener: Listener, consumer: str, start: Start, *, lease_seconds: float) -> None:
        self.consumer = consumer
        self.keys = RowKeys(self.ask, consumer)
        self.held: list[Share] = []
        self.waiting_rows: set[str] = set()
        """Keys of rows whose later events wait behind a kept one."""
        self.any_waiting = False
        """Kept events are to be delivered, as of the last look."""
        self._listener = listener
        self._start = start
        self._is_known = False
        """It joined before: what `start` means was told, if need be."""
        self._lease_seconds = lease_seconds
        self._made_at: datetime | None = None
        """When this worker made the consumer, if it began at the newest event."""
        self._worker: int | None = None
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="pg_events lease", daemon=True)

    def ask(
        self, question: str, parameters: Sequence[object], connection: psycopg.Connection | None = None
    ) -> list[tuple[Any, ...]]:
        """The rows of a packaged question, asked on the listener's link or `connection`. Raises `DatabaseUnreachable`."""
        try:
            with RawCursor(self._listener.connection if connection is None else connection) as cursor:
                cursor.execute(sql.text(question), parameters)
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error

    @property
    def is_known(self) -> bool:
        """Nobody has taken this worker for dead, as of the last look."""
        return self._worker is not None

    def is_first(self) -> bool:
        """Has no worker, of any consumer, been running longer? False without a link. For other threads."""
        try:
            return self._worker is not None and self.ask("worker_is_first.sql", (self._worker,))[0][0]
        except DatabaseUnreachable:
            return False

    # --- joining and leaving ------------------------------------------------------------------------------------

    def join(self, *, reload: bool = False, is_reconnect: bool = False) -> None:
        """Be known as a worker of the consumer, again after the link was lost; make the consumer if there is none.

        Shares that nobody took in the meantime are held on, and what was delivered and could not be saved is not
        delivered again; with `reload` it was undone, and what is saved counts. After a reconnect, to another server maybe,
        a consumer that is missing there begins where it was made.
        """
        # A standby that was promoted may never have heard of a consumer that was just made. By now its newest event is one
        # too many, and snapshots of the old primary mean nothing there.
        if self.ask("origin.sql", ())[0][0]:
            raise ForeignCursor(
                "this database is a copy of another one in this cluster, whose workers deliver what waits here, too; "
                "remedy: pg_events build: it forgets the consumers that were copied, and new ones begin at the newest event"
            )
        start = start_since(self._made_at) if is_reconnect and self._made_at is not None else self._start
        made = self.ask("consumer_create.sql", (self.consumer, *start[1:]))
        if not made and not is_reconnect and not self._is_known and self._start != NEWEST:
            log.warning(
                "consumer %s is known and goes on where it stopped: --from is for a new one (see pg_events consumers drop)",
                self.consumer,
            )
        self._is_known = True
        for _, made_at in made:
            log.info("consumer %s is new: it starts %s", self.consumer, start.words)
            self._made_at = made_at if self._start == NEWEST else None
        name = f"{socket.gethostname()}:{os.getpid()}"
        # Behind a pooler the connection to the server is not the worker's: its end says nothing.
        values = (self.consumer, name, self._lease_seconds, not self._listener.is_shared, self._worker)
        self._worker = self.ask("worker_register.sql", values)[0][0]
        known = {} if reload else {share.id: share for share in self.held}
        saved = [_share(row) for row in self.ask("shares_held.sql", (self._worker,))]
        # A standby that was promoted can have lost the last save, and gives ids again: then nothing is known of what comes.
        unmoved = {share.id for share in saved if share.id in known and known[share.id].saved == share.cursor}
        self.held = [known[share.id].back_to(share) if share.id in unmoved else share for share in saved]
        if any(share.is_whole and not share.kept for share in self.held):
            self._forget_keys()
        self.learn_waiting_rows()
        if not self._renewing.is_alive():
            self._renewing.start()

    def leave(self) -> None:
        """Give everything back. When that fails the lease just runs out."""
        self._ended.set()
        if self._worker is None:
            return
        try:
            self.ask("worker_leave.sql", (self._worker,))
        except DatabaseUnreachable as error:
            log.debug("consumer %s: its shares could not be given back: %s", self.consumer, error)

    def close(self) -> None:
        """End the thread that runs the lease on."""
        self._ended.set()
        if self._renewing.is_alive():
            self._renewing.join(5.0)

    def _renew(self) -> None:
        """Run the lease on from a thread of its own: a callback may take as long as it likes."""
        while not self._ended.wait(self._lease_seconds / 4):
            try:
                self.ask("worker_renew.sql", (self._worker, self._lease_seconds))
            except Exception as error:  # noqa: BLE001 - whoever uses the link meets it too, and mends it
                log.debug("consumer %s: the lease was not run on: %s", self.consumer, error)

    # --- dividing the work --------------------------------------------------------------------------------------

    def look(self, before: Callable[[], None] = lambda: None) -> None:
        """See who else is there; take what is free, and part what is too much. Call it between two events.

        `before` is called when the shares are about to change.
        """
        slots = sorted(slot for share in self.held for slot in share.slots)
        is_known, running, earlier, known, any_free, any_kept = self.ask(
            "worker_look.sql", (self.consumer, self._worker, slots)
        )[0]
        # Of those that are kept most may have to wait for another: that is no reason to let the live ones wait.
        self.any_waiting = any_kept and any(map(self.waiting, self.held))
        if not is_known:
            self.held.clear()
            self._worker = None
            raise CursorTaken(f"consumer {self.consumer}: this worker was taken for dead")
        if known > running:
            self.ask("worker_bury.sql", (self.consumer,))
            any_free = True
        # Those that came first have the one that is left over.
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
            self.learn_waiting_rows()
            log.debug("consumer %s: took %d of %d parts", self.consumer, sum(len(s.slots) for s in taken), SLOTS)

    def _part(self, surplus: int, each: int) -> None:
        """Part so many slots from the largest share, as free shares of what another worker will have."""
        share = max(self.held, key=lambda share: len(share.slots))
        slots = sorted(share.slots)[-min(surplus, len(share.slots) - 1) :]
        if not slots:
            return
        if share.cursor != share.saved:
            self.save(share)
        try:
            with self._listener.connection.transaction():
                if share.is_whole:
                    self._forget_keys()
                for first in range(0, len(slots), each):
                    part = slots[first : first + each]
                    self._sure(self.ask("share_part.sql", (share.id, self._worker, part)), share)
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        share.slots -= set(slots)
        log.debug("consumer %s: %d of %d parts are for another worker", self.consumer, len(slots), SLOTS)

    def _forget_keys(self) -> None:
        """Read anew what tells rows apart. All are this worker's, and it has none in hand: nobody counts on it."""
        self.keys.forget()
        self.ask("row_keys_forget.sql", (self.consumer,))

    def furthest_behind(self) -> Share | None:
        """The share to go on with, None when none is held.

        With several, it is to be read up to where the next one is, and no further: there they are put together.
        """
        self.held.sort(key=lambda share: share.progress)
        while len(self.held) > 1 and self.held[0].cursor == self.held[1].cursor:
            self._join(self.held[0], self.held[1])
        if not self.held:
            return None
        share = self.held[0]
        if len(self.held) > 1 and share.cursor.window_end is None:
            other = self.held[1].cursor
            end = other.window_end if _age(other.snapshot) == _age(share.cursor.snapshot) else other.snapshot
            share.cursor = Cursor(share.cursor.snapshot, end, 0)
        return share

    def _join(self, share: Share, other: Share) -> None:
        for each in (share, other):
            if each.cursor != each.saved:
                self.save(each)
        try:
            with self._listener.connection.transaction():
                self._sure(self.ask("share_join.sql", (share.id, other.id, self._worker)), share)
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        share.slots |= other.slots
        share.attempts |= other.attempts
        share.done |= other.done
        share.passed += other.passed
        share.interruptions = max(share.interruptions, other.interruptions)
        self.held.remove(other)

    # --- saving -------------------------------------------------------------------------------------------------

    def save(self, share: Share, connection: psycopg.Connection | None = None) -> None:
        """Save the cursor, and what was kept before it, in one transaction: that of `connection`, if one is given.

        Raises `CursorTaken` when the share is somebody else's now.
        """
        link = self._listener.connection if connection is None else connection
        failed = sum(kept.failure is not None for kept in share.kept)
        values = (
            share.id, self._worker, *share.cursor, _noted(share), share.interruptions,
            share.delivered, failed,
        )  # fmt: skip
        try:
            with link.transaction() if share.kept else nullcontext(), RawCursor(link) as cursor:
                self._sure(cursor.execute(sql.text("share_save.sql"), values).fetchall(), share)
                for kept in share.kept:
                    cursor.execute(sql.text("failed_keep.sql"), self._row_of(kept))
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        share.delivered = 0
        share.kept.clear()
        share.done = _ahead(share)
        share.passed.clear()
        share.saved = share.cursor
        share.saved_at = time.monotonic()

    def _row_of(self, kept: Kept) -> tuple[object, ...]:
        failure = kept.failure
        error = "waits behind an earlier event of its row" if failure is None else f"{failure.type}: {failure.message}"
        return (
            self.consumer, kept.event_id, kept.payload, kept.attempts, error, "" if failure is None else failure.traceback,
            "held" if failure is None else "failed", kept.holds, slot_of_row(kept.row_key), kept.row_key,
        )  # fmt: skip

    def _sure(self, rows: Sequence[object], share: Share) -> None:
        """Without a row the share was not this worker's."""
        if not rows:
            self.held = [each for each in self.held if each is not share]
            raise CursorTaken(f"consumer {self.consumer}: another worker has taken over")

    # --- kept events --------------------------------------------------------------------------------------------

    def waiting(self, share: Share) -> list[Waiting]:
        """The next kept events of the share that are to be delivered now."""
        connection = self._listener.connection
        try:
            # The index has their order. Until there are statistics a plan that sorts all that wait looks as cheap.
            with connection.transaction():
                connection.execute("set local enable_sort = off; set local enable_bitmapscan = off")
                rows = self.ask("failed_waiting.sql", (self.consumer, sorted(share.slots)))
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error
        return [Waiting(*row) for row in rows]

    def done(self, share: Share, event_id: int, connection: psycopg.Connection | None = None) -> None:
        """A kept event was delivered. As `save()` in the transaction of `connection`, if one is given."""
        values = (self.consumer, event_id, share.id, self._worker)
        self._sure(self.ask("failed_done.sql", values, connection), share)

    def failed_again(self, event_id: int, attempts: int, failure: Failure, holds: bool) -> None:
        """A kept event was not delivered. Without `holds` later events of its row wait no more."""
        error = f"{failure.type}: {failure.message}"
        self.ask("failed_again.sql", (self.consumer, event_id, attempts, error, failure.traceback, holds))

    def learn_waiting_rows(self) -> None:
        """Read again which rows have events that wait, and add what is kept and was not saved yet."""
        self.any_waiting = False
        self.waiting_rows = {row for (row,) in self.ask("failed_rows.sql", (self.consumer,))}
        self.waiting_rows |= {kept.row_key for share in self.held for kept in share.kept if kept.holds}


def slot_of_row(row_key: str) -> int:
    """Where a kept event is delivered from. Schema events, and those kept by an earlier release, from the first slot."""
    return 0 if not row_key or row_key.startswith('["ddl"') else slot_of(row_key)


def _share(row: tuple[Any, ...]) -> Share:
    number, slots, snapshot, window_end, position, attempts, interruptions = row
    cursor = Cursor(snapshot, window_end, position)
    noted: dict[int, int | str] = {int(event): value for event, value in json.loads(attempts).items()}
    counted = {event: value for event, value in noted.items() if isinstance(value, int)}
    done = {event: value for event, value in noted.items() if isinstance(value, str)}
    return Share(
        number, frozenset(slots), cursor, counted, interruptions, done, saved=cursor, saved_at=time.monotonic()
    )


def _noted(share: Share) -> str:
    """What is saved of the events behind the cursor: failed attempts, and of those that are done already their moment."""
    return json.dumps(share.attempts | _ahead(share))


def _ahead(share: Share) -> dict[int, str]:
    if not share.done:
        return {}
    passed = {record.id for record in share.passed}
    return {event: at for event, at in share.done.items() if event not in passed}
