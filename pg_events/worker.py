"""Events into callbacks: deliver in order, retry, keep what failed, save the cursor.

At least once: the cursor is saved after the callbacks returned. A worker that dies between the two delivers those
events again, with the same ids, when it or another one takes the cursor up.

Who delivers what is in `pg_events.share`, what becomes of one event in `pg_events.delivery`; this is the loop.
"""

import heapq
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pg_events.callbacks import Callback, Failure
from pg_events.delivery import CallbackGaveUp, Delivery, Stopping, about, gave_up, most_attempts
from pg_events.errors import CursorTaken, DatabaseUnreachable, UsageError
from pg_events.event import SCHEMA, Record, is_of_schema, replayed
from pg_events.feedback import Feedback, mark
from pg_events.housekeeping import Housekeeping
from pg_events.lanes import Entry, Lanes
from pg_events.listener import Cursor, Listener
from pg_events.row_key import SLOTS
from pg_events.settings import Policy, Settings
from pg_events.share import NEWEST, Kept, Share, Shares, Start, Waiting
from pg_events.side_by_side import Calls
from pg_events.transaction import JointTransaction

log = logging.getLogger(__name__)

_SAVE_SECONDS: Final = 0.5
"""Slow callbacks: the cursor is saved within a page this often, so that a crash repeats little."""
_LOOK_SECONDS: Final = 1.0
"""How often a worker looks who else is there, and what it is to deliver again."""
_IDLE_SAVE_SECONDS: Final = 15.0
"""Idle: the cursor moves on by itself, and is saved now and then, for `prune` and for the next worker."""
_BUSY_SECONDS: Final = 0.05
"""While calls run side by side, and there is room for more, the log is looked at this often."""
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
            self._transaction = JointTransaction(settings.database_url, mark(name))
        self._calls = Calls() if settings.concurrency > 1 else None
        self._concurrency = settings.concurrency
        one_call = self._transaction and self._transaction.attempt
        self._delivery = Delivery(settings, self._stopping, one_call, self._calls)
        self._lanes = Lanes()
        self._lanes_of: Share | None = None
        """Whose events those are."""
        self._pauses: list[tuple[float, int, Entry]] = []
        """A heap: when an event is tried again, its id, the event."""
        self._read_at = 0.0
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
                    self._put_down()
                    self._deliver_kept()
                    continue
                if self._deliver_next(share) or len(self._shares.held) > 1:
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
                self._drain()
                if not self._shares.is_known:
                    self._shares.join()
                self._look_at = 0.0
        with suppress(DatabaseUnreachable, CursorTaken):
            self._put_down()

    def _deliver_next(self, share: Share) -> bool:
        """Deliver what comes next of the share. False when there is nothing."""
        if self._calls is None:
            return self._deliver(share, self._next_page(share))
        found = self._go_on(share)
        while len(self._shares.held) > 1 and self._lanes and not self._stopping.is_set():
            self._go_on(share)
        return found

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
        transaction = self._transaction
        for record in page:
            if self._stopping.is_set():
                break
            try:
                if record.id in share.done and share.is_done(record):
                    share.passed.append(record)  # before the link was lost
                elif self._feedback.skips(record):
                    pass  # caused by our own callbacks
                elif (share.is_whole and not self._shares.waiting_rows) or self._is_due(share, record):
                    self._hand_over(share, record)
                    share.passed.append(record)
                elif share.kept and share.kept[-1].event_id == record.id:
                    share.passed.append(record)  # it waits behind an earlier one
            except Stopping:
                break
            share.cursor = self._listener.cursor_after(record)
            self.moved_at = now = time.monotonic()
            if now - share.saved_at > _SAVE_SECONDS or share.interruptions or (transaction and transaction.is_due):
                self._save(share)
                self._look_now_and_then()
        else:
            if page:
                share.cursor = self._listener.cursor
                share.interruptions = 0
        if page:
            self._save(share)
        return bool(page)

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
        self._give_up(share, record, callback, policy, *given_up)

    def _give_up(
        self, share: Share, record: Record, callback: Callback, policy: Policy, attempts: int, failure: Failure
    ) -> None:
        """Keep an event as failed. Raises `CallbackGaveUp` when the policy is to stop before it."""
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

    # --- side by side -------------------------------------------------------------------------------------------

    def _go_on(self, share: Share) -> bool:
        """Read ahead, start what may run, take what comes of it. False when there is nothing to do."""
        if self._lanes_of is not share:
            self._put_down()
            self._lanes_of = share
        self._read_ahead(share)
        if not self._lanes:
            return False
        self._start_calls(share)
        try:
            self._take_results(share, self._patience())
        except CallbackGaveUp:
            self._put_down()
            raise
        self._pass(share)
        if not self._lanes:
            share.interruptions = 0
        if not self._lanes or share.interruptions or time.monotonic() - share.saved_at > _SAVE_SECONDS:
            self._save(share)
        return True

    def _read_ahead(self, share: Share) -> None:
        now = time.monotonic()
        if not self._lanes:
            page = self._next_page(share)
        elif not self._lanes.has_room or share.interruptions or now < self._read_at:
            return
        else:
            page = (
                next(self._listener.window(), list[Record]()) if len(self._shares.held) > 1 else self._listener.poll()
            )
        self._read_at = 0.0 if page else now + _BUSY_SECONDS
        if page:
            self.report.batches += 1
            self.report.read += len(page)
            self._read = share, self._listener.cursor
            self._feedback.see(page, self._listener.cursor)
        for record in page:
            is_last = record is page[-1]
            after = self._listener.cursor if is_last else self._listener.cursor_after(record)
            self._lanes.add(self._entry(share, record, after))

    def _entry(self, share: Share, record: Record, after: Cursor) -> Entry:
        is_schema, keys = record.kind == SCHEMA, self._shares.keys
        is_mine = share.is_whole or keys.slot(record) in share.slots
        is_wanted = self._delivery.callback(is_schema) is not None and not self._feedback.skips(record)
        if not is_mine or not is_wanted or share.is_done(record):
            return Entry(record, after, "", is_finished=True)
        attempts = share.attempts.get(record.id, 0)
        most = most_attempts(self._delivery.policy(is_schema), attempts)
        return Entry(record, after, keys.key(record), share.interruptions, attempts, most)

    def _start_calls(self, share: Share) -> None:
        assert self._calls is not None
        while self._calls.running < self._concurrency and not self._stopping.is_set():
            is_again = self._pauses and self._pauses[0][0] <= time.monotonic()
            entry = heapq.heappop(self._pauses)[2] if is_again else self._lanes.next_ready()
            if entry is None:
                break
            callback = self._delivery.callback(entry.record.kind == SCHEMA)
            if callback is not None and self._is_due(share, entry.record):
                self._calls.start(callback, entry)
            else:
                self._finish(share, entry)

    def _patience(self) -> float:
        """How long to wait for a result: until something else can be done."""
        assert self._calls is not None
        if not self._calls.running and not self._pauses:
            return 0.0
        if not self._pauses or self._calls.running >= self._concurrency:
            return _BUSY_SECONDS
        return max(0.0, min(self._pauses[0][0] - time.monotonic(), _BUSY_SECONDS))

    def _take_results(self, share: Share, seconds: float) -> None:
        assert self._calls is not None
        while (result := self._calls.result(seconds)) is not None:
            seconds = 0.0
            entry, failure = result
            record, is_schema = entry.record, entry.record.kind == SCHEMA
            callback, policy = self._delivery.callback(is_schema), self._delivery.policy(is_schema)
            if failure is None:
                share.delivered += 1
                self.report.delivered += 1
            elif (attempts := entry.attempts + 1) < entry.most_attempts:
                assert callback is not None
                self.report.retried += 1
                entry.attempts = share.attempts[record.id] = attempts
                pause = self._delivery.pause(callback, policy, record, attempts, failure)
                heapq.heappush(self._pauses, (time.monotonic() + pause, record.id, entry))
                continue
            else:
                assert callback is not None
                self._give_up(share, record, callback, policy, attempts, failure)
            share.attempts.pop(record.id, None)
            self._finish(share, entry)

    def _finish(self, share: Share, entry: Entry) -> None:
        self._lanes.finish(entry)
        share.done[entry.record.id] = entry.record.at
        self.moved_at = time.monotonic()

    def _pass(self, share: Share) -> None:
        for entry in self._lanes.passed():
            share.cursor = entry.after
            if entry.record.id in share.done:
                share.passed.append(entry.record)

    def _drain(self) -> None:
        """Wait for the calls that run, and forget what was read ahead: it is read again from the cursor.

        Asks nothing of the database. What a call fails with now counts as an attempt, but never as the last.
        """
        share, self._lanes_of = self._lanes_of, None
        if self._calls is None or share is None:
            return
        while self._calls.running:
            result = self._calls.result(None)
            assert result is not None
            entry, failure = result
            if failure is None:
                share.delivered += 1
                self.report.delivered += 1
                share.attempts.pop(entry.record.id, None)
                self._finish(share, entry)
            elif (attempts := entry.attempts + 1) < entry.most_attempts:
                self.report.retried += 1
                share.attempts[entry.record.id] = attempts
        self._pass(share)
        self._lanes = Lanes()
        self._pauses.clear()
        self._read = None

    def _put_down(self) -> None:
        """Wait for the calls that run, and save how far all is done: the shares may change."""
        share = self._lanes_of
        self._drain()
        if share is not None and share in self._shares.held:
            self._save(share)

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
        self._shares.look(self._put_down)
        self.share = sum(len(share.slots) for share in self._shares.held) / SLOTS
        self._look_at = time.monotonic() + _LOOK_SECONDS

    def _reconnect(self, error: DatabaseUnreachable) -> None:
        """Take the link up again, for ever. What was delivered and could not be saved is not delivered again, unless
        another worker had the share in between."""
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
