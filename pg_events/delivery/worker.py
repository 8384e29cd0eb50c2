"""Worker: delivers events to callbacks in order, retries, keeps failed events, and saves the cursor.

Delivery is at least once: the cursor is saved after the callbacks returned. If a worker dies in between, these events are
delivered again with the same ids, by it or by another worker.

This is the loop. `shares` divides the work between workers, `dispatch` decides the outcome of one event, `concurrent`
has several in flight at a time.
"""

import logging
import random
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from pg_events.callbacks.callback import Callback
from pg_events.config.settings import Settings
from pg_events.delivery.async_calls import AsyncCalls
from pg_events.delivery.attempts import Handlers, Stopping
from pg_events.delivery.batches import BatchDelivery
from pg_events.delivery.concurrent import ConcurrentDelivery
from pg_events.delivery.dispatch import SKIPPED, Decision, Dispatch, Report
from pg_events.delivery.housekeeping import Housekeeping
from pg_events.delivery.loops import Feedback, mark
from pg_events.delivery.reader import ShareReader
from pg_events.delivery.row_key import SLOTS
from pg_events.delivery.share import Share
from pg_events.delivery.shares import NEWEST, Shares, Start
from pg_events.delivery.transaction import JointTransaction, State
from pg_events.errors import CursorTaken, DatabaseUnreachable, NotInstalled, PgEventsError, UsageError
from pg_events.event import Record
from pg_events.log.listener import Listener

__all__ = ["Report", "Worker"]

log = logging.getLogger(__name__)

_SAVE_SECONDS: Final = 0.5
"""Interval at which the cursor is saved within a page of slow callbacks, so that a crash repeats little."""
_POLL_SECONDS: Final = 1.0
"""Interval at which a worker polls for other workers and for events to retry."""
_TURN_SECONDS: Final = 0.5
"""Approximate time for kept events before live events have their turn."""
_IDLE_SAVE_SECONDS: Final = 15.0
"""Interval at which an idle worker saves its advancing cursor, for `prune` and for the next worker."""
_DISCONNECTED_LOG_SECONDS: Final = (10.0, 600.0)
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
        self._is_stopping = False
        self.disconnected_reason: str | None = "not connected yet"
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
        calls = AsyncCalls() if settings.concurrency > 1 else None
        self._handlers = Handlers(settings, self._transaction and self._transaction.attempt, calls, consumer=name)
        self._feedback = Feedback(name, settings.ignore_own_changes, settings.max_causes, self._shares.ask)
        self._dispatch = Dispatch(
            self._handlers, self._shares, self._transaction, self._feedback, self._stopping, settings.rate_limit
        )
        self._reader = ShareReader(self._listener, self._shares, self._feedback, self.report)
        self._concurrent: ConcurrentDelivery | None = None
        if calls is not None:
            self._concurrent = ConcurrentDelivery(
                self._dispatch,
                self._reader,
                self._feedback,
                calls,
                settings.concurrency,
                settings.batch_size,
                settings.batch_seconds,
                self._stopping,
            )
        self._batches: BatchDelivery | None = None
        if self._handlers.has_batches and calls is None:
            self._listener.page_events = max(self._listener.page_events, settings.batch_size)
            self._batches = BatchDelivery(
                self._dispatch,
                self._reader,
                self._feedback,
                settings.batch_size,
                settings.batch_seconds,
                lambda: self._is_interrupted,
            )
        self._housekeeping = Housekeeping(settings, name, self._shares.is_first)
        self._look_at = 0.0

    @property
    def report(self) -> Report:
        """Counts since the start."""
        return self._dispatch.report

    @property
    def last_failure(self) -> str | None:
        """Callback, exception and place of the last failure; None if there was none."""
        return self._handlers.last_failure

    @property
    def is_paused(self) -> bool:
        """True if the consumer is paused. May be read by other threads."""
        return self._shares.is_paused

    @property
    def moved_at(self) -> float:
        """Value of `time.monotonic()` when the last event was finished, or there was nothing to do."""
        return self._dispatch.moved_at

    def wrap(self, around: Callable[[Callback], Callback]) -> None:
        """Replace each callback by the result of `around`."""
        self._handlers.wrap(around)

    def stop(self) -> None:
        """Finish the current event, save, and return from `run()`. Safe in a signal handler and from other threads."""
        self._is_stopping = True
        self._stopping.set()

    def trouble(self) -> str | None:
        """Reason in one line why nothing is delivered; None if healthy or idle. May be called by other threads."""
        return self.stalled() if self.disconnected_reason is None else f"disconnected: {self.disconnected_reason}"

    def stalled(self) -> str | None:
        """Message if no event was finished for long although one waits and the worker is connected; else None."""
        seconds = time.monotonic() - self.moved_at
        if self.disconnected_reason is not None or seconds <= self._stalled_seconds:
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
            self.disconnected_reason = None
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
            self._handlers.close()
        return self.report

    def _work(self, once: bool) -> None:
        is_waiting = is_paused = False
        while not self._stopping.is_set():
            try:
                self._dispatch.note_progress()
                self._poll_sometimes()
                if is_paused is not self._shares.is_paused:
                    is_paused = self._shares.is_paused
                    self._log_paused(is_paused)
                if is_paused:
                    self._quiesce()
                    self._is_ready()
                    if once:
                        break
                    self._stopping.wait(_POLL_SECONDS / 4)
                    continue
                share = self._shares.furthest_behind()
                if share is None:
                    if not is_waiting:
                        log.info("consumer %s has a worker; waiting for a share of its rows", self.name)
                        is_waiting = True
                    self._stopping.wait(_POLL_SECONDS / 4)
                    continue
                self._is_ready()
                if self._shares.any_redelivery:
                    self._quiesce()
                    self._redeliver()
                if self._deliver_next(share) or len(self._shares.held) > 1 or self._shares.any_redelivery:
                    continue
                if once:
                    if self._redeliver():
                        continue
                    break
                if time.monotonic() - share.saved_at > _IDLE_SAVE_SECONDS:
                    self._reader.advance(share)
                    self._shares.save(share)
                self._listener.wait(_POLL_SECONDS)
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
                    self._quiesce()
                raise
        with suppress(DatabaseUnreachable, CursorTaken):
            self._quiesce()

    def _log_paused(self, is_paused: bool) -> None:
        if is_paused:
            remedy = f"pg_events consumers resume {shlex.quote(self.name)}"
            log.warning("consumer %s is paused; nothing is delivered until: %s", self.name, remedy)
        else:
            log.info("consumer %s is resumed", self.name)

    # --- delivering ---------------------------------------------------------------------------------------------

    def _deliver_next(self, share: Share) -> bool:
        """Deliver the next events of the share. Returns False if there are none."""
        if self._batches is not None:
            return self._deliver_batches(self._batches, share)
        if self._concurrent is None:
            return self._deliver(share, self._reader.next(share))
        is_any = self._concurrent.step(share)
        # With several shares, events in flight are finished first; none is left when a poll changes the shares.
        while len(self._shares.held) > 1 and self._concurrent and not self._is_interrupted:
            self._concurrent.step(share)
            self._poll_sometimes()
        return is_any

    @property
    def _is_interrupted(self) -> bool:
        return self._is_stopping or self._shares.is_paused

    def _quiesce(self) -> None:
        """Wait until nothing is in flight, and save, so that the shares may change."""
        if self._concurrent is not None:
            self._concurrent.quiesce()

    def _drain(self) -> None:
        """Wait until nothing is in flight, without using the database."""
        if self._concurrent is not None:
            self._concurrent.drain()

    def _deliver(self, share: Share, page: Sequence[Record]) -> bool:
        """Pass a page to the callbacks in order, saving the cursor in between if they are slow. Returns False if empty."""
        dispatch = self._dispatch
        may_skip = self._feedback.may_skip
        share.begin_page(*self._listener.page_bounds)
        for record in page:
            if self._is_interrupted:
                break
            decision = dispatch.decide(share, record, is_own=may_skip and self._feedback.skips(record))
            if decision is Decision.DUE:
                try:
                    dispatch.deliver(share, record)
                except Stopping:
                    break
            elif decision is Decision.BLOCKED:
                dispatch.block(share, record)
            share.pass_event(record, is_finished=decision not in SKIPPED)
            self._save_if_due(share, is_uncertain=decision is Decision.DUE and share.interruptions > 0)
        else:
            if page:
                share.advance(self._listener.cursor)
                share.end_interruptions()
        if page:
            dispatch.save(share)
        return bool(page)

    def _deliver_batches(self, batches: BatchDelivery, share: Share) -> bool:
        """Deliver the next events of the share in batches. Returns False if there are none."""
        is_any = batches.step(share, lambda is_uncertain: self._save_if_due(share, is_uncertain=is_uncertain))
        if is_any:
            self._dispatch.save(share)
        return is_any

    def _save_if_due(self, share: Share, *, is_uncertain: bool) -> None:
        """Save the cursor within a page, if callbacks are slow, or a worker died during the event before."""
        now = self._dispatch.note_progress()
        is_due = is_uncertain or (self._transaction is not None and self._transaction.is_due)
        if is_due or now - share.saved_at > _SAVE_SECONDS:
            self._dispatch.save(share)
            self._poll_sometimes()

    # --- kept events --------------------------------------------------------------------------------------------

    def _redeliver(self) -> bool:
        """Deliver retried and unblocked events for one turn, before live events and other workers have theirs.

        Returns False if there were none.
        """
        shares, is_any = self._shares, False
        until = time.monotonic() + _TURN_SECONDS
        shares.any_redelivery = False
        for share in [*shares.held]:
            redeliveries = shares.redeliveries(share)
            is_any = is_any or bool(redeliveries)
            for kept in redeliveries:
                if self._is_interrupted or time.monotonic() > until:
                    break
                with suppress(Stopping):
                    self._dispatch.redeliver(share, kept)
                self._dispatch.note_progress()
            if share.delivered:
                shares.save(share)
        if is_any:
            if shares.blocked_rows:
                shares.learn_blocked_rows()
            shares.any_redelivery = not self._stopping.is_set()  # the next turn finds out
        return is_any

    # --- the connection and the other workers -------------------------------------------------------------------

    def _is_ready(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    def _poll_sometimes(self) -> None:
        if time.monotonic() < self._look_at:
            return
        self._shares.look(self._quiesce)
        self.share = sum(len(share.slots) for share in self._shares.held) / SLOTS
        self._look_at = time.monotonic() + _POLL_SECONDS

    def _reconnect(self, error: DatabaseUnreachable) -> None:
        """Reconnect, indefinitely.

        Events that were delivered but not saved are not delivered again, unless another worker had the share meanwhile.
        """
        self.disconnected_reason = str(error)
        log.warning("%s; reconnecting", error)
        self._listener.close()
        self._drain()
        if self._transaction is not None:
            self._transaction.abandon()
        lost_at, log_at, pause = time.monotonic(), _DISCONNECTED_LOG_SECONDS[0], 0.1
        while not self._stopping.is_set():
            try:
                self._listener.connect()
                self._feedback.learn_role(self._listener.session_user)
                # Only the server knows whether the last transaction was committed.
                is_undone = self._transaction is not None and self._transaction.state is State.UNDONE
                self._shares.join(reload=is_undone, is_reconnect=True)
                if self._transaction is not None:
                    self._transaction.resume()
                    self._transaction.connect()
            except DatabaseUnreachable as again:
                self.disconnected_reason = str(again)
                seconds = time.monotonic() - lost_at
                level = logging.DEBUG if seconds < log_at else logging.WARNING
                if seconds >= log_at:
                    log_at = seconds + min(seconds, _DISCONNECTED_LOG_SECONDS[1])
                log.log(level, "disconnected for %.1f s: %s", seconds, again, extra={"seconds": round(seconds, 3)})
                self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, 10.0)
            else:
                self._reader.forget()
                self._look_at = 0.0
                self.disconnected_reason = None
                self.report.reconnects += 1
                seconds = time.monotonic() - lost_at
                log.info("connected again after %.1f s", seconds, extra={"seconds": round(seconds, 3)})
                return
