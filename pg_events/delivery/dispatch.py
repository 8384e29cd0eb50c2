"""Outcome of one event: delivered, failed, blocked or skipped, and the save that records it.

Independent of ordering and of the event source.
"""

import logging
import time
from dataclasses import dataclass, field

from pg_events.callbacks.callback import Callback, Failure
from pg_events.config.settings import Policy
from pg_events.delivery.attempts import CallbackGaveUp, Delivery, about, gave_up
from pg_events.delivery.shares import Kept, Share, Shares, Waiting
from pg_events.delivery.transaction import JointTransaction
from pg_events.event import BROKEN, SCHEMA, Record, broken, is_of_schema, replayed

log = logging.getLogger(__name__)


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
    reconnects: int = 0
    batches: int = field(default=0, compare=False)
    """Pages read, without empty ones."""
    read: int = field(default=0, compare=False)
    """Events in the pages read, including those of other workers' rows."""


class Handover:
    """Passes the events of a worker's shares to the callbacks."""

    def __init__(self, delivery: Delivery, shares: Shares, transaction: JointTransaction | None) -> None:
        """Prepare the delivery. With `transaction`, writes of callbacks commit together with each save."""
        self.delivery = delivery
        self.shares = shares
        self.transaction = transaction
        self.report = Report()
        self.moved_at = time.monotonic()
        """Time when the last event was finished, or there was nothing to do."""
        self._unnoted: dict[tuple[int, int], tuple[int, Failure]] = {}
        """Failed retries, by id and former attempts, that could not be saved because the connection was lost."""

    def save(self, share: Share) -> None:
        """Save the cursor, together with the writes of callbacks in transactional mode."""
        if self.transaction is None:
            self.shares.save(share)
        else:
            self.transaction.commit(lambda connection: self.shares.save(share, connection))

    def done(self, share: Share, kept: Waiting) -> None:
        """Record that a kept event was delivered, and keep the writes of its callback."""
        if self.transaction is None:
            self.shares.done(share, kept.event_id)
        else:
            self.transaction.commit(lambda connection: self.shares.done(share, kept.event_id, connection))

    def is_due(self, share: Share, record: Record) -> bool:
        """Return True if the event belongs to the share and is not blocked. A blocked event is kept."""
        keys = self.shares.keys
        if not share.is_whole and keys.slot(record) not in share.slots:
            return False
        if self.shares.waiting_rows and self.delivery.callback(record.kind == SCHEMA) is not None:
            row = keys.key(record)
            if record.kind != "T" and row in self.shares.waiting_rows:
                share.kept.append(Kept(record.id, record.payload, row, holds=True))
                self.report.held += 1
                return False
        return True

    def hand_over(self, share: Share, record: Record) -> None:
        """Call the callback; if it gives up, keep the event or stop the worker. Raises `Stopping`, `CallbackGaveUp`."""
        is_schema = record.kind == SCHEMA
        callback = self.delivery.callback(is_schema)
        if callback is None:
            return
        if record.kind == BROKEN:
            self.keep_broken(share, record)
            return
        policy = self.delivery.policy(is_schema)

        def failing(attempts: int) -> None:
            self.report.retried += 1
            share.attempts[record.id] = attempts
            self.save(share)

        attempts = share.attempts.get(record.id, 0)
        given_up = self.delivery.call(
            callback, policy, record.payload, record, attempts=attempts, unseen=share.interruptions, failing=failing
        )
        if given_up is None:
            share.attempts.pop(record.id, None)
            share.delivered += 1
            self.report.delivered += 1
            return
        try:
            self.give_up(share, record, callback, policy, *given_up)
        except CallbackGaveUp:
            self.save(share)
            raise

    def give_up(
        self, share: Share, record: Record, callback: Callback, policy: Policy, attempts: int, failure: Failure
    ) -> None:
        """Keep an event as failed with the next save. Raises `CallbackGaveUp` if the policy is to stop before it."""
        self.delivery.note_given_up(callback, failure)
        text = gave_up(callback, record, attempts, failure)
        if policy.on_failure == "stop":
            share.attempts[record.id] = attempts
            raise CallbackGaveUp(f"{text}; stopped before it, because of PG_EVENTS_ON_FAILURE")
        share.attempts.pop(record.id, None)
        row = self.shares.keys.key(record)
        holds = policy.on_failure == "hold"
        share.kept.append(Kept(record.id, record.payload, row, attempts, failure, holds))
        self.report.failed += 1
        if holds:
            self.shares.waiting_rows.add(row)
        then = "kept as failed; later events of its row are blocked" if holds else "kept as failed"
        log.error("%s; %s", text, then, extra=about(callback, record, attempts, failure))

    def keep_broken(self, share: Share, record: Record) -> None:
        """Keep a record that is not a valid event as failed.

        It calls no callback, blocks nothing and never stops the worker, which it would otherwise stop at each start.
        """
        failure = _broken(record.broken)
        share.kept.append(Kept(record.id, record.payload, self.shares.keys.key(record), 0, failure))
        self.report.failed += 1
        log.error(
            "event %d is not valid: %s; kept as failed", record.id, failure.message, extra={"event_id": record.id}
        )

    def deliver_again(self, share: Share, kept: Waiting) -> None:
        """Call the callback with a kept event. Raises `Stopping`."""
        is_schema = is_of_schema(kept.payload)
        callback, policy = self.delivery.callback(is_schema), self.delivery.policy(is_schema)
        what = f"event {kept.event_id}"
        if callback is None:
            self.shares.done(share, kept.event_id)
            return
        failed_before = self._unnoted.get((kept.event_id, kept.attempts))
        reason = broken(kept.payload)
        if reason is not None:
            given_up = kept.attempts, _broken(reason)
        elif failed_before is not None:
            given_up = failed_before
        elif kept.is_again:
            # Once: the user who asked sees the outcome, and live events do not wait for pauses.
            attempts = kept.attempts + 1
            failure = self.delivery.attempt(callback, replayed(kept.payload, "failed", attempts), attempts)
            given_up = None if failure is None else (attempts, failure)
        else:
            given_up = self.delivery.call(callback, policy, kept.payload, what, attempts=kept.attempts)
        if given_up is None:
            self.done(share, kept)
            share.delivered += 1
            self.report.delivered += 1
            return
        attempts, failure = given_up
        self._unnoted[kept.event_id, kept.attempts] = given_up
        if self.transaction is not None:
            self.transaction.commit(
                lambda _connection: None
            )  # rolls back the writes of the call; the transaction must not stay open
        self.shares.failed_again(kept.event_id, attempts, failure, holds=policy.on_failure != "skip")
        del self._unnoted[kept.event_id, kept.attempts]
        self.report.failed += 1
        text = gave_up(callback, what, attempts, failure)
        fields = about(callback, what, attempts, failure) | {"event_id": kept.event_id}
        log.error("%s; still kept as failed", text, extra=fields)


def _broken(reason: str | None) -> Failure:
    return Failure("BrokenEvent", reason or "it cannot be read", "")
