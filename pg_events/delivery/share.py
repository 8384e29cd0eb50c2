"""Share of a consumer's rows: its cursor, and what became of the events since the cursor was saved.

Only the methods of `Share` change it; everything else reads it. `pg_events.delivery.shares` saves it.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, cast

from pg_events.callbacks.callback import Failure
from pg_events.delivery.row_key import SLOTS
from pg_events.event import Record
from pg_events.log.listener import Cursor


class KeptEvent(NamedTuple):
    """Event to be kept in `pgevents.failed`: its callback gave up, or an earlier event of its row blocks it."""

    event_id: int
    payload: str
    row_key: str
    attempts: int = 0
    failure: Failure | None = None
    """Failure of the callback; None if it was not called because the event is blocked."""
    holds: bool = False
    """True if the event blocks later events of its row."""


class Attempts(NamedTuple):
    """Attempts of an event that is still to be delivered."""

    failed: int = 0
    waited: float = 0.0
    """Time in seconds that the callback asked to wait with `RetryAfter`."""


_NO_ATTEMPTS: Final = Attempts()


class Share:
    """Part of a consumer's rows, with its cursor and the events finished since the cursor was saved."""

    def __init__(
        self,
        number: int,
        slots: Iterable[int],
        cursor: Cursor,
        interruptions: int = 0,
        state: Mapping[int, object] | None = None,
    ) -> None:
        """Share as it was saved; `state` is that of the events after the cursor, see `saved_state`."""
        state = state or {}
        self.id: Final = number
        self._slots = frozenset(slots)
        self._settled_cursor = self._saved_cursor = cursor
        self._page = ("", "")
        self._last: Record | None = None
        """Last event passed, if the cursor after it was not made yet."""
        self._interruptions = interruptions
        self._attempts = {event: Attempts(value) for event, value in state.items() if isinstance(value, int)}
        for event, value in state.items():
            if isinstance(value, list):
                failed, waited = cast("tuple[int, float]", value)
                self._attempts[event] = Attempts(failed, waited)
        self._finished = {event: value for event, value in state.items() if isinstance(value, str)}
        self._passed: list[Record] = []
        """Finished events of these slots that the cursor has passed since it was saved."""
        self._delivered = 0
        self._kept: list[KeptEvent] = []
        self._saved_at = time.monotonic()

    # --- reading ------------------------------------------------------------------------------------------------

    @property
    def slots(self) -> frozenset[int]:
        return self._slots

    @property
    def is_whole(self) -> bool:
        """True if the share has all rows of the consumer."""
        return len(self._slots) == SLOTS

    @property
    def is_plain(self) -> bool:
        """True if every event is of this share, and none after the cursor is finished."""
        return self.is_whole and not self._finished

    @property
    def cursor(self) -> Cursor:
        if self._last is not None:
            self._settled_cursor, self._last = Cursor(*self._page, self._last.id), None
        return self._settled_cursor

    @property
    def saved_cursor(self) -> Cursor:
        """Cursor in the database."""
        return self._saved_cursor

    @property
    def saved_at(self) -> float:
        """Value of `time.monotonic()` when the share was saved."""
        return self._saved_at

    @property
    def interruptions(self) -> int:
        """Number of workers that died during the next events; each may have called a callback with them."""
        return self._interruptions

    @property
    def delivered(self) -> int:
        """Number of events delivered since the share was saved."""
        return self._delivered

    @property
    def failed(self) -> int:
        """Number of events that failed since the share was saved."""
        return sum(event.failure is not None and not event.failure.is_discard for event in self._kept)

    @property
    def kept(self) -> Sequence[KeptEvent]:
        """Failed and blocked events that are not saved yet."""
        return self._kept

    @property
    def blocking_rows(self) -> set[str]:
        """Keys of the rows that failed events which are not saved yet block."""
        return {event.row_key for event in self._kept if event.holds}

    @property
    def progress(self) -> tuple[int, int, int]:
        """Number that grows as the cursor advances; the snapshots of one server are ordered."""
        return (*age(self.cursor.snapshot), self.cursor.position if self.cursor.window_end else 0)

    @property
    def is_uncertain(self) -> bool:
        """True if events after the cursor were attempted before, or may have been."""
        return self._interruptions > 0 or bool(self._attempts)

    def attempts(self, event_id: int) -> Attempts:
        """Attempts of an event that is still to be delivered."""
        return self._attempts.get(event_id, _NO_ATTEMPTS)

    def is_finished(self, record: Record) -> bool:
        """Return True if an event after the cursor is finished.

        A promoted standby may have lost an event and reused its id, but not its time.
        """
        return bool(self._finished) and self._finished.get(record.id) == record.at

    def saved_state(self) -> str:
        """JSON to save about the events after the cursor, by id.

        A number is that of failed attempts, a list has that number and the seconds waited for `RetryAfter`, a string is
        the time of a finished event.
        """
        attempts = {event: [*each] if each.waited else each.failed for event, each in self._attempts.items()}
        return json.dumps(attempts | self._finished_ahead())

    # --- what became of an event --------------------------------------------------------------------------------

    def retry(self, event_id: int, failed: int, waited: float = 0.0) -> None:
        """Note the failed attempts of an event that is still to be delivered, and the seconds that it waited."""
        self._attempts[event_id] = Attempts(failed, waited)

    def deliver(self, event_id: int) -> None:
        """Note that the callback returned."""
        self._attempts.pop(event_id, None)
        self._delivered += 1

    def deliver_batch(self, records: Sequence[Record]) -> None:
        """Note that the callback returned for all events of a batch."""
        if self._attempts:
            for record in records:
                self._attempts.pop(record.id, None)
        self._delivered += len(records)

    def fail(self, record: Record, row_key: str, attempts: int, failure: Failure, *, holds: bool = False) -> None:
        """Keep the event as failed or discarded with the next save; with `holds`, it blocks later events of its row."""
        self._attempts.pop(record.id, None)
        self._kept.append(KeptEvent(record.id, record.payload, row_key, attempts, failure, holds))

    def block(self, record: Record, row_key: str) -> None:
        """Keep the event as blocked with the next save."""
        self._kept.append(KeptEvent(record.id, record.payload, row_key, holds=True))

    # --- the cursor ---------------------------------------------------------------------------------------------

    def finish(self, record: Record) -> None:
        """Note that an event after the cursor is finished, although earlier ones may not be."""
        self._finished[record.id] = record.at

    def advance(self, cursor: Cursor, finished: Record | None = None) -> None:
        """Move the cursor; `finished` is an event of these slots that it passes, and that must not be repeated."""
        if finished is not None:
            self._passed.append(finished)
        self._settled_cursor, self._last = cursor, None

    def begin_page(self, begin: str, end: str) -> None:
        """Note the snapshots between which the events lie that `pass_event` moves the cursor over."""
        self._page = begin, end

    def pass_event(self, record: Record, *, is_finished: bool) -> None:
        """Move the cursor over the next event of the page; see `advance` about finished ones."""
        if is_finished:
            self._passed.append(record)
        self._last = record

    def end_interruptions(self) -> None:
        """Note that the events during which workers died are finished."""
        self._interruptions = 0

    def pass_events(self, records: Sequence[Record]) -> None:
        """Move the cursor over the next events of the page, all of which are finished."""
        self._passed += records
        self._last = records[-1]

    def mark_saved(self) -> None:
        """Note that the share was saved as it is."""
        self._finished = self._finished_ahead()
        self._passed.clear()
        self._kept.clear()
        self._delivered = 0
        self._saved_cursor = self.cursor
        self._saved_at = time.monotonic()

    def return_to(self, saved: "Share") -> "Share":
        """Return this share at the saved cursor; it still knows the events finished since then.

        A cursor that was not saved can be wrong after a crash of the server: transactions that left nothing on its disk
        are finished in the cursor's snapshot, and their ids are reused.
        """
        self.advance(saved.cursor)
        self._saved_cursor = saved.cursor
        self._slots = saved.slots
        self._finished |= {record.id: record.at for record in self._passed}
        self._passed.clear()
        return self

    # --- dividing the work --------------------------------------------------------------------------------------

    def release(self, slots: Iterable[int]) -> None:
        """Drop slots that were split off."""
        self._slots -= frozenset(slots)

    def merge(self, other: "Share") -> None:
        """Take over another share with the same cursor."""
        self._slots |= other._slots
        self._attempts |= other._attempts
        self._finished |= other._finished
        self._passed += other._passed
        self._interruptions = max(self._interruptions, other._interruptions)

    def _finished_ahead(self) -> dict[int, str]:
        if not self._finished:
            return {}
        passed = {record.id for record in self._passed}
        return {event: at for event, at in self._finished.items() if event not in passed}


def age(snapshot: str) -> tuple[int, int]:
    """Order of the snapshots of one server."""
    _, end, running = snapshot.split(":")
    return int(end), -len(running.split(",")) if running else 0
