"""Events into callbacks: deliver in order, retry, keep what failed, save the cursor.

At least once: the cursor is saved after the callbacks returned. A worker that dies between the two delivers those
events again, with the same ids, when it or another one takes the cursor up.

Who delivers what is in `pg_events.share`, what becomes of one event in `pg_events.delivery`; this is the loop.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pg_events.callbacks import Callback
from pg_events.delivery import CallbackGaveUp, Delivery, Stopping, about, gave_up
from pg_events.errors import CursorTaken, DatabaseUnreachable, UsageError
from pg_events.event import SCHEMA, Record, is_of_schema, replayed
from pg_events.feedback import Feedback
from pg_events.housekeeping import Housekeeping
from pg_events.listener import Cursor, Listener
from pg_events.row_key import SLOTS
from pg_events.settings import Settings
from pg_events.share import NEWEST, Kept, Share, Shares, Start, Waiting
from pg_events.transaction import JointTransaction

log = logging.getLogger(__name__)

_SAVE_SECONDS: Final = 0.5
"""Slow callbacks: the cursor is saved within a page this often, so that a crash repeats little."""
_LOOK_SECONDS: Final = 1.0
"""How often a worker looks who else is there, and what it is to deliver again."""
_IDLE_SAVE_SECONDS: Final = 15.0
"""Idle: the cursor moves on by itself, and is saved now and then, for `prune` and for the next worker."""
_TELL_SECONDS: Final = (10.0, 600.0)
"""A link that stays lost is told of again after so long, then at growing intervals up to the second."""


@dataclass
class Report:
    """What a worker did so far."""

    delivered: int = 0
    """Events whose callback returned."""
    failed: int = 0
    """Events kept as failed."""
    retried: int = 0
    """Attempts that failed and were made again."""
    held: int = 0
    """Events kept because an earlier one of their row failed."""
    reconnects: int = 0
    batches: int = field(default=0, compare=False)
    """Pages read that were not empty."""
    read: int = field(default=0, compare=False)
    """Events in them, those of other workers' rows among them."""


class Worker:
    """Delivers a consumer's events to the settings' callbacks. `run()` blocks; `stop()` may come from anywhere.

    Workers of one name share its rows. Callbacks run one at a time, in order, in the thread of `run()`.
    """

    def __init__(
        self,
        settings: Settings,
        name: str = "default",
        *,
        start: Start = NEWEST,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """`name` is the consumer's; one that is new begins at `start`. `on_ready` is called once a share is held.

        Raises `UsageError` when a callback cannot be used, or there is none.
        """
        if settings.database_url is None:
            raise UsageError("no database: give --database-url or set PG_EVENTS_DATABASE_URL")
        self.name = name
        self.report = Report()
        self._stopping = threading.Event()
        self.no_link: str | None = "not connected yet"
        """Why there is no link to the server; None while there is one. For other threads, as are:"""
        self.moved_at = time.monotonic()
        """When the last event was finished, or nothing was there to do;"""
        self.share = 0.0
        """which part of the consumer's rows is this worker's: 1.0 is all of them."""
        self._stalled_seconds = settings.stalled_seconds
        self._transaction: JointTransaction | None = None
        if settings.transactional:
            self._transaction = JointTransaction(settings.database_url, f"pg_events callbacks {name}")
        self._delivery = Delivery(settings, self._stopping, self._transaction and self._transaction.attempt)
        self._on_ready = on_ready
        self._listener = Listener(
            settings.database_url,
            application_name=f"pg_events worker {name}",
            asks_to_be_woken=True,
            wake_up=settings.wake_up,
            link_seconds=settings.link_seconds,
        )
        self._shares = Shares(self._listener, name, start, lease_seconds=settings.lease_seconds)
        self._feedback = Feedback(name, settings.skip_own)
        self._housekeeping = Housekeeping(settings, name, lambda: self._shares.worker)
        self._read: tuple[Share, Cursor] | None = None
        self._look_at = 0.0

    def wrap(self, around: Callable[[Callback], Callback]) -> None:
        """From now on call what `around` makes of each callback."""
        self._delivery.wrap(around)

    def stop(self) -> None:
        """Finish the event in hand, save, and return from `run()`. Safe in a signal handler and from other threads."""
        self._stopping.set()

    def trouble(self) -> str | None:
        """Why nothing is delivered, in a line; None when all is well, or nothing is there to do. For other threads."""
        return self.stalled() if self.no_link is None else f"no link: {self.no_link}"

    def stalled(self) -> str | None:
        """That no event was finished for long although one waits and there is a link; else None."""
        seconds = time.monotonic() - self.moved_at
        if self.no_link is not None or seconds <= self._stalled_seconds:
            return None
        return f"stalled: no event was finished for {seconds:.0f} s"

    def run(self, once: bool = False) -> Report:
        """Deliver until `stop()`; with `once` until nothing is new.

        A link that is lost later is taken up again for ever, with growing pauses; at the first connection it raises:
        `DatabaseUnreachable`, `NotInstalled`, `NotPermitted`, `ForeignCursor`. Raises `CallbackGaveUp` when a callback
        failed whose policy is to stop: the cursor is before the event.
        """
        try:
            self._listener.connect()
            self._shares.join()
            self.no_link = None
            if not once:
                self._housekeeping.start()
            self._work(once)
        finally:
            self._housekeeping.close()
            if self._transaction is not None:
                self._transaction.close()
            self._shares.leave()
            self._shares.close()
            self._listener.close()
            self._delivery.close()
        return self.report

    def _work(self, once: bool) -> None:
        told = False
        while not self._stopping.is_set():
            try:
                self.moved_at = time.monotonic()
                self._look_now_and_then()
                share = self._shares.furthest_behind()
                if share is None:
                    if not told:
                        log.info("consumer %s has a worker; waiting for a share of its rows", self.name)
                        told = True
                    self._stopping.wait(_LOOK_SECONDS / 4)
                    continue
                self._is_ready()
                if self._shares.any_waiting:
                    self._deliver_kept()
                    continue
                if self._deliver(share, self._next_page(share)) or len(self._shares.held) > 1:
                    continue
                if once:
                    if self._deliver_kept():
                        continue
                    break
                if time.monotonic() - share.saved_at > _IDLE_SAVE_SECONDS:
                    share.cursor = self._listener.cursor
                    self._read = share, share.cursor
                    self._shares.save(share)
                self._listener.wait(_LOOK_SECONDS)
            except DatabaseUnreachable as error:
                self._reconnect(error)
            except CursorTaken as error:
                log.warning("%s", error)
                if not self._shares.is_known:
                    self._shares.join()
                self._look_at = 0.0

    # --- reading ------------------------------------------------------------------------------------------------

    def _next_page(self, share: Share) -> Sequence[Record]:
        """The next events after the share's cursor, those of others' rows among them.

        The share's cursor stays where it is while the listener looks and finds nothing: what an idle look has seen end
        may never have reached the disk of a server that crashes.
        """
        listener, empty = self._listener, list[Record]()
        if self._read != (share, share.cursor):
            listener.cursor = share.cursor
        # With several, up to where the next share is, and no further.
        several = len(self._shares.held) > 1
        page = next(listener.window(), empty) if several else listener.poll()
        if several and not page:
            share.cursor = listener.cursor
        self._read = share, listener.cursor if page else share.cursor
        return page

    # --- delivering ---------------------------------------------------------------------------------------------

    def _deliver(self, share: Share, page: Sequence[Record]) -> bool:
        """Hand a page to the callbacks, in order, saving the cursor on the way when they are slow. False when empty."""
        if page:
            self.report.batches += 1
            self.report.read += len(page)
            self._feedback.see(page, self._listener.cursor)
        for record in page:
            if self._stopping.is_set():
                break
            try:
                if record.id in share.done or self._feedback.skips(record):
                    pass  # done before the link was lost, or caused by our own callbacks
                elif (share.is_whole and not self._shares.waiting_rows) or self._is_due(share, record):
                    self._hand_over(share, record)
                    share.done.add(record.id)
            except Stopping:
                break
            share.cursor = self._listener.cursor_after(record)
            self.moved_at = now = time.monotonic()
            if now - share.saved_at > _SAVE_SECONDS or share.interruptions or self._must_commit():
                self._save(share)
                self._look_now_and_then()
        else:
            if page:
                share.cursor = self._listener.cursor
                share.interruptions = 0
        if page:
            self._save(share)
        return bool(page)

    def _must_commit(self) -> bool:
        return self._transaction is not None and self._transaction.is_due

    def _save(self, share: Share) -> None:
        """Save the cursor, together with what callbacks wrote when they do so in its transaction."""
        if self._transaction is None:
            self._shares.save(share)
        else:
            self._transaction.commit(lambda connection: self._shares.save(share, connection))

    def _done(self, share: Share, kept: Waiting) -> None:
        """A kept event was delivered, and what its callback wrote stays."""
        if self._transaction is None:
            self._shares.done(share, kept.event_id)
        else:
            self._transaction.commit(lambda connection: self._shares.done(share, kept.event_id, connection))

    def _is_due(self, share: Share, record: Record) -> bool:
        """Is it this share's event, and no earlier one of its row waits? One that has to wait is kept."""
        keys = self._shares.keys
        if not share.is_whole and keys.slot(record) not in share.slots:
            return False
        if self._shares.waiting_rows and self._delivery.callback(record.kind == SCHEMA) is not None:
            row = keys.key(record)
            if record.kind != "T" and row in self._shares.waiting_rows:
                share.kept.append(Kept(record.id, record.payload, row, holds=True))
                share.done.add(record.id)
                self.report.held += 1
                return False
        return True

    def _hand_over(self, share: Share, record: Record) -> None:
        """Call the callback; what it gives up is kept, or stops the worker. Raises `Stopping`, `CallbackGaveUp`."""
        is_schema = record.kind == SCHEMA
        callback = self._delivery.callback(is_schema)
        if callback is None:
            return
        policy = self._delivery.policy(is_schema)

        def failing(attempts: int) -> None:
            self.report.retried += 1
            share.attempts[record.id] = attempts
            self._save(share)

        attempts = share.attempts.get(record.id, 0)
        given_up = self._delivery.call(
            callback, policy, record.payload, record, attempts=attempts, unseen=share.interruptions, failing=failing
        )
        if given_up is None:
            share.attempts.pop(record.id, None)
            share.delivered += 1
            self.report.delivered += 1
            return
        attempts, failure = given_up
        text = gave_up(callback, record, attempts, failure)
        if policy.on_failure == "stop":
            share.attempts[record.id] = attempts
            self._save(share)
            raise CallbackGaveUp(f"{text}; stopped before it, as PG_EVENTS_ON_FAILURE says")
        share.attempts.pop(record.id, None)
        row = self._shares.keys.key(record)
        holds = policy.on_failure == "hold"
        share.kept.append(Kept(record.id, record.payload, row, attempts, failure, holds))
        self.report.failed += 1
        if holds:
            self._shares.waiting_rows.add(row)
        then = "kept as failed, later events of its row wait" if holds else "kept as failed"
        log.error("%s; %s", text, then, extra=about(callback, record, attempts, failure))

    # --- kept events --------------------------------------------------------------------------------------------

    def _deliver_kept(self) -> bool:
        """Deliver again what somebody asked for, and what waited for an event that no longer stops it."""
        found = False
        for share in [*self._shares.held]:
            while not self._stopping.is_set() and (waiting := self._shares.waiting(share)):
                found = True
                for kept in waiting:
                    if self._stopping.is_set():
                        break
                    with suppress(Stopping):
                        self._deliver_again(share, kept)
                    self.moved_at = time.monotonic()
            if share.delivered:
                self._shares.save(share)
        if found:
            self._shares.learn_waiting_rows()
        return found

    def _deliver_again(self, share: Share, kept: Waiting) -> None:
        is_schema = is_of_schema(kept.payload)
        callback, policy = self._delivery.callback(is_schema), self._delivery.policy(is_schema)
        what = f"event {kept.event_id}"
        if callback is None:
            self._shares.done(share, kept.event_id)
            return
        if kept.is_again:
            # Once: whoever asked sees what came of it, and the live events do not wait for pauses.
            attempts = kept.attempts + 1
            failure = self._delivery.attempt(callback, replayed(kept.payload, "failed", attempts), attempts)
            given_up = None if failure is None else (attempts, failure)
        else:
            given_up = self._delivery.call(callback, policy, kept.payload, what, attempts=kept.attempts)
        if given_up is None:
            self._done(share, kept)
            share.delivered += 1
            self.report.delivered += 1
            return
        attempts, failure = given_up
        self._shares.failed_again(kept.event_id, attempts, failure, holds=policy.on_failure != "skip")
        self.report.failed += 1
        text = gave_up(callback, what, attempts, failure)
        fields = about(callback, what, attempts, failure) | {"event_id": kept.event_id}
        log.error("%s; it stays among the failed", text, extra=fields)

    # --- the link and the others --------------------------------------------------------------------------------

    def _is_ready(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    def _look_now_and_then(self) -> None:
        if time.monotonic() < self._look_at:
            return
        self._shares.look()
        self.share = sum(len(share.slots) for share in self._shares.held) / SLOTS
        self._look_at = time.monotonic() + _LOOK_SECONDS

    def _reconnect(self, error: DatabaseUnreachable) -> None:
        """Take the link up again, for ever. What was delivered and could not be saved is not delivered again, unless
        another worker had the share in between."""
        self.no_link = str(error)
        log.warning("%s; reconnecting", error)
        self._listener.close()
        if self._transaction is not None:
            self._transaction.abandon()
        lost_at, told, pause = time.monotonic(), _TELL_SECONDS[0], 0.1
        while not self._stopping.is_set():
            try:
                self._listener.connect()
                # Whether the last transaction was committed, and what was undone, the server knows.
                self._shares.join(reload=self._transaction is not None)
            except DatabaseUnreachable as again:
                self.no_link = str(again)
                seconds = time.monotonic() - lost_at
                level = logging.DEBUG if seconds < told else logging.WARNING
                if seconds >= told:
                    told = seconds + min(seconds, _TELL_SECONDS[1])
                log.log(level, "no link for %.1f s: %s", seconds, again, extra={"seconds": round(seconds, 3)})
                self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, 10.0)
            else:
                self._read = None
                self._look_at = 0.0
                self.no_link = None
                self.report.reconnects += 1
                seconds = time.monotonic() - lost_at
                log.info("connected again after %.1f s", seconds, extra={"seconds": round(seconds, 3)})
                return
