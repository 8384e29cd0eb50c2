"""Consecutive events of the store: a file of lines, and numeric columns in memory."""

import os
import tempfile
from array import array
from collections.abc import Iterator
from datetime import datetime
from threading import Lock
from typing import IO, Final, Generic, TypeVar, cast

from pg_events.event import SCHEMA, Record

NOTE: Final = "N"
"""Kind of a row that is not an event but a note on the link, as a gap or a reconnect. Its `query` has the text."""

AT_BYTES: Final = 40
"""Padded size of the event's time, which begins each line; the searchable texts follow."""
_NOTHING: Final = b"\x01"
"""Marker of None. Neither JSON nor a statement consists of this one control character."""
IN_LINE: Final = 0
"""Number of all names beyond the maximum; these are stored at the end of the line."""
_MAX_NAMES: Final = 65_536

T = TypeVar("T")


class Names(Generic[T]):
    """Shared names of events, numbered from 1; names beyond the maximum have no number."""

    def __init__(self) -> None:
        self._names: list[T | None] = [None]
        self._numbers: dict[T, int] = {}

    def number(self, name: T) -> int:
        """Return the number of a name; 0 if there is none left."""
        found = self._numbers.get(name)
        if found is None:
            if len(self._names) >= _MAX_NAMES:
                return IN_LINE
            found = len(self._names)
            self._names.append(name)
            self._numbers[name] = found
        return found

    def __getitem__(self, number: int) -> T:
        return cast("T", self._names[number])

    def __iter__(self) -> Iterator[T]:
        """Iterate over the numbered names."""
        return iter(tuple(self._numbers))


class EventNames:
    """Names that events share."""

    def __init__(self) -> None:
        self.tables = Names[tuple[str | None, str | None, bool]]()
        """Schema, name, and whether it is of a schema event (with an identity as its name)."""
        self.users = Names[str | None]()
        self.applications = Names[str | None]()

    def numbers(self, record: Record) -> tuple[int, int, int]:
        return (
            self.tables.number((record.table_schema, record.table_name, record.kind == SCHEMA)),
            self.users.number(record.session_user),
            self.applications.number(record.application_name),
        )


class Segment:
    """Consecutive events in an unnamed file, which disappears with the process even if that is killed."""

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

    def write(self, lines: bytes) -> None:
        """Write after the added lines. Readers see lines only after `add`, so never those cut off by a full disk."""
        view, place = memoryview(lines), self.size
        while view:
            count = os.pwrite(self._file.fileno(), view, place)
            place += count
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
        """Read the lines from `position` to before `stop`; `pread` does not share a file position with the writer."""
        start = self.offsets[position]
        return os.pread(self._file.fileno(), self.end_of(stop - 1) - start, start)

    @property
    def is_closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._file.close()


class Block:
    """Consecutive rows: their columns, and their texts once requested."""

    __slots__ = (
        "_lock", "_names", "_position", "_segment", "_text",
        "applications", "base", "edges", "ids", "kinds", "row", "size", "tables", "times", "users", "xids",
    )  # fmt: skip

    def __init__(self, names: EventNames, segment: Segment, position: int, last: int, lock: Lock) -> None:
        """Requires the lock."""
        self.row = segment.start + position
        """Row of the store of the block's first row."""
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
        """Start of each row's line, and the end of the last one; `text` begins at `base`."""
        if len(self.edges) == self.size:
            self.edges.append(segment.end_of(last - 1))
        self._names = names
        self._segment = segment
        self._position = position
        self._lock = lock
        self._text: bytes | None = None
        if self.size == 1:
            self._read()

    def _read(self) -> bytes:
        """Read the lines. Requires the lock."""
        segment, position = self._segment, self._position
        self._text = b"" if segment.is_closed else segment.read(position, position + self.size)
        return self._text

    @property
    def text(self) -> bytes:
        """Concatenated lines of all rows; empty if they were dropped meanwhile."""
        if self._text is not None:
            return self._text
        with self._lock:
            return self._read()

    def line(self, number: int) -> bytes:
        """Return the stored line of a row, numbered from 0 in the block; empty if it is no longer kept."""
        return self.text[self.edges[number] - self.base : self.edges[number + 1] - self.base]

    def record(self, number: int) -> Record:
        """Return the event of a row, numbered from 0 in the block. Raises `IndexError` if it is no longer kept."""
        line = self.line(number)
        if not line:
            raise IndexError("the row is not kept any more")
        query, old, new, ddl, context, *names = line[AT_BYTES:].split(b"\0")
        table, user, application = self.tables[number], self.users[number], self.applications[number]
        schema, name, spelt_user, spelt_application = map(decoded, names or (_NOTHING,) * 4)
        if table:
            schema, name, _ = self._names.tables[table]
        return Record(
            self.ids[number],
            self.xids[number],
            line[:AT_BYTES].rstrip().decode(),
            chr(self.kinds[number]),
            schema,
            name,
            self._names.users[user] if user else spelt_user,
            self._names.applications[application] if application else spelt_application,
            decoded(query),
            decoded(old),
            decoded(new),
            decoded(ddl),
            decoded(context),
        )


def encoded(record: Record, *, spell_names: bool) -> bytes:
    """Encode an event as a line: the time, the searchable texts, and the names if they have no numbers."""
    at = record.at.encode("ascii", "replace")
    if len(at) > AT_BYTES:  # not from a database
        at = _shortened(record.at).encode("ascii", "replace")[:AT_BYTES]
    texts = [record.query, record.old_data, record.new_data, record.ddl, record.context]
    if spell_names:
        texts += [record.table_schema, record.table_name, record.session_user, record.application_name]
    # A NUL cannot come from the database, but from a file.
    return at.ljust(AT_BYTES) + b"\0".join(
        _NOTHING if text is None else text.encode("utf-8", "surrogatepass").replace(b"\0", b"\xef\xbf\xbd")
        for text in texts
    )


def decoded(text: bytes) -> str | None:
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
