"""Concurrent delivery: reads ahead of the first unfinished event and starts calls as `pg_events.delivery.ordering` allows.

The cursor follows the finished events.
"""

import heapq
import threading
import time
from collections.abc import Sequence
from typing import Final

from pg_events.callbacks.callback import Failure
from pg_events.delivery.async_calls import AsyncCall, AsyncCalls
from pg_events.delivery.attempts import BatchRetries, CallbackGaveUp
from pg_events.delivery.dispatch import Decision, Dispatch
from pg_events.delivery.loops import Feedback
from pg_events.delivery.ordering import InFlight, RowScheduler
from pg_events.delivery.reader import ShareReader
from pg_events.delivery.share import Share
from pg_events.event import SCHEMA, Record
from pg_events.log.listener import Cursor

_SAVE_SECONDS: Final = 0.5
"""Interval at which the cursor is saved while events finish."""
_BUSY_SECONDS: Final = 0.05
"""Interval at which the log is polled while calls run and there is room for more."""


class ConcurrentDelivery:
    """Events of one share that are in flight. Used by one thread; `calls` has its own."""

    def __init__(
        self,
        dispatch: Dispatch,
        reader: ShareReader,
        feedback: Feedback,
        calls: AsyncCalls,
        maximum: int,
        batch_size: int,
        batch_seconds: float,
        stopping: threading.Event,
    ) -> None:
        """Deliver with up to `maximum` concurrent calls.

        A batch callback gets up to `batch_size` events of different rows, which are waited for up to `batch_seconds`.
        """
        self._dispatch = dispatch
        self._reader = reader
        self._feedback = feedback
        self._calls = calls
        self._maximum = maximum
        self._stopping = stopping
        self._batch_size = batch_size if dispatch.handlers.has_batches else 1
        self._batch_seconds = batch_seconds
        self._unfinished = 2 * self._batch_size
        self._batch_at: float | None = None
        """Time at which a batch is passed on that is not full."""
        self._scheduler = RowScheduler(self._unfinished)
        self._share: Share | None = None
        """Share that the events belong to."""
        self._retries: list[tuple[float, int, AsyncCall]] = []
        """Heap of retries: time of the retry, id of the first event, call."""
        self._read_at = 0.0
        self._turn_at = 0.0
        """Time before which the rate limit allows no call."""

    def __bool__(self) -> bool:
        """True while an event is in flight."""
        return bool(self._scheduler)

    def step(self, share: Share) -> bool:
        """Read ahead, start calls that may run, take results. Returns False if there is nothing to do."""
        if self._share is not share:
            self.quiesce()
            self._share = share
        self._read_ahead(share)
        if not self._scheduler:
            return False
        self._start_calls(share)
        try:
            self._take_results(share, self._patience())
        except CallbackGaveUp:
            self.quiesce()
            raise
        self._advance(share)
        if not self._scheduler:
            share.end_interruptions()
        if not self._scheduler or share.interruptions or time.monotonic() - share.saved_at > _SAVE_SECONDS:
            self._dispatch.save(share)
        return True

    def _read_ahead(self, share: Share) -> None:
        now = time.monotonic()
        if not self._scheduler:
            page = self._reader.next(share)
        elif not self._scheduler.has_room or share.interruptions or now < self._read_at:
            return
        else:
            page = self._reader.read_ahead(share)
        self._read_at = 0.0 if page else now + _BUSY_SECONDS
        listener = self._reader.listener
        for record in page:
            is_last = record is page[-1]
            after = listener.cursor if is_last else listener.cursor_after(record)
            self._scheduler.add(self._in_flight(share, record, after))

    def _in_flight(self, share: Share, record: Record, after: Cursor) -> InFlight:
        """Event with its place in the order. Whether its row is blocked is decided when it is its turn."""
        is_schema = record.kind == SCHEMA
        handler = self._dispatch.handlers.get(is_schema)
        decision = self._dispatch.decide(share, record, is_own=self._feedback.skips(record))
        if handler is None or decision not in (Decision.DUE, Decision.BLOCKED):
            # A schema event without a callback is a barrier all the same: a table that it renames keeps its rows.
            return InFlight(record, after, "", "", "", is_finished=not is_schema)
        keys = self._dispatch.shares.keys
        retries = self._dispatch.begin(share, record, handler)
        return InFlight(record, after, keys.table_key(record), keys.key(record), keys.next_key(record), retries)

    def _start_calls(self, share: Share) -> None:
        while self._calls.running < self._maximum and not self._stopping.is_set():
            now = time.monotonic()
            if now < self._turn_at:
                break
            is_retry = self._retries and self._retries[0][0] <= now
            call = heapq.heappop(self._retries)[2] if is_retry else self._next_call(share, now)
            if call is None:
                break
            call = self._without_blocked(share, call)
            if call is None:
                continue
            if (seconds := self._dispatch.rate.delay()) > 0:
                self._turn_at = time.monotonic() + seconds
                self._retry(self._turn_at, call)
            else:
                self._calls.start(call)

    def _next_call(self, share: Share, now: float) -> AsyncCall | None:
        """Next call of events that may run; None if there is none, or a batch is waited for."""
        if self._batch_size > 1 and self._scheduler.ready < self._batch_size and not share.interruptions:
            if not self._scheduler.ready:
                self._batch_at = None
                return None
            self._batch_at = self._batch_at or now + self._batch_seconds
            if now < self._batch_at and self._scheduler.has_room:
                return None
        self._batch_at = None
        while (event := self._scheduler.next_ready()) is not None:
            if event.retries is None:
                self._scheduler.finish(event)
                continue
            handler = event.retries.handler
            if not handler.callback.is_batch or share.interruptions:
                return self._call_of([event])
            return self._call_of(self._scheduler.take_batch(event, self._batch_size))
        return None

    def _call_of(
        self, events: Sequence[InFlight], *, is_part: bool = False, rest: tuple[Sequence[InFlight], ...] = ()
    ) -> AsyncCall:
        retries = events[0].retries_of_call
        return AsyncCall(events, retries if len(events) == 1 else BatchRetries(retries.handler, is_part=is_part), rest)

    def _without_blocked(self, share: Share, call: AsyncCall) -> AsyncCall | None:
        """Finish events that must not be delivered; return the call with the others, None if there are none."""
        due = list[InFlight]()
        for event in call.events:
            if (refusal := self._dispatch.refusal(event.record)) is not None:
                self._dispatch.refuse(share, event.record, refusal)
                self._finish(share, event)
            elif self._dispatch.decide(share, event.record) is Decision.BLOCKED:
                self._dispatch.block(share, event.record)
                self._finish(share, event)
            else:
                due.append(event)
        if len(due) == len(call.events):
            return call
        if not due:
            self._go_on(call)
            return None
        is_part = isinstance(call.retries, BatchRetries) and call.retries.is_part
        return self._call_of(due, is_part=is_part, rest=call.rest)

    def _retry(self, at: float, call: AsyncCall) -> None:
        heapq.heappush(self._retries, (at, call.events[0].record.id, call))

    def _patience(self) -> float:
        """Seconds to wait for a result before there is other work."""
        if not self._calls.running and not self._retries:
            return 0.0 if self._batch_at is None else max(0.0, min(self._batch_at - time.monotonic(), _BUSY_SECONDS))
        if not self._retries or self._calls.running >= self._maximum:
            return _BUSY_SECONDS
        return max(0.0, min(self._retries[0][0] - time.monotonic(), _BUSY_SECONDS))

    def _take_results(self, share: Share, seconds: float | None) -> None:
        """Conclude the calls that ended, waiting for the first. Raises `CallbackGaveUp`."""
        is_any = False
        while (result := self._calls.result(0.0 if is_any else seconds)) is not None:
            is_any = True
            call, failure = result
            if isinstance(call.retries, BatchRetries):
                self._conclude_batch(share, call, call.retries, failure)
                continue
            (event,) = call.events
            pause = self._dispatch.conclude(share, event.record, call.retries, failure)
            if pause is None:
                self._finish(share, event)
                self._go_on(call)
            else:
                self._retry(time.monotonic() + pause, call)

    def _conclude_batch(self, share: Share, call: AsyncCall, retries: BatchRetries, failure: Failure | None) -> None:
        records = [event.record for event in call.events]
        if failure is None:
            self._dispatch.finish_batch(share, records)
            for event in call.events:
                self._finish(share, event)
            self._go_on(call)
            return
        pause = self._dispatch.fail_batch(retries, records, failure)
        if pause is not None:
            self._retry(time.monotonic() + pause, call)
            return
        half = len(records) // 2
        self._go_on(call._replace(rest=(call.events[:half], call.events[half:], *call.rest)))

    def _go_on(self, call: AsyncCall) -> None:
        """Have the next part of a batch called that was halved: events of one row can be in several."""
        if call.rest:
            self._retry(time.monotonic(), self._call_of(call.rest[0], is_part=True, rest=call.rest[1:]))

    def _finish(self, share: Share, event: InFlight) -> None:
        self._scheduler.finish(event)
        share.finish(event.record)
        self._dispatch.note_progress()

    def _advance(self, share: Share) -> None:
        for event in self._scheduler.pop_finished():
            share.advance(event.after, event.record if share.is_finished(event.record) else None)

    def drain(self) -> None:
        """Wait for the running calls and drop the events read ahead; they are read again from the cursor.

        Does not use the database. Raises `CallbackGaveUp`, after all calls have ended, if a callback gave up and its
        policy is to stop.
        """
        share, self._share = self._share, None
        if share is None:
            return
        error: CallbackGaveUp | None = None
        while self._calls.running:
            try:
                self._take_results(share, None)
            except CallbackGaveUp as raised:
                error = raised
        self._advance(share)
        self._scheduler = RowScheduler(self._unfinished)
        self._batch_at = None
        self._retries.clear()
        self._reader.forget()
        if error is not None:
            raise error

    def quiesce(self) -> None:
        """Wait for the running calls and save the cursor, before the shares change. Raises `CallbackGaveUp`."""
        share = self._share
        try:
            self.drain()
        finally:
            if share is not None and share in self._dispatch.shares.held:
                self._dispatch.save(share)
