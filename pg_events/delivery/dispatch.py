"""Decision about one event, its outcome, and the save that records it.

Independent of ordering and of the event source.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol

from pg_events.callbacks.callback import Failure
from pg_events.delivery.attempts import (
    BatchRetries,
    CallbackGaveUp,
    End,
    Handler,
    Handlers,
    Retries,
    Stopping,
    gave_up,
    log_fields,
    name_of,
    name_of_batch,
)
from pg_events.delivery.give_up import FailedEvent
from pg_events.delivery.loops import Feedback
from pg_events.delivery.rate import RateLimit
from pg_events.delivery.share import Share
from pg_events.delivery.shares import Redelivery, Shares
from pg_events.delivery.transaction import JointTransaction
from pg_events.event import BROKEN, SCHEMA, PayloadWriter, Record, broken, is_of_schema, replayed
from pg_events.text import one_line

log = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 1.0
"""Interval at which a worker polls while it waits for the next call."""
_HELD_SECONDS: Final = 0.05
"""Maximum time that a transaction of callbacks stays open because of the rate limit."""


@dataclass
class Report:
    """Counts of a worker since its start."""

    delivered: int = 0
    """Events whose callback returned."""
    failed: int = 0
    """Events kept as failed."""
    retried: int = 0
    """Failed attempts that were retried."""
    held: int = 0
    """Events blocked because an earlier one of their row failed."""
    discarded: int = 0
    """Events that the callback discarded, kept as such."""
    postponed: int = 0
    """Calls that ended with `RetryAfter`."""
    reconnects: int = 0
    batches: int = field(default=0, compare=False)
    """Pages read, without empty ones."""
    read: int = field(default=0, compare=False)
    """Events in the pages read, including those of other workers' rows."""


class Decision(Enum):
    """Decision of a worker about an event that it has read."""

    DUE = auto()
    """Deliver it now."""
    BLOCKED = auto()
    """Keep it: an earlier event of its row failed."""
    FINISHED = auto()
    """Pass it: it was finished before the connection was lost, or ahead of the cursor."""
    OWN_CHANGE = auto()
    """Skip it: the callbacks of this consumer caused it."""
    OTHER_SHARE = auto()
    """Skip it: its row belongs to another share."""


SKIPPED: Final = (Decision.OWN_CHANGE, Decision.OTHER_SHARE)
"""Decisions about events that the worker of the share does not finish."""


class Rows(Protocol):
    """Row and slot of an event, see `RowKeys`."""

    def key(self, record: Record) -> str: ...
    def slot(self, record: Record) -> int: ...


def decide(record: Record, share: Share, rows: Rows, blocked_rows: Set[str], *, is_own: bool) -> Decision:
    """Decide about an event that the worker of the share has read. A TRUNCATE is not blocked by any row."""
    if share.is_finished(record):
        return Decision.FINISHED
    if is_own:
        return Decision.OWN_CHANGE
    if not share.is_whole and rows.slot(record) not in share.slots:
        return Decision.OTHER_SHARE
    if blocked_rows and record.kind != "T" and rows.key(record) in blocked_rows:
        return Decision.BLOCKED
    return Decision.DUE


_NO_ROWS: Set[str] = frozenset()


class Dispatch:
    """Passes the events of a worker's shares to the callbacks, and records what became of them."""

    def __init__(
        self,
        handlers: Handlers,
        shares: Shares,
        transaction: JointTransaction | None,
        feedback: Feedback,
        stopping: threading.Event,
        rate_limit: float | None,
    ) -> None:
        """Prepare the delivery. With `transaction`, writes of callbacks commit together with each save."""
        self.handlers = handlers
        self.shares = shares
        self.transaction = transaction
        self._feedback = feedback
        self.report = Report()
        self.rate = RateLimit(shares, rate_limit)
        self._stopping = stopping
        self._moved_at = time.monotonic()
        self._payload = PayloadWriter()
        self._unsaved: dict[tuple[int, int], tuple[int, Failure]] = {}
        """Failed retries, by id and former attempts, that could not be saved because the connection was lost."""

    @property
    def moved_at(self) -> float:
        """Value of `time.monotonic()` when the last event was finished, or there was nothing to do."""
        return self._moved_at

    def note_progress(self) -> float:
        """Note that an event was finished, or that there is nothing to do; return the time."""
        self._moved_at = time.monotonic()
        return self._moved_at

    def save(self, share: Share) -> None:
        """Save the cursor, together with the writes of callbacks in transactional mode."""
        if self.transaction is None:
            self.shares.save(share)
        else:
            self.transaction.commit(lambda connection: self.shares.save(share, connection))

    def delivers_all(self, share: Share) -> bool:
        """Return True if every event that the worker reads is due, except those that it is to skip as its own."""
        return share.is_plain and not self.shares.blocked_rows

    # --- new events ---------------------------------------------------------------------------------------------

    def decide(self, share: Share, record: Record, *, is_own: bool = False) -> Decision:
        """Decide what is to be done with an event. Events without a callback are not blocked."""
        blocked_rows = self.shares.blocked_rows
        if not is_own and self.delivers_all(share):
            return Decision.DUE
        if blocked_rows and self.handlers.get(record.kind == SCHEMA) is None:
            blocked_rows = _NO_ROWS
        return decide(record, share, self.shares.keys, blocked_rows, is_own=is_own)

    def block(self, share: Share, record: Record) -> None:
        """Keep an event because an earlier one of its row failed."""
        share.block(record, self.shares.keys.key(record))
        self.report.held += 1

    def deliver(self, share: Share, record: Record) -> None:
        """Call the callback until it returns or gives up. Raises `Stopping`, `CallbackGaveUp`."""
        handler = self.handlers.get(record.kind == SCHEMA)
        if handler is None:
            return
        if (refusal := self.refusal(record)) is not None:
            self.refuse(share, record, refusal)
            return
        retries: Retries | None = None
        number = 1
        if share.is_uncertain:
            retries = self.begin(share, record, handler)
            number = retries.number
        while True:
            if self.rate.is_limited:
                self._wait_for_turn(share)
            failure = self.handlers.attempt(handler.callback, self._payload(record), number)
            if failure is None:
                share.deliver(record.id)
                self.report.delivered += 1
                return
            retries = retries or self.begin(share, record, handler)
            try:
                pause = self.conclude(share, record, retries, failure)
            except CallbackGaveUp:
                self.save(share)
                raise
            if pause is None:
                return
            self.save(share)
            self._wait(pause, is_intended=failure.retry_after is not None)
            number = retries.number

    def deliver_batch(self, share: Share, records: Sequence[Record], handler: Handler, *, is_part: bool) -> bool:
        """Call the callback with several events until it returns. Returns False if they are to be halved.

        `is_part` is True if they are a part of a batch that failed. Raises `Stopping`.
        """
        retries = BatchRetries(handler, is_part=is_part)
        payloads = [*map(self._payload, records)]
        while True:
            if self.rate.is_limited:
                self._wait_for_turn(share)
            failure = self.handlers.attempt(handler.callback, payloads, retries.number)
            if failure is None:
                self.finish_batch(share, records)
                return True
            pause = self.fail_batch(retries, records, failure)
            if pause is None:
                return False
            self.save(share)
            self._wait(pause, is_intended=failure.retry_after is not None)

    def finish_batch(self, share: Share, records: Sequence[Record]) -> None:
        """Note that the callback returned for all events of a batch."""
        share.deliver_batch(records)
        self.report.delivered += len(records)

    def fail_batch(self, retries: BatchRetries, records: Sequence[Record], failure: Failure) -> float | None:
        """Decide about a batch that failed: seconds until it is retried, or None to halve it. Counts and logs it."""
        failed = retries.failed
        pause = retries.fail(failure, random.random())  # noqa: S311 - jitter
        is_attempt = retries.failed > failed
        if is_attempt:
            self.report.retried += 1
        else:
            self.report.postponed += 1
        batch = name_of_batch(records)
        if pause is None:
            self.handlers.log_halved(retries, batch, failure)
        else:
            self.handlers.log_retry(retries, batch, failure, pause, is_attempt=is_attempt)
        return pause

    def begin(self, share: Share, record: Record, handler: Handler) -> Retries:
        """Retry state of an event, before its first attempt by this worker."""
        failed, waited = share.attempts(record.id)
        return Retries(handler, failed, share.interruptions, waited)

    def conclude(self, share: Share, record: Record, retries: Retries, failure: Failure | None) -> float | None:
        """Record the outcome of an attempt; return the seconds until the next one, or None if the event is finished.

        An event that is given up is kept with the next save. Raises `CallbackGaveUp` if the policy is to stop before it.
        """
        if failure is None:
            share.deliver(record.id)
            self.report.delivered += 1
            return None
        pause = self._fail(retries, record, failure)
        share.retry(record.id, retries.failed, retries.waited)
        if pause is End.DISCARD:
            self._discard(share, record, retries, failure)
        elif pause is End.GIVE_UP:
            self._give_up(share, record, retries, failure)
        else:
            return pause
        return None

    def _fail(self, retries: Retries, event: Record | str, failure: Failure) -> float | End:
        """Decide about the next attempt, and count and log it."""
        failed = retries.failed
        pause = retries.fail(failure, random.random())  # noqa: S311 - jitter
        if not isinstance(pause, End):
            is_attempt = retries.failed > failed
            self.handlers.log_retry(retries, event, failure, pause, is_attempt=is_attempt)
            if is_attempt:
                self.report.retried += 1
            else:
                self.report.postponed += 1
        return pause

    def _discard(self, share: Share, record: Record, retries: Retries, failure: Failure) -> None:
        share.fail(record, self.shares.keys.key(record), retries.failed, failure)
        self._log_discarded(retries, record, failure)

    def _log_discarded(self, retries: Retries, event: Record | str, failure: Failure) -> None:
        self.report.discarded += 1
        callback = retries.handler.callback
        log.info(
            "%s discarded %s: %s",
            *(callback.name, name_of(event), one_line(failure.message)),
            extra=log_fields(callback, event, retries.failed, failure) | {"traceback": None},
        )

    def _give_up(self, share: Share, record: Record, retries: Retries, failure: Failure) -> None:
        callback, policy = retries.handler
        self.handlers.note(callback, failure)  # it is logged with its traceback: no longer the first of its kind
        text = gave_up(callback, record, retries.failed, failure)
        self._call_hook(record.id, record.payload, retries, failure)
        if policy.on_failure == "stop":
            raise CallbackGaveUp(f"{text}; stopped before it, because of PG_EVENTS_ON_FAILURE")
        row = self.shares.keys.key(record)
        holds = policy.on_failure == "hold"
        share.fail(record, row, retries.failed, failure, holds=holds)
        self.report.failed += 1
        if holds:
            self.shares.block_row(row)
        then = "kept as failed; later events of its row are blocked" if holds else "kept as failed"
        log.error("%s; %s", text, then, extra=log_fields(callback, record, retries.failed, failure))

    def _call_hook(self, event_id: int, payload: str, retries: Retries, failure: Failure) -> None:
        """Call the user's function for an event that was given up, before that is saved."""
        self.handlers.on_give_up.call(
            FailedEvent(
                consumer=self.shares.consumer,
                event_id=event_id,
                callback=retries.handler.callback.name,
                attempts=retries.failed,
                error=failure.type,
                message=failure.message,
                traceback=failure.traceback,
                payload=payload,
            )
        )

    def refusal(self, record: Record) -> Failure | None:
        """Reason not to call the callback at all: the record is not a valid event, or ends a loop of callbacks; else None."""
        if record.kind == BROKEN:
            return _broken(record.broken)
        return None if record.context is None else self._feedback.loop(record)

    def refuse(self, share: Share, record: Record, failure: Failure) -> None:
        """Keep an event as failed without calling the callback.

        It blocks nothing and never stops the worker, which it would otherwise stop at each start.
        """
        share.fail(record, self.shares.keys.key(record), 0, failure)
        self.report.failed += 1
        text = f"is not valid: {failure.message}" if record.kind == BROKEN else f"ends a loop: {failure.message}"
        log.error("event %d %s; kept as failed", record.id, text, extra={"event_id": record.id})

    def _wait_for_turn(self, share: Share | None = None) -> None:
        """Wait until the rate limit allows the next call. Raises `Stopping`, `DatabaseUnreachable`."""
        while (seconds := self.rate.delay()) > 0:
            if share is not None and self.transaction is not None and seconds > _HELD_SECONDS:
                self.save(share)  # the transaction must not stay open
            self._wait(seconds, is_intended=True)

    def _wait(self, seconds: float, *, is_intended: bool) -> None:
        """Wait until the next call. A pause that the user intended is not a stall.

        Raises `Stopping`, also if the consumer is paused.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stopping.wait(min(left, _WAIT_SECONDS)):
                raise Stopping
            if left > _WAIT_SECONDS / 2 and self.shares.poll_paused():
                raise Stopping
            if is_intended:
                self.note_progress()
        if self._stopping.is_set():
            raise Stopping

    # --- kept events --------------------------------------------------------------------------------------------

    def redeliver(self, share: Share, kept: Redelivery) -> None:
        """Call the callback with a kept event. Raises `Stopping`."""
        is_schema = is_of_schema(kept.payload)
        handler = self.handlers.get(is_schema)
        if handler is None:
            self.shares.done(share, kept.event_id)
            return
        name = f"event {kept.event_id}"
        retries = Retries(handler, kept.attempts)
        failure = self._redelivered(kept, retries, name)
        if failure is None:
            self._forget(share, kept)
            share.deliver(kept.event_id)
            self.report.delivered += 1
            return
        if not failure.is_discard and (kept.event_id, kept.attempts) not in self._unsaved:
            self._call_hook(kept.event_id, kept.payload, retries, failure)
        self._unsaved[kept.event_id, kept.attempts] = retries.failed, failure
        if self.transaction is not None:
            # Rolls back the writes of the call; the transaction must not stay open.
            self.transaction.commit(lambda _connection: None)
        holds = handler.policy.on_failure != "skip" and not failure.is_discard
        self.shares.failed_again(kept.event_id, retries.failed, failure, holds=holds)
        del self._unsaved[kept.event_id, kept.attempts]
        if failure.is_discard:
            self._log_discarded(retries, name, failure)
            return
        self.report.failed += 1
        text = gave_up(handler.callback, name, retries.failed, failure)
        fields = log_fields(handler.callback, name, retries.failed, failure) | {"event_id": kept.event_id}
        log.error("%s; still kept as failed", text, extra=fields)

    def _redelivered(self, kept: Redelivery, retries: Retries, name: str) -> Failure | None:
        """Call the callback until it returns, or return the failure with which it gave up."""
        callback = retries.handler.callback
        reason = broken(kept.payload)
        if reason is not None:
            return _broken(reason)
        if unsaved := self._unsaved.get((kept.event_id, kept.attempts)):
            retries.failed, failure = unsaved
            return failure
        if kept.is_again:
            self._wait_for_turn()
            # Once: the user who asked sees the outcome, and live events do not wait for pauses.
            payload = replayed(kept.payload, "failed", retries.number)
            failure = self.handlers.attempt(callback, payload, retries.number)
            if failure is not None:
                retries.fail(failure, 0.0)
            return failure
        self._wait_for_turn()
        while failure := self.handlers.attempt(callback, kept.payload, retries.number):
            pause = self._fail(retries, name, failure)
            if isinstance(pause, End):
                return failure
            self._wait(pause, is_intended=failure.retry_after is not None)
            self._wait_for_turn()
        return None

    def _forget(self, share: Share, kept: Redelivery) -> None:
        """Remove a kept event that was delivered, and commit the writes of its callback."""
        if self.transaction is None:
            self.shares.done(share, kept.event_id)
        else:
            self.transaction.commit(lambda connection: self.shares.done(share, kept.event_id, connection))


def _broken(reason: str | None) -> Failure:
    return Failure("BrokenEvent", reason or "it cannot be read", "")
