"""View of the store in a list, and the selected row. Independent of Textual, widths and colours.

The selection is a row of the store, not a position in the list. Appending, trimming and filtering therefore never move
it: only the user does, or following, which always selects the newest.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from enum import Enum
from time import perf_counter
from typing import Any, Final, Protocol

from pg_events.filter.parser import Filter
from pg_events_tui.model.scan import Passing
from pg_events_tui.model.store import Store

CHUNK: Final = 256
"""Initial number of rows between checks of the clock; fast filters use more."""
MAX_CHUNK: Final = 16_384
MAX_SORTED: Final = 50_000
"""Maximum number of rows to sort, so that keys stay responsive."""


class Mode(Enum):
    """Behaviour of the list when an event arrives."""

    FOLLOW = "follow"
    """The newest event is selected and in sight."""
    FROZEN = "frozen"
    """Events are added below; the visible rows stay."""
    PAUSED = "paused"
    """Nothing is added until the user resumes. The store continues."""


class Rows(Protocol):
    """Growing sequence of the store's rows, ascending."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> int: ...


class View:
    """Rows of a store that match a filter, in order, with one of them selected."""

    def __init__(self, store: Store, *, newest_first: bool = False) -> None:
        self.store = store
        self.newest_first = newest_first
        self.mode = Mode.FOLLOW
        self.marks: set[int] = set()
        self.wanted: int | None = None
        """Row that the user chose. It stays chosen while a filter hides it."""
        self.exact_filter: Filter | None = None
        """Filter that exactly describes the shown events; None if there is none, or it depends on the console's state."""
        self._passing: Passing | None = None
        self._rows: _All | _Found | _Sorted = _All(store)
        self.sorted_by = ""
        """Column of the sort order; empty for the order of the log."""
        self._seen = 0  # Rows from here on arrived after following ended and have not been visited.
        self._limit: int | None = None  # While paused: the first row that is not shown.
        self._pending = 0  # While paused: number of matching rows that are held back,
        self._counted = 0  # of those before this one.

    # ---- shown rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> int:
        """Return the store's row at a position in the list."""
        return self._rows[len(self._rows) - 1 - index if self._is_upside_down else index]

    @property
    def _is_upside_down(self) -> bool:
        return self.newest_first and not self.sorted_by

    def index(self, row: int) -> int | None:
        """Return the position of a row in the list; None if it is not shown."""
        place = self._rows.place(row)
        if place >= len(self._rows) or self._rows[place] != row:
            return None
        return len(self._rows) - 1 - place if self._is_upside_down else place

    def rows(self) -> Sequence[int]:
        """All shown rows, in the order of the log."""
        return self._rows.ascending()

    @property
    def filtered(self) -> bool:
        return self._passing is not None

    @property
    def searching(self) -> float | None:
        """Progress of a new filter through the older events, 0 to 1; None once complete."""
        return self._rows.progress

    @property
    def new(self) -> int:
        """Number of matching rows that arrived since following ended and were not visited yet."""
        if self.mode is Mode.FOLLOW:
            return 0
        return self._rows.since(self._seen) + self._pending

    # ---- the selection

    @property
    def selected(self) -> int | None:
        """Chosen row if it is shown, else the nearest older one, else the nearest newer one."""
        count = len(self._rows)
        if not count:
            return None
        if self.mode is Mode.FOLLOW or self.wanted is None:
            return self._rows[count - 1]
        place = self._rows.place(self.wanted)
        if place < count and self._rows[place] == self.wanted:
            return self.wanted
        return self._rows[max(0, place - 1)]

    @property
    def selected_index(self) -> int | None:
        row = self.selected
        return None if row is None else self.index(row)

    def select(self, index: int) -> None:
        """Select a position for the user, which ends following."""
        if len(self._rows):
            self.hold()
            self.wanted = self.row(max(0, min(index, len(self._rows) - 1)))
            self._seen = max(self._seen, self.wanted + 1)

    def move(self, by: int) -> None:
        index = self.selected_index
        if index is not None and (by or self.mode is not Mode.FOLLOW):
            self.select(index + by)

    def hold(self) -> None:
        """Stop following, at the currently selected row."""
        if self.mode is Mode.FOLLOW:
            self.wanted = self.selected
            self.mode = Mode.FROZEN
            self._seen = self._rows.stop

    def follow(self) -> None:
        """Select the newest row, and each newer one."""
        self.mode = Mode.FOLLOW
        self._limit = None
        self._pending = 0
        if self.sorted_by:
            self.set_filter(self._passing)
        self.sync()

    def toggle_pause(self) -> None:
        """Freeze the shown rows, or resume following. Never affects the store."""
        if self.mode is Mode.PAUSED:
            self.follow()
            return
        self.hold()
        self.mode = Mode.PAUSED
        self._limit = self._counted = self._rows.stop
        self._pending = 0

    def toggle_mark(self) -> bool | None:
        """Toggle the mark of the selected row, and return its new state; None without a selection."""
        row = self.selected
        if row is None:
            return None
        self.hold()
        self.marks.symmetric_difference_update({row})
        return row in self.marks

    def sort(self, column: str, key: Callable[[int], Any], *, descending: bool = False) -> bool:
        """Sort the currently shown rows, and add none until the user follows or resumes.

        Returns False if there are too many rows: see `MAX_SORTED`.
        """
        if len(self._rows) > MAX_SORTED:
            return False
        rows = sorted((self._rows[place] for place in range(len(self._rows))), key=key, reverse=descending)
        if self.mode is not Mode.PAUSED:
            self.toggle_pause()
        self._rows = _Sorted(self.store, rows, self._rows.stop)
        self.sorted_by = column
        return True

    # ---- changes

    def set_filter(self, passing: Passing | None) -> None:
        """Show only matching rows; None shows all. Older events are searched by `search`, newest first."""
        if self.mode is not Mode.FOLLOW and self.wanted is None:
            self.wanted = self.selected
        stop = self.store.end if self._limit is None else self._limit
        self._passing = passing
        self.sorted_by = ""
        self._rows = _All(self.store, stop) if passing is None else _Found(self.store, passing, stop)
        self._counted = self._rows.stop
        self._pending = 0

    def sync(self, seconds: float = 0.01) -> None:
        """Apply additions and removals of the store, for about `seconds` at most."""
        self._rows.trim()
        if self.marks and min(self.marks) < self.store.first:
            self.marks = {row for row in self.marks if row >= self.store.first}
        if self.mode is Mode.PAUSED:
            self._count(seconds)
            return
        self._rows.extend(seconds)
        if self.mode is Mode.FOLLOW:
            self.wanted = None

    def _count(self, seconds: float) -> None:
        """Count the rows that are held back while paused."""
        end = self.store.end
        if self._passing is None:
            self._pending += end - self._counted
            self._counted = end
            return
        deadline = perf_counter() + seconds
        while self._counted < end and perf_counter() < deadline:
            stop = min(end, self.store.reach_on(self._counted, CHUNK))
            self._pending += len(self._passing(self._counted, stop))
            self._counted = stop

    def search(self, seconds: float = 0.01) -> bool:
        """Search older events for a new filter, for about `seconds` at most; False once complete."""
        return self._rows.search(seconds)


class _All:
    """All rows of the store."""

    progress: float | None = None

    def __init__(self, store: Store, stop: int | None = None) -> None:
        self._store = store
        self._first = store.first
        self.stop = max(store.end if stop is None else stop, self._first)

    def __len__(self) -> int:
        return self.stop - self._first

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._first + index

    def place(self, row: int) -> int:
        return max(0, min(row, self.stop) - self._first)

    def ascending(self) -> Sequence[int]:
        return range(self._first, self.stop)

    def since(self, row: int) -> int:
        return len(self) - self.place(row)

    def trim(self) -> None:
        self._first = self._store.first
        self.stop = max(self.stop, self._first)

    def extend(self, seconds: float) -> None:  # noqa: ARG002 - same signature as in `_Found`
        self.stop = max(self.stop, self._store.end)

    def search(self, seconds: float) -> bool:  # noqa: ARG002
        return False


class _Found:
    """Rows that match a filter: older ones as the search finds them, newer ones as they arrive."""

    def __init__(self, store: Store, passing: Passing, stop: int) -> None:
        self._store = store
        self._passing = passing
        self._older = array("q")  # Descending: the search goes from the newest to the oldest.
        self._newer = array("q")  # Ascending.
        self._searched = self._begin = stop
        self._chunk = CHUNK
        self.stop = stop

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        older = len(self._older)
        return self._older[older - 1 - index] if index < older else self._newer[index - older]

    def place(self, row: int) -> int:
        return bisect_left(self, row)

    def ascending(self) -> Sequence[int]:
        return self._older[::-1] + self._newer

    def since(self, row: int) -> int:
        return len(self) - self.place(row)

    @property
    def progress(self) -> float | None:
        first = self._store.first
        if self._searched <= first:
            return None
        return (self._begin - self._searched) / (self._begin - first)

    def trim(self) -> None:
        first = self._store.first
        while self._older and self._older[-1] < first:
            self._older.pop()
        if self._newer and self._newer[0] < first:
            del self._newer[: bisect_left(self._newer, first)]
        self.stop = max(self.stop, first)

    def extend(self, seconds: float) -> None:
        deadline = perf_counter() + seconds
        end = self._store.end
        while self.stop < end:
            stop = min(end, self._store.reach_on(self.stop, CHUNK))
            self._newer.extend(self._passing(self.stop, stop))
            self.stop = stop
            if perf_counter() > deadline:
                return

    def search(self, seconds: float) -> bool:
        now = perf_counter()
        deadline = now + seconds
        first = self._store.first
        while self._searched > first:
            began = now
            start = max(first, self._store.reach_back(self._searched, self._chunk))
            self._older.extend(
                array("q", self._passing(start, self._searched)[::-1])
            )  # three times as fast as row by row
            self._searched = start
            now = perf_counter()
            self._chunk = next_chunk(self._chunk, now - began, seconds)
            if now > deadline:
                break
        return self._searched > first


class _Sorted:
    """Rows in a custom order, without additions."""

    progress: float | None = None

    def __init__(self, store: Store, rows: Sequence[int], stop: int) -> None:
        self._store = store
        self._first = store.first
        self.stop = stop
        self._take(rows)

    def _take(self, rows: Sequence[int]) -> None:
        self._rows = array("q", rows)
        self._places = {row: place for place, row in enumerate(self._rows)}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._rows[index]

    def place(self, row: int) -> int:
        """Return the position of a row; beyond the end if it is not shown, because there is no place for it."""
        return self._places.get(row, len(self._rows))

    def ascending(self) -> Sequence[int]:
        return sorted(self._rows)

    def since(self, row: int) -> int:  # noqa: ARG002 - same signature as in the others
        return 0

    def trim(self) -> None:
        if self._store.first != self._first:
            self._first = self._store.first
            self._take([row for row in self._rows if row >= self._first])

    def extend(self, seconds: float) -> None: ...

    def search(self, seconds: float) -> bool:  # noqa: ARG002
        return False


def next_chunk(chunk: int, took: float, seconds: float) -> int:
    """Return the number of rows for the next step, so that it takes about half of `seconds`."""
    if took > seconds:
        return max(CHUNK, chunk // 4)
    return min(MAX_CHUNK, chunk * 2) if took * 4 < seconds else chunk
