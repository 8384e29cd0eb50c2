"""Ordering of concurrent events: decides which may run now, and up to where all are finished.

Events of one row run in order. An event whose row is unknown waits for all earlier events of its table, a TRUNCATE or a
schema event for all earlier events, and later ones wait for it. Other events may overtake each other: the cursor stays
before the first unfinished event.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pg_events.delivery.attempts import Retries
from pg_events.event import SCHEMA, Record
from pg_events.log.listener import Cursor

AHEAD: Final = 4000
"""Maximum read-ahead past the oldest unfinished event; with large batches more, in proportion."""
_UNFINISHED: Final = 500
"""Maximum number of unfinished events while reading ahead, unless batches need more."""


@dataclass(eq=False, slots=True)
class InFlight:
    """Event that was read and may be in flight."""

    record: Record
    after: Cursor
    """Cursor position once all events up to this one are finished."""
    table: str
    """Key for events of the table whose row is unknown."""
    row: str
    next_row: str
    """Key of the row after the event; differs from `row` if the event changed it."""
    retries: Retries | None = None
    """Retry state; None if no callback is to be called: the event still keeps its place in the order."""
    is_finished: bool = False
    is_taken: bool = False
    """True once it was returned to be run."""
    waits_for: int = 0
    followers: "list[InFlight]" = field(default_factory=list["InFlight"])

    @property
    def retries_of_call(self) -> Retries:
        """Retry state of an event for which a callback is to be called."""
        assert self.retries is not None
        return self.retries


@dataclass(eq=False, slots=True)
class _Scope:
    """Unfinished events of a row, of a table, or of everything."""

    last: InFlight | None = None
    """Last event that concerns the whole scope."""
    parts: set[InFlight] = field(default_factory=set[InFlight])
    """Later events that concern a part of the scope."""


class RowScheduler:
    """Scheduler of events in order. Pure: it decides which events may run, and does not run them."""

    def __init__(self, unfinished: int = _UNFINISHED) -> None:
        """Create a scheduler; `unfinished` is the number of events beyond which to read no further, if above the usual."""
        self._maximum = max(unfinished, _UNFINISHED)
        self._entries: deque[InFlight] = deque()
        self._unfinished = 0
        self._ready: deque[InFlight] = deque()
        self._scopes: dict[str, _Scope] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[InFlight]:
        return iter(self._entries)

    @property
    def has_room(self) -> bool:
        return len(self._entries) < AHEAD * self._maximum // _UNFINISHED and self._unfinished < self._maximum

    @property
    def ready(self) -> int:
        """Number of events that may run."""
        return len(self._ready)

    def add(self, entry: InFlight) -> None:
        """Add the next event; one that is already finished only counts for the progress of the cursor."""
        self._entries.append(entry)
        if entry.is_finished:
            return
        self._unfinished += 1
        earlier: set[InFlight | None] = set()
        own, around = _scopes(entry)
        for name in own:
            scope = self._scopes.setdefault(name, _Scope())
            earlier |= {scope.last, *scope.parts}
            scope.last, scope.parts = entry, set()
        for name in around:
            scope = self._scopes.setdefault(name, _Scope())
            earlier.add(scope.last)
            scope.parts.add(entry)
        earlier.discard(None)
        for each in earlier:
            assert each is not None
            each.followers.append(entry)
        entry.waits_for = len(earlier)
        if not earlier:
            self._ready.append(entry)

    def next_ready(self) -> InFlight | None:
        """Next event that may run, returned only once."""
        entry = self._ready.popleft() if self._ready else None
        if entry is not None:
            entry.is_taken = True
        return entry

    def take_batch(self, first: InFlight, size: int) -> list[InFlight]:
        """Events of the same callback that may run in one call with the first, which was taken; in order, each only once.

        An event may run in the same call as those that it waits for, because it comes after them.
        """
        handler = first.retries_of_call.handler
        batch, refused = [first], list[InFlight]()
        left: dict[InFlight, int] = {}
        candidates = deque[InFlight]()
        for entry in batch:  # grows meanwhile
            for follower in entry.followers:
                left[follower] = left.get(follower, follower.waits_for) - 1
                if not left[follower]:
                    candidates.append(follower)
            while len(batch) < size and (candidates or self._ready):
                # The followers of what is in the batch come later than all that is ready.
                following = (self._ready or candidates).popleft()
                if following.retries is not None and following.retries.handler is handler:
                    following.is_taken = True
                    batch.append(following)
                    break
                if not following.waits_for:
                    refused.append(following)
        self._ready.extendleft(reversed(refused))
        return sorted(batch, key=lambda entry: entry.record.id)

    def finish(self, entry: InFlight) -> None:
        """Mark the event as finished; events that waited for it may become ready."""
        entry.is_finished = True
        self._unfinished -= 1
        own, around = _scopes(entry)
        for name in own | around:
            scope = self._scopes[name]
            scope.parts.discard(entry)
            if scope.last is entry:
                scope.last = None
            if scope.last is None and not scope.parts:
                del self._scopes[name]
        for follower in entry.followers:
            follower.waits_for -= 1
            if not (follower.waits_for or follower.is_taken):
                self._ready.append(follower)
        entry.followers.clear()

    def pop_finished(self) -> Iterator[InFlight]:
        """Remove and return the finished events at the front, in order."""
        while self._entries and self._entries[0].is_finished:
            yield self._entries.popleft()


_EVERYTHING: Final = ""


def _scopes(entry: InFlight) -> tuple[set[str], set[str]]:
    """Scopes of an event, and the scopes that contain them.

    A TRUNCATE concerns everything: that of a partition does not tell which table the rows belonged to.
    """
    if entry.record.kind in (SCHEMA, "T"):
        return {_EVERYTHING}, set()
    rows = {entry.row, entry.next_row}
    return rows, {entry.table, _EVERYTHING} - rows
