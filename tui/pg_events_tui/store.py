"""Where the console keeps what it has seen: appended by the reader thread, read by the screens, bounded, on disk.

Events stand in segments, each a temporary file of JSON Lines with a few columns of numbers in memory, so that a
million of them cost tens of megabytes. An event's *row* is its number since the console started: it never changes
and is never used again, so whoever holds a row (the selection, a mark) cannot be moved by what is appended or trimmed.
"""

import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from threading import Lock
from typing import IO, Final, Generic, TypeVar, cast

from pg_events.event import SCHEMA, Record

DEFAULT_EVENTS: Final = 1_000_000
DEFAULT_BYTES: Final = 4 * 1024**3
SEGMENTS: Final = 20
"""The bound is kept by dropping a whole segment, so up to a twentieth less than the bound may be there."""

NOTE: Final = "N"
"""Kind of a row that is no event but a word about the way to the database: a gap, a reconnect. Its `query` says it."""

AT_BYTES: Final = 40
"""At the start of each line stands the event's time, padded to this; behind it the texts a search looks into."""
_NOTHING: Final = b"\x01"
"""Stands for None. No JSON and no statement is this one control character."""
_IN_LINE: Final = 0
"""A name's number when there are too many names to be numbered: it then stands at the end of the line."""
_MAX_NAMES: Final = 65_536

T = TypeVar("T")


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
        self.tables = Names[tuple[str | None, str | None, bool]]()
        """Schema, name, and whether it is of a schema event (then the name is an identity)."""
        self.users = Names[str | None]()
        self.applications = Names[str | None]()
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
    def event_count(self) -> int:
        """How many of the kept rows are events: all but the notes."""
        with self._lock:
            return self._end - self._starts[0] - sum(segment.notes for segment in self._segments)

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
        numbers: list[tuple[int, int, int]] = []
        size = 0
        for record in records[start : start + room]:
            names = self._numbers(record)
            line = _encoded(record, spell_names=_IN_LINE in names)
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

    def _numbers(self, record: Record) -> tuple[int, int, int]:
        return (
            self.tables.number((record.table_schema, record.table_name, record.kind == SCHEMA)),
            self.users.number(record.session_user),
            self.applications.number(record.application_name),
        )

    def _open_segment(self) -> "_Segment":
        segment = _Segment(self._end, self._directory)
        with self._lock:
            self._segments.append(segment)
            self._starts.append(self._end)
        return segment

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
            block = Block(self, segment, position, position + 1, self._lock)
        return block.record(0)

    def records(self, start: int, stop: int) -> Iterator[tuple[int, Record]]:
        """The kept ones of the rows from `start` to before `stop`, with their rows."""
        for block in self.blocks(start, stop, 256):
            for number in range(block.size):
                yield block.row + number, block.record(number)

    def blocks(self, start: int, stop: int, size: int) -> "Iterator[Block]":
        """The kept ones of the rows from `start` to before `stop`, in blocks of at most `size`, ascending."""
        row = start
        while True:
            with self._lock:
                row = max(row, self._starts[0])
                if row >= min(stop, self._end):
                    return
                segment, position = self._find(row)
                last = min(len(segment.ids), position + size, stop - segment.start)
                block = Block(self, segment, position, last, self._lock)
            yield block
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
            number = segment.tables[position]
        if number == _IN_LINE:
            record = self.record(row)
            return table_title(record.table_schema, record.table_name)
        schema, name, _ = self.tables[number]
        return table_title(schema, name)

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

    def table_counts(self, start: int, stop: int) -> dict[str, int]:
        """How many of the rows from `start` to before `stop` each table has; DDL counts as `ddl`."""
        counts: dict[int, int] = {}
        for block in self.blocks(start, stop, 4_096):
            for number in block.tables:
                counts[number] = counts.get(number, 0) + 1
        found: dict[str, int] = {}
        for number, count in counts.items():
            schema, name, is_ddl = self.tables[number] if number else (None, "(others)", False)
            title = "ddl" if is_ddl else table_title(schema, name)
            found[title] = found.get(title, 0) + count
        return found

    def row_of_id(self, wanted: int) -> int | None:
        """The row of the event with this id; the newest segment's, should it have come twice."""
        with self._lock:
            for segment in reversed(self._segments):
                for position in _places(segment.ids, wanted):
                    if segment.kinds[position] != ord(NOTE):
                        return segment.start + position
        return None

    def row_at(self, moment: float) -> int | None:
        """The first row that happened at that moment (seconds since 1970) or later, else the newest; None if empty."""
        with self._lock:
            for segment in self._segments:
                if segment.times and max(segment.times) >= moment:
                    return segment.start + next(n for n, at in enumerate(segment.times) if at >= moment)
            return self._end - 1 if self._end > self._starts[0] else None

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


def _places(column: "array[int]", wanted: int) -> Iterator[int]:
    start = 0
    while True:
        try:
            start = column.index(wanted, start)
        except ValueError:
            return
        yield start
        start += 1


class Names(Generic[T]):
    """Names that events share, each with a number from 1; a name beyond the last number has none."""

    def __init__(self) -> None:
        self._names: list[T | None] = [None]
        self._numbers: dict[T, int] = {}

    def number(self, name: T) -> int:
        """0 when there is no number left."""
        found = self._numbers.get(name)
        if found is None:
            if len(self._names) >= _MAX_NAMES:
                return _IN_LINE
            found = len(self._names)
            self._names.append(name)
            self._numbers[name] = found
        return found

    def __getitem__(self, number: int) -> T:
        return cast("T", self._names[number])


class _Segment:
    """Some events in a file that has no name, so that it is gone with the process even when that is killed."""

    def __init__(self, start: int, directory: str | None) -> None:
        self.start = start
        self.size = 0
        self.notes = 0
        self.offsets = array("Q")
        self.ids = array("q")
        self.xids = array("q")
        self.kinds = bytearray()
        self.tables = array("H")
        self.users = array("H")
        self.applications = array("H")
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

    def add(self, record: Record, line_bytes: int, names: tuple[int, int, int]) -> None:
        self.offsets.append(self.size)
        self.ids.append(record.id)
        self.xids.append(record.xid)
        self.kinds.append(ord(record.kind))
        self.notes += record.kind == NOTE
        table, user, application = names
        self.tables.append(table)
        self.users.append(user)
        self.applications.append(application)
        self.times.append(_seconds(record.at))
        self.size += line_bytes

    def end_of(self, position: int) -> int:
        return self.offsets[position + 1] if position + 1 < len(self.offsets) else self.size

    def read(self, position: int, stop: int) -> bytes:
        """The lines from `position` to before `stop`; `pread` shares no file position with the writer."""
        start = self.offsets[position]
        return os.pread(self._file.fileno(), self.end_of(stop - 1) - start, start)

    @property
    def is_closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._file.close()


class Block:
    """Some rows on end: their columns, and their texts once somebody asks for them."""

    __slots__ = (
        "_lock", "_position", "_segment", "_store", "_text",
        "applications", "base", "edges", "ids", "kinds", "row", "size", "tables", "times", "users", "xids",
    )  # fmt: skip

    def __init__(self, store: Store, segment: _Segment, position: int, last: int, lock: Lock) -> None:
        """Called under the lock."""
        self.row = segment.start + position
        """The store's row of the block's first."""
        self.size = last - position
        self.kinds = bytes(segment.kinds[position:last])
        self.ids = segment.ids[position:last]
        self.xids = segment.xids[position:last]
        self.tables = segment.tables[position:last]
        self.users = segment.users[position:last]
        self.applications = segment.applications[position:last]
        self.times = segment.times[position:last]
        self.base = segment.offsets[position]
        self.edges = segment.offsets[position : last + 1]
        """Where each row's line begins, and where the last one ends; `text` begins at `base`."""
        if len(self.edges) == self.size:
            self.edges.append(segment.end_of(last - 1))
        self._store = store
        self._segment = segment
        self._position = position
        self._lock = lock
        self._text: bytes | None = None
        if self.size == 1:
            self._read()

    def _read(self) -> bytes:
        """Under the lock."""
        segment, position = self._segment, self._position
        self._text = b"" if segment.is_closed else segment.read(position, position + self.size)
        return self._text

    @property
    def text(self) -> bytes:
        """The lines of all its rows, one behind the other; empty when they were dropped in the meantime."""
        if self._text is not None:
            return self._text
        with self._lock:
            return self._read()

    def line(self, number: int) -> bytes:
        """What is stored of the block's row with this number, from 0; empty when it is not kept any more."""
        return self.text[self.edges[number] - self.base : self.edges[number + 1] - self.base]

    def record(self, number: int) -> Record:
        """The block's row with this number, from 0. Raises `IndexError` when it is not kept any more."""
        line = self.line(number)
        if not line:
            raise IndexError("the row is not kept any more")
        query, old, new, ddl, *names = line[AT_BYTES:].split(b"\0")
        table, user, application = self.tables[number], self.users[number], self.applications[number]
        schema, name, spelt_user, spelt_application = map(_decoded, names or (_NOTHING,) * 4)
        if table:
            schema, name, _ = self._store.tables[table]
        return Record(
            self.ids[number],
            self.xids[number],
            line[:AT_BYTES].rstrip().decode(),
            chr(self.kinds[number]),
            schema,
            name,
            self._store.users[user] if user else spelt_user,
            self._store.applications[application] if application else spelt_application,
            _decoded(query),
            _decoded(old),
            _decoded(new),
            _decoded(ddl),
        )


def _encoded(record: Record, *, spell_names: bool) -> bytes:
    """A line: the time, the texts a search looks into, and the names if they have no numbers."""
    at = record.at.encode("ascii", "replace")
    if len(at) > AT_BYTES:  # not from a database
        at = _shortened(record.at).encode("ascii", "replace")[:AT_BYTES]
    texts = [record.query, record.old_data, record.new_data, record.ddl]
    if spell_names:
        texts += [record.table_schema, record.table_name, record.session_user, record.application_name]
    # A NUL cannot come from the database; from a file it could.
    return at.ljust(AT_BYTES) + b"\0".join(
        _NOTHING if text is None else text.encode("utf-8", "surrogatepass").replace(b"\0", b"\xef\xbf\xbd")
        for text in texts
    )


def _decoded(text: bytes) -> str | None:
    return None if text == _NOTHING else text.decode("utf-8", "surrogatepass")


def _shortened(at: str) -> str:
    try:
        return datetime.fromisoformat(at).isoformat()
    except ValueError:
        return at


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
