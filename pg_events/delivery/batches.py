"""Delivery in batches: passes lists of events of a share to a batch callback, in order.

A batch that fails is retried once, then halved until the failing event is alone, which is delivered like any single event:
with all its attempts, and kept if it is given up. Next to an event during which a worker died, all events are alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from pg_events.callbacks.callback import Failure
from pg_events.delivery.attempts import Handler, Stopping
from pg_events.delivery.dispatch import SKIPPED, Decision, Dispatch
from pg_events.delivery.loops import Feedback
from pg_events.delivery.reader import Pages, ShareReader
from pg_events.delivery.share import Share
from pg_events.event import METHODS, SCHEMA, Record


@dataclass
class _Batch:
    """Consecutive events of a share: those for one call, and others among them."""

    end: int
    """Position after them in what was read."""
    handler: Handler | None = None
    due: list[Record] = field(default_factory=list[Record])
    """Events for the callback."""
    decided: list[tuple[Record, Decision, Failure | None]] | None = None
    """All events, with the decision about each, and the reason why one that is due must not be delivered.

    None if all are due and may be delivered.
    """


class BatchDelivery:
    """Batches of the shares of one worker, one call at a time."""

    def __init__(
        self,
        dispatch: Dispatch,
        reader: ShareReader,
        feedback: Feedback,
        size: int,
        seconds: float,
        is_interrupted: Callable[[], bool],
    ) -> None:
        """Deliver batches of up to `size` events, which are waited for up to `seconds`."""
        self._dispatch = dispatch
        self._reader = reader
        self._feedback = feedback
        self._size = size
        self._seconds = seconds
        self._is_interrupted = is_interrupted
        self._parts: list[int] = []
        """Sizes of the parts that are left of a batch that was halved, the next one last."""

    def step(self, share: Share, after_batch: Callable[[bool], None]) -> bool:
        """Read, and deliver batch by batch. Returns False if there are no events. Raises `CallbackGaveUp`.

        `after_batch` is called once the cursor has moved over a batch, with True if it should be saved at once.
        """
        pages = self._reader.fill(share, self._size, self._seconds, self._is_interrupted)
        self._parts.clear()
        position = 0
        while position < len(pages.records) and not self._is_interrupted():
            batch = self._collect(share, pages.records, position)
            try:
                is_done = self._call(share, batch)
            except Stopping:
                break
            if is_done:
                self._pass(share, batch, pages)
                position = batch.end
                after_batch(bool(batch.due) and share.interruptions > 0)
        else:
            if position and position == len(pages.records):
                share.advance(pages.end)
                share.end_interruptions()
        return bool(pages.records)

    def _collect(self, share: Share, records: list[Record], begin: int) -> _Batch:
        """Batch from a position on. It ends before an event of another callback; an event of a single one is alone."""
        dispatch, may_skip = self._dispatch, self._feedback.may_skip
        size = 1 if share.interruptions else self._parts[-1] if self._parts else self._size
        batch = _Batch(begin)
        handler = dispatch.handlers.get(is_schema=False)
        if not may_skip and handler is not None and handler.callback.is_batch and dispatch.delivers_all(share):
            chunk = records[begin : begin + size]
            if all(record.context is None and record.kind in METHODS for record in chunk):
                return _Batch(begin + len(chunk), handler, chunk, None)
        batch.decided = decided = list[tuple[Record, Decision, Failure | None]]()
        for record in islice(records, begin, None):
            decision = dispatch.decide(share, record, is_own=may_skip and self._feedback.skips(record))
            refusal = None
            if decision is Decision.DUE and (handler := dispatch.handlers.get(record.kind == SCHEMA)) is not None:
                if batch.due and (handler is not batch.handler or len(batch.due) >= size):
                    break
                if (refusal := dispatch.refusal(record)) is None:
                    batch.handler = handler
                    batch.due.append(record)
                    if not handler.callback.is_batch:
                        size = 1
            decided.append((record, decision, refusal))
            batch.end += 1
        return batch

    def _call(self, share: Share, batch: _Batch) -> bool:
        """Call the callback; return False if the batch was halved instead. Raises `Stopping`, `CallbackGaveUp`."""
        due, handler = batch.due, batch.handler
        is_part = bool(self._parts)
        if handler is not None and len(due) > 1:
            if not self._dispatch.deliver_batch(share, due, handler, is_part=is_part):
                if is_part:
                    self._parts.pop()
                half = len(due) // 2
                self._parts += [len(due) - half, half]
                return False
        elif due:
            self._dispatch.deliver(share, due[0])
        if is_part:
            self._parts.pop()
        return True

    def _pass(self, share: Share, batch: _Batch, pages: Pages) -> None:
        """Move the cursor over a batch, and keep the events that are not delivered."""
        share.begin_page(*pages.bounds(batch.end - 1))
        if batch.decided is None:
            share.pass_events(batch.due)
            return
        for record, decision, refusal in batch.decided:
            if refusal is not None:
                self._dispatch.refuse(share, record, refusal)
            elif decision is Decision.BLOCKED:
                self._dispatch.block(share, record)
            share.pass_event(record, is_finished=decision not in SKIPPED)
