"""Which events may be worked on at the same time, and how far all of them are done.

Events of one row follow each other. A TRUNCATE waits for what came before it of its table, a schema event for
everything, and what comes after waits for them. All else may overtake: the cursor stays before the first event that is
not finished.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pg_events.event import SCHEMA, Record
from pg_events.listener import Cursor

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
    row: str
    next_row: str
    """The same, or what the row is from then on: its key was changed."""
    unseen: int = 0
    attempts: int = 0
    most_attempts: int = 1
    is_finished: bool = False
    waits_for: int = 0
    followers: "list[Entry]" = field(default_factory=list["Entry"])


class Lanes:
    """The events that were read and are not all finished, in order. Pure: what is done with them is others' business."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._unfinished = 0
        self._ready: deque[Entry] = deque()
        self._last: dict[str, Entry] = {}
        """Row, or table of a TRUNCATE -> the last unfinished event of it."""
        self._truncated: dict[tuple[str | None, str | None], Entry] = {}
        self._schema: Entry | None = None

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
        for before in set(self._before(entry)):
            before.followers.append(entry)
            entry.waits_for += 1
        if not entry.waits_for:
            self._ready.append(entry)
        if entry.record.kind == SCHEMA:
            self._schema = entry
        elif entry.record.kind == "T":
            self._truncated[_table(entry)] = entry
        self._last[entry.row] = self._last[entry.next_row] = entry

    def _before(self, entry: Entry) -> Iterable[Entry]:
        if entry.record.kind == SCHEMA:
            return (each for each in self._entries if not each.is_finished and each is not entry)
        found = [
            self._schema,
            self._truncated.get(_table(entry)),
            self._last.get(entry.row),
            self._last.get(entry.next_row),
        ]
        if entry.record.kind == "T":
            found += [each for each in self._entries if each is not entry and _table(each) == _table(entry)]
        return (each for each in found if each is not None and not each.is_finished)

    def next_ready(self) -> Entry | None:
        """The next event that may be worked on; it is not told again."""
        return self._ready.popleft() if self._ready else None

    def finish(self, entry: Entry) -> None:
        """The event is dealt with: what waited for it may be ready."""
        entry.is_finished = True
        self._unfinished -= 1
        for row in {entry.row, entry.next_row}:
            if self._last.get(row) is entry:
                del self._last[row]
        if entry.record.kind == "T" and self._truncated.get(_table(entry)) is entry:
            del self._truncated[_table(entry)]
        if self._schema is entry:
            self._schema = None
        for follower in entry.followers:
            follower.waits_for -= 1
            if not follower.waits_for:
                self._ready.append(follower)
        entry.followers.clear()

    def passed(self) -> Iterator[Entry]:
        """Forget the events at the front that are finished, and tell them, in order."""
        while self._entries and self._entries[0].is_finished:
            yield self._entries.popleft()


def _table(entry: Entry) -> tuple[str | None, str | None]:
    return entry.record.table_schema, entry.record.table_name
