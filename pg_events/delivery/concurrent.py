"""Concurrent delivery: reads ahead of the first unfinished event and starts calls as `pg_events.delivery.ordering` allows.

The cursor follows the finished events.
"""

import heapq
import threading
import time
from typing import Final

from pg_events.delivery.async_calls import AsyncCalls
from pg_events.delivery.attempts import CallbackGaveUp
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
        stopping: threading.Event,
    ) -> None:
        """Deliver with up to `maximum` concurrent calls."""
        self._dispatch = dispatch
        self._reader = reader
        self._feedback = feedback
        self._calls = calls
        self._maximum = maximum
        self._stopping = stopping
        self._scheduler = RowScheduler()
        self._share: Share | None = None
        """Share that the events belong to."""
        self._retries: list[tuple[float, int, InFlight]] = []
        """Heap of retries: time of the retry, id, event."""
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
            if time.monotonic() < self._turn_at:
                break
            is_retry = self._retries and self._retries[0][0] <= time.monotonic()
            event = heapq.heappop(self._retries)[2] if is_retry else self._scheduler.next_ready()
            if event is None:
                break
            if event.retries is None:
                self._scheduler.finish(event)
            elif (refusal := self._dispatch.refusal(event.record)) is not None:
                self._dispatch.refuse(share, event.record, refusal)
                self._finish(share, event)
            elif self._dispatch.decide(share, event.record) is Decision.BLOCKED:
                self._dispatch.block(share, event.record)
                self._finish(share, event)
            elif (seconds := self._dispatch.rate.delay()) > 0:
                self._turn_at = time.monotonic() + seconds
                heapq.heappush(self._retries, (self._turn_at, event.record.id, event))
            else:
                self._calls.start(event, event.retries)

    def _patience(self) -> float:
        """Seconds to wait for a result before there is other work."""
        if not self._calls.running and not self._retries:
            return 0.0
        if not self._retries or self._calls.running >= self._maximum:
            return _BUSY_SECONDS
        return max(0.0, min(self._retries[0][0] - time.monotonic(), _BUSY_SECONDS))

    def _take_results(self, share: Share, seconds: float | None) -> None:
        """Conclude the calls that ended, waiting for the first. Raises `CallbackGaveUp`."""
        is_any = False
        while (result := self._calls.result(0.0 if is_any else seconds)) is not None:
            is_any = True
            event, failure = result
            assert event.retries is not None
            pause = self._dispatch.conclude(share, event.record, event.retries, failure)
            if pause is None:
                self._finish(share, event)
            else:
                heapq.heappush(self._retries, (time.monotonic() + pause, event.record.id, event))

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
        self._scheduler = RowScheduler()
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
