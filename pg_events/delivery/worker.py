"""Worker: delivers events to callbacks in order, retries, keeps failed events, and saves the cursor.

Delivery is at least once: the cursor is saved after the callbacks returned. If a worker dies in between, these events are
delivered again with the same ids, by it or by another worker.

This is the loop. `shares` divides the work between workers, `dispatch` decides the outcome of one event, `concurrent`
has several in flight at a time.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from pg_events.callbacks.callback import Callback
from pg_events.config.settings import Settings
from pg_events.delivery.async_calls import Calls
from pg_events.delivery.attempts import Delivery, Stopping
from pg_events.delivery.concurrent import Overlap
from pg_events.delivery.dispatch import Handover, Report
from pg_events.delivery.housekeeping import Housekeeping
from pg_events.delivery.loops import Feedback, mark
from pg_events.delivery.reader import Pages
from pg_events.delivery.row_key import SLOTS
from pg_events.delivery.shares import NEWEST, Share, Shares, Start
from pg_events.delivery.transaction import JointTransaction
from pg_events.errors import CursorTaken, DatabaseUnreachable, NotInstalled, PgEventsError, UsageError
from pg_events.event import Record
from pg_events.log.listener import Listener

__all__ = ["Report", "Worker"]

log = logging.getLogger(__name__)

_SAVE_SECONDS: Final = 0.5
"""Interval at which the cursor is saved within a page of slow callbacks, so that a crash repeats little."""
_LOOK_SECONDS: Final = 1.0
"""Interval at which a worker polls for other workers and for events to retry."""
_TURN_SECONDS: Final = 0.5
"""Approximate time for kept events before live events have their turn."""
_IDLE_SAVE_SECONDS: Final = 15.0
"""Interval at which an idle worker saves its advancing cursor, for `prune` and for the next worker."""
_TELL_SECONDS: Final = (10.0, 600.0)
"""First and maximum interval between messages about a connection that stays lost."""


class Worker:
    """Delivers a consumer's events to the settings' callbacks. `run()` blocks; `stop()` may be called from anywhere.

    Workers with the same name share its rows. Callbacks run one at a time, in order, in the thread of `run()`, unless
    the settings allow concurrent async ones.
    """

    def __init__(
        self,
        settings: Settings,
        name: str = "default",
        *,
        start: Start = NEWEST,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """Create a worker of the consumer `name`, which begins at `start` if it is new.

        `on_ready` is called once a share is held. Raises `UsageError` if a callback cannot be used, or there is none.
        """
        if settings.database_url is None:
            raise UsageError("no database: pass --database-url or set PG_EVENTS_DATABASE_URL")
        self.name = name
        self._stopping = threading.Event()
        self.no_link: str | None = "not connected yet"
        """Reason for being disconnected; None while connected. May be read by other threads."""
        self.share = 0.0
        """Fraction of the consumer's rows held by this worker, up to 1.0. May be read by other threads."""
        self._stalled_seconds = settings.stalled_seconds
        self._on_ready = on_ready
        self._listener = Listener(
            settings.database_url,
            application_name=f"pg_events worker {name}",
            asks_to_be_woken=True,
            wake_up=settings.notify,
            server_timeout_seconds=settings.server_timeout_seconds,
        )
        self._shares = Shares(self._listener, name, start, lease_seconds=settings.lease_seconds)
        self._transaction = JointTransaction(settings.database_url, mark(name)) if settings.transactional else None
        calls = Calls() if settings.concurrency > 1 else None
        self._delivery = Delivery(settings, self._stopping, self._transaction and self._transaction.attempt, calls)
        self._handover = Handover(self._delivery, self._shares, self._transaction)
        self._feedback = Feedback(name, settings.ignore_own_changes)
        self._pages = Pages(self._listener, self._shares, self._feedback, self.report)
        self._overlap: Overlap | None = None
        if calls is not None:
            self._overlap = Overlap(
                self._handover, self._pages, self._feedback, calls, settings.concurrency, self._stopping
            )
        self._housekeeping = Housekeeping(settings, name, self._shares.is_first)
        self._look_at = 0.0

    @property
    def report(self) -> Report:
        """Counts since the start."""
        return self._handover.report

    @property
    def last_failure(self) -> str | None:
        """Callback, exception and place of the last failure; None if there was none."""
        return self._delivery.last_failure

    @property
    def moved_at(self) -> float:
        """Value of `time.monotonic()` when the last event was finished, or there was nothing to do."""
        return self._handover.moved_at

    def wrap(self, around: Callable[[Callback], Callback]) -> None:
        """Replace each callback by the result of `around`."""
        self._delivery.wrap(around)

    def stop(self) -> None:
        """Finish the current event, save, and return from `run()`. Safe in a signal handler and from other threads."""
        self._stopping.set()

    def trouble(self) -> str | None:
        """Reason in one line why nothing is delivered; None if healthy or idle. May be called by other threads."""
        return self.stalled() if self.no_link is None else f"disconnected: {self.no_link}"

    def stalled(self) -> str | None:
        """Message if no event was finished for long although one waits and the worker is connected; else None."""
        seconds = time.monotonic() - self.moved_at
        if self.no_link is not None or seconds <= self._stalled_seconds:
            return None
        return f"stalled: no event was finished for {seconds:.0f} s"

    def run(self, once: bool = False) -> Report:
        """Deliver until `stop()`; with `once`, until there are no new events.

        The first connection raises `DatabaseUnreachable`, `NotInstalled`, `NotPermitted` or `ForeignCursor`. A connection
        lost later is re-established indefinitely, with growing pauses. Raises `NotInstalled` later, too, if another
        release has changed the schema. Raises `CallbackGaveUp` if a callback gave up and its policy is to stop; the
        cursor is then before the event.
        """
        try:
            self._listener.connect()
            self._feedback.learn_role(self._listener.session_user)
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
                self._handover.moved_at = time.monotonic()
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
                    self._put_down()
                    self._deliver_kept()
                if self._deliver_next(share) or len(self._shares.held) > 1 or self._shares.any_waiting:
                    continue
                if once:
                    if self._deliver_kept():
                        continue
                    break
                if time.monotonic() - share.saved_at > _IDLE_SAVE_SECONDS:
                    self._pages.advance(share)
                    self._shares.save(share)
                self._listener.wait(_LOOK_SECONDS)
            except DatabaseUnreachable as error:
                self._reconnect(error)
            except CursorTaken as error:
                log.warning("%s", error)
                self._drain()
                if not self._shares.is_known:
                    self._shares.join()
                self._look_at = 0.0
            except NotInstalled:
                # Another release has run a build. If the cursor cannot be saved in its schema, events since the last save
                # are delivered again.
                with suppress(PgEventsError):
                    self._put_down()
                raise
        with suppress(DatabaseUnreachable, CursorTaken):
            self._put_down()

    # --- delivering ---------------------------------------------------------------------------------------------

    def _deliver_next(self, share: Share) -> bool:
        """Deliver the next events of the share. Returns False if there are none."""
        if self._overlap is None:
            return self._deliver(share, self._pages.next(share))
        found = self._overlap.go_on(share)
        # With several shares, events in flight are finished first; none is left when a poll changes the shares.
        while len(self._shares.held) > 1 and self._overlap and not self._stopping.is_set():
            self._overlap.go_on(share)
            self._look_now_and_then()
        return found

    def _put_down(self) -> None:
        """Wait until nothing is in flight, and save, so that the shares may change."""
        if self._overlap is not None:
            self._overlap.put_down()

    def _drain(self) -> None:
        """Wait until nothing is in flight, without using the database."""
        if self._overlap is not None:
            self._overlap.drain()

    def _deliver(self, share: Share, page: Sequence[Record]) -> bool:
        """Pass a page to the callbacks in order, saving the cursor in between if they are slow. Returns False if empty."""
        handover, transaction = self._handover, self._transaction
        for record in page:
            if self._stopping.is_set():
                break
            is_called = False
            try:
                if record.id in share.done and share.is_done(record):
                    share.passed.append(record)  # before the link was lost
                elif self._feedback.skips(record):
                    pass  # caused by our own callbacks
                elif (share.is_whole and not self._shares.waiting_rows) or handover.is_due(share, record):
                    handover.hand_over(share, record)
                    share.passed.append(record)
                    is_called = True
                elif share.kept and share.kept[-1].event_id == record.id:
                    share.passed.append(record)  # blocked by an earlier one
            except Stopping:
                break
            share.cursor = self._listener.cursor_after(record)
            handover.moved_at = now = time.monotonic()
            is_due = (is_called and share.interruptions > 0) or (transaction is not None and transaction.is_due)
            if is_due or now - share.saved_at > _SAVE_SECONDS:
                handover.save(share)
                self._look_now_and_then()
        else:
            if page:
                share.cursor = self._listener.cursor
                share.interruptions = 0
        if page:
            handover.save(share)
        return bool(page)

    # --- kept events --------------------------------------------------------------------------------------------

    def _deliver_kept(self) -> bool:
        """Deliver retried and unblocked events for one turn, before live events and other workers have theirs.

        Returns False if there were none.
        """
        shares, found = self._shares, False
        until = time.monotonic() + _TURN_SECONDS
        shares.any_waiting = False
        for share in [*shares.held]:
            waiting = shares.waiting(share)
            found = found or bool(waiting)
            for kept in waiting:
                if self._stopping.is_set() or time.monotonic() > until:
                    break
                with suppress(Stopping):
                    self._handover.deliver_again(share, kept)
                self._handover.moved_at = time.monotonic()
            if share.delivered:
                shares.save(share)
        if found:
            if shares.waiting_rows:
                shares.learn_waiting_rows()
            shares.any_waiting = not self._stopping.is_set()  # the next turn finds out
        return found

    # --- the link and the others --------------------------------------------------------------------------------

    def _is_ready(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    def _look_now_and_then(self) -> None:
        if time.monotonic() < self._look_at:
            return
        self._shares.look(self._put_down)
        self.share = sum(len(share.slots) for share in self._shares.held) / SLOTS
        self._look_at = time.monotonic() + _LOOK_SECONDS

    def _reconnect(self, error: DatabaseUnreachable) -> None:
        """Reconnect, indefinitely.

        Events that were delivered but not saved are not delivered again, unless another worker had the share meanwhile.
        """
        self.no_link = str(error)
        log.warning("%s; reconnecting", error)
        self._listener.close()
        self._drain()
        if self._transaction is not None:
            self._transaction.abandon()
        lost_at, told, pause = time.monotonic(), _TELL_SECONDS[0], 0.1
        while not self._stopping.is_set():
            try:
                self._listener.connect()
                self._feedback.learn_role(self._listener.session_user)
                # Only the server knows whether the last transaction was committed.
                is_undone = self._transaction is not None and self._transaction.is_undone
                self._shares.join(reload=is_undone, is_reconnect=True)
                if self._transaction is not None:
                    self._transaction.go_on()
                    self._transaction.connect()
            except DatabaseUnreachable as again:
                self.no_link = str(again)
                seconds = time.monotonic() - lost_at
                level = logging.DEBUG if seconds < told else logging.WARNING
                if seconds >= told:
                    told = seconds + min(seconds, _TELL_SECONDS[1])
                log.log(level, "disconnected for %.1f s: %s", seconds, again, extra={"seconds": round(seconds, 3)})
                self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, 10.0)
            else:
                self._pages.forget()
                self._look_at = 0.0
                self.no_link = None
                self.report.reconnects += 1
                seconds = time.monotonic() - lost_at
                log.info("connected again after %.1f s", seconds, extra={"seconds": round(seconds, 3)})
                return
