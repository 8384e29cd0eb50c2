"""Where the console keeps what it has seen: appended by the reader thread, read by the screens, bounded, on disk.

Events stand in segments, each a temporary file of JSON Lines with a few columns of numbers in memory, so that a
million of them cost tens of megabytes. An event's *row* is its number since the console started: it never changes
and is never used again, so whoever holds a row (the selection, a mark) cannot be moved by what is appended or trimmed.
"""

import json
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from threading import Lock
from typing import IO, Final

from pg_events.event import Record

DEFAULT_EVENTS: Final = 1_000_000
DEFAULT_BYTES: Final = 4 * 1024**3
SEGMENTS: Final = 20
"""The bound is kept by dropping a whole segment, so up to a twentieth less than the bound may be there."""


class Store:
    """The events seen, oldest first.

    One thread appends and any thread reads. What is costly (encoding, writing) happens outside the lock; the lock is
    held to publish a page's columns, to drop a segment and to read. A row below `end` is therefore always complete.
    """

    def __init__(
        self, max_events: int = DEFAULT_EVENTS, max_bytes: int = DEFAULT_BYTES, directory: str | None = None
    ) -> None:
        """`directory` holds the temporary files; None is the system's place for them."""
        self._segment_events = max(1, max_events // SEGMENTS)
        self._segment_bytes = max(1, max_bytes // SEGMENTS)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._directory = directory
        self._lock = Lock()
        self._tables: list[str] = []
        self._table_numbers: dict[tuple[str | None, str | None], int] = {}
        self._segments = [_Segment(0, directory)]
        self._starts = [0]
        self._end = 0
        self._dropped_bytes = 0
        self._all_bytes = 0

    @property
    def first(self) -> int:
        """The oldest row kept; equals `end` when there is none."""
        return self._starts[0]

    @property
    def end(self) -> int:
        """One past the newest row: how many events were ever appended."""
        return self._end

    def __len__(self) -> int:
        with self._lock:
            return self._end - self._starts[0]

    @property
    def size_bytes(self) -> int:
        """What the kept events take on disk."""
        return self._all_bytes - self._dropped_bytes

    def append(self, records: Sequence[Record]) -> None:
        """Add a page. Called by one thread only."""
        start = 0
        while start < len(records):
            start += self._append_to_segment(records, start)
        self._trim()

    def _append_to_segment(self, records: Sequence[Record], start: int) -> int:
        """Put into the newest segment what it still takes; how many that were."""
        segment = self._segments[-1]
        if len(segment.ids) >= self._segment_events or segment.size >= self._segment_bytes:
            segment = self._open_segment()
        room = self._segment_events - len(segment.ids)
        lines: list[bytes] = []
        size = 0
        for record in records[start : start + room]:
            line = json.dumps(record).encode("ascii") + b"\n"
            lines.append(line)
            size += len(line)
            if segment.size + size >= self._segment_bytes:
                break
        segment.write(b"".join(lines))
        page = records[start : start + len(lines)]
        numbers = [self._table_number(record) for record in page]
        with self._lock:
            for record, line, number in zip(page, lines, numbers, strict=True):
                segment.add(record, len(line), number)
            self._end += len(page)
            self._all_bytes += size
        return len(page)

    def _open_segment(self) -> "_Segment":
        segment = _Segment(self._end, self._directory)
        with self._lock:
            self._segments.append(segment)
            self._starts.append(self._end)
        return segment

    def _table_number(self, record: Record) -> int:
        key = (record.table_schema, record.table_name)
        number = self._table_numbers.get(key)
        if number is None:
            number = min(len(self._tables), 65_535)  # An array of 16 bit numbers: the last one is "many others".
            if number == len(self._tables):
                self._tables.append(table_title(record.table_schema, record.table_name))
            self._table_numbers[key] = number
        return number

    def _trim(self) -> None:
        """Drop the oldest segments until the bounds hold; never the one being written."""
        while len(self._segments) > 1 and (
            self._end - self._starts[0] > self._max_events or self.size_bytes > self._max_bytes
        ):
            with self._lock:
                segment = self._segments.pop(0)
                self._starts.pop(0)
                self._dropped_bytes += segment.size
                segment.close()

    def record(self, row: int) -> Record:
        """The event at `row`. Raises `IndexError` when it is not kept (any more)."""
        with self._lock:
            segment, position = self._find(row)
            line = segment.read(position, position + 1)
        return Record(*json.loads(line))

    def records(self, start: int, stop: int) -> Iterator[tuple[int, Record]]:
        """The kept ones of the rows from `start` to before `stop`, with their rows."""
        for first, segment_start, lines in self._pages(start, stop):
            for offset, line in enumerate(lines):
                yield segment_start + first + offset, Record(*json.loads(line))

    def _pages(self, start: int, stop: int) -> Iterator[tuple[int, int, list[bytes]]]:
        row = start
        while True:
            with self._lock:
                row = max(row, self._starts[0])
                if row >= min(stop, self._end):
                    return
                segment, position = self._find(row)
                last = min(len(segment.ids), position + 256, stop - segment.start)
                text = segment.read(position, last)
            yield position, segment.start, text.split(b"\n")[:-1]
            row = segment.start + last

    def _find(self, row: int) -> tuple["_Segment", int]:
        if not self._starts[0] <= row < self._end:
            raise IndexError(f"row {row} is not kept: {self._starts[0]} to {self._end} are")
        segment = self._segments[bisect_right(self._starts, row) - 1]
        return segment, row - segment.start

    def kind(self, row: int) -> str:
        """`I` `U` `D` `T` or `S`, without reading the event."""
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
        """When it happened, in seconds since 1970."""
        with self._lock:
            segment, position = self._find(row)
            return segment.times[position]

    def table(self, row: int) -> str:
        """`schema.table`, without reading the event."""
        with self._lock:
            segment, position = self._find(row)
            return self._tables[segment.tables[position]]

    def line_bytes(self, row: int) -> int:
        """How large the event is, so that a giant one need not be read to be listed."""
        with self._lock:
            segment, position = self._find(row)
            return segment.end_of(position) - segment.offsets[position]

    def rows_of_kind(self, kind: str, start: int, stop: int) -> list[int]:
        """The kept rows from `start` to before `stop` with this kind, ascending. Fast: it looks at one column."""
        wanted = kind.encode("ascii")
        rows: list[int] = []
        with self._lock:
            for segment in self._segments:
                position = segment.kinds.find(wanted, max(0, start - segment.start))
                while position >= 0 and segment.start + position < stop:
                    rows.append(segment.start + position)
                    position = segment.kinds.find(wanted, position + 1)
        return rows

    def close(self) -> None:
        """Give the disk space back. The store cannot be used afterwards."""
        with self._lock:
            for segment in self._segments:
                segment.close()


def table_title(schema: str | None, name: str | None) -> str:
    """The name of a table as lists show it; a schema event's name carries its schema already."""
    if name is None:
        return schema or ""
    return name if schema is None or name.startswith((f"{schema}.", f'"{schema}".')) else f"{schema}.{name}"


class _Segment:
    """Some events in a file that has no name, so that it is gone with the process even when that is killed."""

    def __init__(self, start: int, directory: str | None) -> None:
        self.start = start
        self.size = 0
        self.offsets = array("Q")
        self.ids = array("q")
        self.xids = array("q")
        self.kinds = bytearray()
        self.tables = array("H")
        self.times = array("d")
        # On POSIX this is unlinked (or never linked) at once and has mode 0600.
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="pg_events-", dir=directory, buffering=0)  # noqa: SIM115
        self._written = 0

    def write(self, lines: bytes) -> None:
        """Write behind what is there. Lines are visible to readers only after `add`."""
        view = memoryview(lines)
        while view:
            count = os.pwrite(self._file.fileno(), view, self._written)
            self._written += count
            view = view[count:]

    def add(self, record: Record, line_bytes: int, table: int) -> None:
        self.offsets.append(self.size)
        self.ids.append(record.id)
        self.xids.append(record.xid)
        self.kinds.append(ord(record.kind))
        self.tables.append(table)
        self.times.append(_seconds(record.at))
        self.size += line_bytes

    def end_of(self, position: int) -> int:
        return self.offsets[position + 1] if position + 1 < len(self.offsets) else self.size

    def read(self, position: int, stop: int) -> bytes:
        """The lines from `position` to before `stop`; `pread` shares no file position with the writer."""
        start = self.offsets[position]
        return os.pread(self._file.fileno(), self.end_of(stop - 1) - start, start)

    def close(self) -> None:
        self._file.close()


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
