"""Storage of the console's events: appended by the reader thread, read by the screens, bounded, on disk.

Events are stored in segments, each a temporary file of JSON Lines with a few numeric columns in memory, so that a
million of them cost tens of megabytes. An event's *row* is its number since the console's start: it never changes and is
never reused, so that references to rows (the selection, a mark) are not affected by appending or trimming.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

from pg_events.event import Record
from pg_events_tui.model.segment import IN_LINE, Block, EventNames, Segment, encoded
from pg_events_tui.model.segment import NOTE as NOTE

DEFAULT_EVENTS: Final = 1_000_000
DEFAULT_BYTES: Final = 4 * 1024**3
SLICE_BYTES: Final = 8_000_000
"""Approximate number of bytes read per step by searches through everything."""
SEGMENTS: Final = 20
"""Number of segments. A whole segment is dropped at the bound, so up to a twentieth fewer events may be kept."""


class Store:
    """Received events, oldest first.

    One thread appends and any thread reads. Costly work (encoding, writing) happens outside the lock; the lock is held to
    publish a page's columns, to drop a segment and to read. A row below `end` is therefore always complete.
    """

    def __init__(
        self, max_events: int = DEFAULT_EVENTS, max_bytes: int = DEFAULT_BYTES, directory: str | None = None
    ) -> None:
        """`directory` holds the temporary files; None is the system's default."""
        self._segment_events = max(1, max_events // SEGMENTS)
        self._segment_bytes = max(1, max_bytes // SEGMENTS)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._directory = directory
        self._lock = Lock()
        self._names = EventNames()
        self.tables, self.users, self.applications = self._names.tables, self._names.users, self._names.applications
        self._segments = [Segment(0, directory)]
        self._starts = [0]
        self._end = 0
        self._dropped_bytes = 0
        self._all_bytes = 0

    @property
    def first(self) -> int:
        """Oldest row kept; equals `end` if there is none."""
        return self._starts[0]

    @property
    def end(self) -> int:
        """One past the newest row: the number of events ever appended."""
        return self._end

    def __len__(self) -> int:
        with self._lock:
            return self._end - self._starts[0]

    @property
    def event_count(self) -> int:
        """Number of kept rows that are events, not notes."""
        with self._lock:
            return self._end - self._starts[0] - sum(segment.notes for segment in self._segments)

    @property
    def size_bytes(self) -> int:
        """Size of the kept events on disk."""
        return self._all_bytes - self._dropped_bytes

    def append(self, records: Sequence[Record]) -> None:
        """Append a page. Called by one thread only."""
        start = 0
        while start < len(records):
            start += self._append_to_segment(records, start)
        self._trim()

    def _append_to_segment(self, records: Sequence[Record], start: int) -> int:
        """Append the records that fit to the newest segment, and return their number."""
        segment = self._segments[-1]
        if len(segment.ids) >= self._segment_events or segment.size >= self._segment_bytes:
            segment = self._open_segment()
        room = self._segment_events - len(segment.ids)
        lines: list[bytes] = []
        numbers: list[tuple[int, int, int]] = []
        size = 0
        for record in records[start : start + room]:
            names = self._names.numbers(record)
            line = encoded(record, spell_names=IN_LINE in names)
            numbers.append(names)
            lines.append(line)
            size += len(line)
            if segment.size + size >= self._segment_bytes:
                break
        segment.write(b"".join(lines))
        page = records[start : start + len(lines)]
        with self._lock:
            for record, line, names in zip(page, lines, numbers, strict=True):
                segment.add(record, len(line), names)
            self._end += len(page)
            self._all_bytes += size
        return len(page)

    def _open_segment(self) -> "Segment":
        segment = Segment(self._end, self._directory)
        with self._lock:
            self._segments.append(segment)
            self._starts.append(self._end)
        return segment

    def _trim(self) -> None:
        """Drop the oldest segments until the bounds hold, but never the current one."""
        while len(self._segments) > 1 and (
            self._end - self._starts[0] > self._max_events or self.size_bytes > self._max_bytes
        ):
            with self._lock:
                segment = self._segments.pop(0)
                self._starts.pop(0)
                self._dropped_bytes += segment.size
                segment.close()

    def record(self, row: int) -> Record:
        """Return the event at `row`. Raises `IndexError` if it is not kept (any more)."""
        with self._lock:
            segment, position = self._find(row)
            block = Block(self._names, segment, position, position + 1, self._lock)
        return block.record(0)

    def records(self, start: int, stop: int) -> Iterator[tuple[int, Record]]:
        """Yield the kept rows from `start` to before `stop`, with their events."""
        for block in self.blocks(start, stop, 256):
            for number in range(block.size):
                yield block.row + number, block.record(number)

    def reach_back(self, stop: int, rows: int) -> int:
        """Return the first row of a step back from `stop`, limited by `rows` and `SLICE_BYTES`, but of at least one row."""
        with self._lock:
            if not self._starts[0] < stop <= self._end:  # dropped meanwhile
                return stop - rows
            segment, position = self._find(stop - 1)
            limit = segment.end_of(position) - SLICE_BYTES
            return segment.start + bisect_left(segment.offsets, limit, max(0, position + 1 - rows), position)

    def reach_on(self, start: int, rows: int) -> int:
        """Return the end of a step on from `start`, limited as in `reach_back`."""
        with self._lock:
            if not self._starts[0] <= start < self._end:
                return start + rows
            segment, position = self._find(start)
            limit = segment.offsets[position] + SLICE_BYTES
            last = min(len(segment.offsets), position + rows)
            return segment.start + bisect_right(segment.offsets, limit, position + 1, max(last, position + 1))

    def blocks(self, start: int, stop: int, size: int) -> "Iterator[Block]":
        """Yield the kept rows from `start` to before `stop` in blocks of at most `size`, ascending."""
        row = start
        while True:
            with self._lock:
                row = max(row, self._starts[0])
                if row >= min(stop, self._end):
                    return
                segment, position = self._find(row)
                last = min(len(segment.ids), position + size, stop - segment.start)
                block = Block(self._names, segment, position, last, self._lock)
            yield block
            row = segment.start + last

    def _find(self, row: int) -> tuple["Segment", int]:
        if not self._starts[0] <= row < self._end:
            raise IndexError(f"row {row} is not kept: {self._starts[0]} to {self._end} are")
        segment = self._segments[bisect_right(self._starts, row) - 1]
        return segment, row - segment.start

    def kind(self, row: int) -> str:
        """Return the kind, `I` `U` `D` `T` or `S`, without reading the event."""
        with self._lock:
            segment, position = self._find(row)
            return chr(segment.kinds[position])

    def id(self, row: int) -> int:
        with self._lock:
            segment, position = self._find(row)
            return segment.ids[position]

    def xid(self, row: int) -> int:
        with self._lock:
            segment, position = self._find(row)
            return segment.xids[position]

    def at(self, row: int) -> float:
        """Return the time of the event, in seconds since 1970."""
        with self._lock:
            segment, position = self._find(row)
            return segment.times[position]

    def table(self, row: int) -> str:
        """Return `schema.table` without reading the event."""
        with self._lock:
            segment, position = self._find(row)
            number = segment.tables[position]
        if number == IN_LINE:
            record = self.record(row)
            return table_title(record.table_schema, record.table_name)
        schema, name, _ = self.tables[number]
        return table_title(schema, name)

    def line_bytes(self, row: int) -> int:
        """Return the size of the event, so that large ones can be listed without reading them."""
        with self._lock:
            segment, position = self._find(row)
            return segment.end_of(position) - segment.offsets[position]

    def rows_of_kind(self, kind: str, start: int, stop: int) -> list[int]:
        """Return the kept rows from `start` to before `stop` of this kind, ascending. Fast, because it reads one column."""
        wanted = kind.encode("ascii")
        rows: list[int] = []
        with self._lock:
            for segment in self._segments:
                position = segment.kinds.find(wanted, max(0, start - segment.start))
                while position >= 0 and segment.start + position < stop:
                    rows.append(segment.start + position)
                    position = segment.kinds.find(wanted, position + 1)
        return rows

    def kind_count(self, kind: str) -> int:
        """Number of kept rows of this kind."""
        with self._lock:
            return sum(segment.kinds.count(kind.encode("ascii")) for segment in self._segments)

    def table_counts(self, start: int, stop: int) -> dict[str, int]:
        """Count the events from `start` to before `stop` by table; DDL counts as `ddl`."""
        counts: dict[int, int] = {}
        for block in self.blocks(start, stop, 4_096):
            for kind, number in zip(block.kinds, block.tables, strict=True):
                if kind != ord(NOTE):
                    counts[number] = counts.get(number, 0) + 1
        found: dict[str, int] = {}
        for number, count in counts.items():
            schema, name, is_ddl = self.tables[number] if number else (None, "(others)", False)
            title = "ddl" if is_ddl else table_title(schema, name)
            found[title] = found.get(title, 0) + count
        return found

    def row_of_id(self, wanted: int) -> int | None:
        """Return the row of the event with this id; of duplicates, that in the newest segment."""
        with self._lock:
            for segment in reversed(self._segments):
                for position in _places(segment.ids, wanted):
                    if segment.kinds[position] != ord(NOTE):
                        return segment.start + position
        return None

    def row_at(self, moment: float) -> int | None:
        """Return the first row at that time (seconds since 1970) or later, else the newest; None if empty."""
        with self._lock:
            for segment in self._segments:
                if segment.times and max(segment.times) >= moment:
                    return segment.start + next(n for n, at in enumerate(segment.times) if at >= moment)
            return self._end - 1 if self._end > self._starts[0] else None

    def close(self) -> None:
        """Release the disk space. The store cannot be used afterwards."""
        with self._lock:
            for segment in self._segments:
                segment.close()


def table_title(schema: str | None, name: str | None) -> str:
    """Format the name of a table for lists; a schema event's name already includes its schema."""
    if name is None:
        return schema or ""
    return name if schema is None or name.startswith((f"{schema}.", f'"{schema}".')) else f"{schema}.{name}"


def _places(column: "array[int]", wanted: int) -> Iterator[int]:
    start = 0
    while True:
        try:
            start = column.index(wanted, start)
        except ValueError:
            return
        yield start
        start += 1
