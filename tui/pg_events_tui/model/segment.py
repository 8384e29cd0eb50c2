"""Some of the store's events on end: a file of lines, and columns of numbers in memory."""

import os
import tempfile
from array import array
from collections.abc import Iterator
from datetime import datetime
from threading import Lock
from typing import IO, Final, Generic, TypeVar, cast

from pg_events.event import SCHEMA, Record

NOTE: Final = "N"
"""Kind of a row that is no event but a word about the way to the database: a gap, a reconnect. Its `query` says it."""

AT_BYTES: Final = 40
"""At the start of each line stands the event's time, padded to this; behind it the texts a search looks into."""
_NOTHING: Final = b"\x01"
"""Stands for None. No JSON and no statement is this one control character."""
IN_LINE: Final = 0
"""A name's number when there are too many names to be numbered: it then stands at the end of the line."""
_MAX_NAMES: Final = 65_536

T = TypeVar("T")


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
                return IN_LINE
            found = len(self._names)
            self._names.append(name)
            self._numbers[name] = found
        return found

    def __getitem__(self, number: int) -> T:
        return cast("T", self._names[number])

    def __iter__(self) -> Iterator[T]:
        """Those that have a number."""
        return iter(tuple(self._numbers))


class EventNames:
    """The names that events share."""

    def __init__(self) -> None:
        self.tables = Names[tuple[str | None, str | None, bool]]()
        """Schema, name, and whether it is of a schema event (then the name is an identity)."""
        self.users = Names[str | None]()
        self.applications = Names[str | None]()

    def numbers(self, record: Record) -> tuple[int, int, int]:
        return (
            self.tables.number((record.table_schema, record.table_name, record.kind == SCHEMA)),
            self.users.number(record.session_user),
            self.applications.number(record.application_name),
        )


class Segment:
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

    def write(self, lines: bytes) -> None:
        """Write behind what was added. Lines are visible to readers only after `add`; what a full disk cut short never is."""
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
        "_lock", "_names", "_position", "_segment", "_text",
        "applications", "base", "edges", "ids", "kinds", "row", "size", "tables", "times", "users", "xids",
    )  # fmt: skip

    def __init__(self, names: EventNames, segment: Segment, position: int, last: int, lock: Lock) -> None:
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
        self._names = names
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
        )


def encoded(record: Record, *, spell_names: bool) -> bytes:
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
