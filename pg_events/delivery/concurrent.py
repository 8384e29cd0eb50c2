"""Concurrent delivery: reads ahead of the first unfinished event and starts calls as `pg_events.delivery.ordering` allows.

The cursor follows the finished events.
"""

import heapq
import threading
import time
from typing import Final

from pg_events.callbacks.callback import Failure
from pg_events.delivery.async_calls import Calls
from pg_events.delivery.attempts import CallbackGaveUp, most_attempts
from pg_events.delivery.dispatch import Handover
from pg_events.delivery.loops import Feedback
from pg_events.delivery.ordering import Entry, Lanes
from pg_events.delivery.reader import Pages
from pg_events.delivery.shares import Share
from pg_events.event import BROKEN, SCHEMA, Record
from pg_events.log.listener import Cursor

_SAVE_SECONDS: Final = 0.5
"""Interval at which the cursor is saved while events finish."""
_BUSY_SECONDS: Final = 0.05
"""Interval at which the log is polled while calls run and there is room for more."""


class Overlap:
    """Events of one share that are in flight. Used by one thread; `calls` has its own."""

    def __init__(
        self,
        handover: Handover,
        pages: Pages,
        feedback: Feedback,
        calls: Calls,
        most: int,
        stopping: threading.Event,
    ) -> None:
        """Deliver with a maximum of `most` concurrent calls."""
        self._handover = handover
        self._pages = pages
        self._feedback = feedback
        self._calls = calls
        self._most = most
        self._stopping = stopping
        self._lanes = Lanes()
        self._lanes_of: Share | None = None
        """Share that the events belong to."""
        self._pauses: list[tuple[float, int, Entry]] = []
        """Heap of retries: time of the retry, id, event."""
        self._read_at = 0.0

    def __bool__(self) -> bool:
        """True while an event is in flight."""
        return bool(self._lanes)

    def go_on(self, share: Share) -> bool:
        """Read ahead, start calls that may run, take results. Returns False if there is nothing to do."""
        if self._lanes_of is not share:
            self.put_down()
            self._lanes_of = share
        self._read_ahead(share)
        if not self._lanes:
            return False
        self._start_calls(share)
        try:
            self._take_results(share, self._patience())
        except CallbackGaveUp:
            self.put_down()
            raise
        self._pass(share)
        if not self._lanes:
            share.interruptions = 0
        if not self._lanes or share.interruptions or time.monotonic() - share.saved_at > _SAVE_SECONDS:
            self._handover.save(share)
        return True

    def _read_ahead(self, share: Share) -> None:
        now = time.monotonic()
        if not self._lanes:
            page = self._pages.next(share)
        elif not self._lanes.has_room or share.interruptions or now < self._read_at:
            return
        else:
            page = self._pages.further(share)
        self._read_at = 0.0 if page else now + _BUSY_SECONDS
        listener = self._pages.listener
        for record in page:
            is_last = record is page[-1]
            after = listener.cursor if is_last else listener.cursor_after(record)
            self._lanes.add(self._entry(share, record, after))

    def _entry(self, share: Share, record: Record, after: Cursor) -> Entry:
        is_schema, keys = record.kind == SCHEMA, self._handover.shares.keys
        is_wanted = (
            (share.is_whole or keys.slot(record) in share.slots)
            and self._handover.delivery.callback(is_schema) is not None
            and not self._feedback.skips(record)
            and not share.is_done(record)
        )
        # A schema event without a callback is a barrier all the same: a table that it renames keeps its rows.
        if not is_wanted:
            return Entry(record, after, "", "", "", is_wanted=False, is_finished=not is_schema)
        attempts = share.attempts.get(record.id, 0)
        return Entry(
            record,
            after,
            keys.table_key(record),
            keys.key(record),
            keys.next_key(record),
            unseen=share.interruptions,
            attempts=attempts,
            most_attempts=most_attempts(self._handover.delivery.policy(is_schema), attempts),
        )

    def _start_calls(self, share: Share) -> None:
        while self._calls.running < self._most and not self._stopping.is_set():
            is_again = self._pauses and self._pauses[0][0] <= time.monotonic()
            entry = heapq.heappop(self._pauses)[2] if is_again else self._lanes.next_ready()
            if entry is None:
                break
            callback = self._handover.delivery.callback(entry.record.kind == SCHEMA)
            if not entry.is_wanted:
                self._lanes.finish(entry)
            elif entry.record.kind == BROKEN:
                self._handover.keep_broken(share, entry.record)
                self._finish(share, entry)
            elif callback is not None and self._handover.is_due(share, entry.record):
                self._calls.start(callback, entry)
            else:
                self._finish(share, entry)

    def _patience(self) -> float:
        """Seconds to wait for a result before there is other work."""
        if not self._calls.running and not self._pauses:
            return 0.0
        if not self._pauses or self._calls.running >= self._most:
            return _BUSY_SECONDS
        return max(0.0, min(self._pauses[0][0] - time.monotonic(), _BUSY_SECONDS))

    def _take_results(self, share: Share, seconds: float) -> None:
        while (result := self._calls.result(seconds)) is not None:
            seconds = 0.0
            entry, failure = result
            if self._is_over(share, entry, failure):
                continue
            is_schema, delivery = entry.record.kind == SCHEMA, self._handover.delivery
            callback = delivery.callback(is_schema)
            assert callback is not None
            assert failure is not None
            pause = delivery.pause(callback, delivery.policy(is_schema), entry.record, entry.attempts, failure)
            heapq.heappush(self._pauses, (time.monotonic() + pause, entry.record.id, entry))

    def _is_over(self, share: Share, entry: Entry, failure: Failure | None) -> bool:
        """Note the outcome of a call; False if the event will be retried. Raises `CallbackGaveUp`."""
        record, attempts = entry.record, entry.attempts + 1
        if failure is None:
            share.delivered += 1
            self._handover.report.delivered += 1
        elif attempts < entry.most_attempts:
            self._handover.report.retried += 1
            entry.attempts = share.attempts[record.id] = attempts
            return False
        else:
            is_schema, delivery = record.kind == SCHEMA, self._handover.delivery
            callback = delivery.callback(is_schema)
            assert callback is not None
            self._handover.give_up(share, record, callback, delivery.policy(is_schema), attempts, failure)
        share.attempts.pop(record.id, None)
        self._finish(share, entry)
        return True

    def _finish(self, share: Share, entry: Entry) -> None:
        self._lanes.finish(entry)
        share.done[entry.record.id] = entry.record.at
        self._handover.moved_at = time.monotonic()

    def _pass(self, share: Share) -> None:
        for entry in self._lanes.passed():
            share.cursor = entry.after
            if entry.record.id in share.done:
                share.passed.append(entry.record)

    def drain(self) -> None:
        """Wait for the running calls and drop the events read ahead; they are read again from the cursor.

        Does not use the database. Raises `CallbackGaveUp`, after all calls have ended, if a callback gave up and its
        policy is to stop.
        """
        share, self._lanes_of = self._lanes_of, None
        if share is None:
            return
        gave_up: CallbackGaveUp | None = None
        while self._calls.running:
            result = self._calls.result(None)
            assert result is not None
            try:
                self._is_over(share, *result)
            except CallbackGaveUp as error:
                gave_up = error
        self._pass(share)
        self._lanes = Lanes()
        self._pauses.clear()
        self._pages.forget()
        if gave_up is not None:
            raise gave_up

    def put_down(self) -> None:
        """Wait for the running calls and save the cursor, before the shares change. Raises `CallbackGaveUp`."""
        share = self._lanes_of
        try:
            self.drain()
        finally:
            if share is not None and share in self._handover.shares.held:
                self._handover.save(share)
