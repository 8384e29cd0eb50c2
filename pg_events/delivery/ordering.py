"""Which events may be worked on at the same time, and how far all of them are done.

Events of one row follow each other. One whose row cannot be told waits for what came before it of its table, a TRUNCATE
and a schema event for everything, and what comes after waits for them. All else may overtake: the cursor stays before the
first event that is not finished.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pg_events.event import SCHEMA, Record
from pg_events.log.listener import Cursor

AHEAD: Final = 4000
"""So many events at most are read ahead of the first that is not finished;"""
_UNFINISHED: Final = 500
"""and no more, while so many wait or are worked on."""


@dataclass(eq=False, slots=True)
class Entry:
    """An event on its way."""

    record: Record
    after: Cursor
    """Where to go on when everything up to it is finished."""
    table: str
    """What an event of the table is known by when its row cannot be told."""
    row: str
    next_row: str
    """The same, or what the row is from then on: its key was changed."""
    is_wanted: bool = True
    """Its callback is to be called; else nothing is done with it, but it lets nothing pass."""
    unseen: int = 0
    attempts: int = 0
    most_attempts: int = 1
    is_finished: bool = False
    waits_for: int = 0
    followers: "list[Entry]" = field(default_factory=list["Entry"])


@dataclass(eq=False, slots=True)
class _Scope:
    """A row, a table, or everything: its events that are not finished."""

    last: Entry | None = None
    """The last one that is about all of it."""
    parts: set[Entry] = field(default_factory=set[Entry])
    """Those behind that, about a part of it."""


class Lanes:
    """The events that were read and are not all finished, in order. Pure: what is done with them is others' business."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._unfinished = 0
        self._ready: deque[Entry] = deque()
        self._scopes: dict[str, _Scope] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def has_room(self) -> bool:
        return len(self._entries) < AHEAD and self._unfinished < _UNFINISHED

    def add(self, entry: Entry) -> None:
        """The next event. One that is finished already only counts for how far all are done."""
        self._entries.append(entry)
        if entry.is_finished:
            return
        self._unfinished += 1
        before: set[Entry | None] = set()
        own, around = _scopes(entry)
        for name in own:
            scope = self._scopes.setdefault(name, _Scope())
            before |= {scope.last, *scope.parts}
            scope.last, scope.parts = entry, set()
        for name in around:
            scope = self._scopes.setdefault(name, _Scope())
            before.add(scope.last)
            scope.parts.add(entry)
        before.discard(None)
        for each in before:
            assert each is not None
            each.followers.append(entry)
        entry.waits_for = len(before)
        if not before:
            self._ready.append(entry)

    def next_ready(self) -> Entry | None:
        """The next event that may be worked on; it is not told again."""
        return self._ready.popleft() if self._ready else None

    def finish(self, entry: Entry) -> None:
        """The event is dealt with: what waited for it may be ready."""
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
            if not follower.waits_for:
                self._ready.append(follower)
        entry.followers.clear()

    def passed(self) -> Iterator[Entry]:
        """Forget the events at the front that are finished, and tell them, in order."""
        while self._entries and self._entries[0].is_finished:
            yield self._entries.popleft()


_EVERYTHING: Final = ""


def _scopes(entry: Entry) -> tuple[set[str], set[str]]:
    """The names of what the event is about, and of what that is a part of.

    A TRUNCATE is about everything: one of a partition does not say to which table the rows belonged.
    """
    if entry.record.kind in (SCHEMA, "T"):
        return {_EVERYTHING}, set()
    rows = {entry.row, entry.next_row}
    return rows, {entry.table, _EVERYTHING} - rows
