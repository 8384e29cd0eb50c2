"""Reads and writes events in JSON Lines files: a header, then one payload per line; compressed if the name ends in .gz.

A file is valid at any moment: it grows by complete lines (compressed: by complete gzip members, each of which ends with a
complete line). The reader trusts nothing: it counts invalid lines with their numbers, and continues. The memory for a line
is bounded, however well it was compressed.
"""

import gzip
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, NoReturn, Self, cast

from pg_events.errors import PgEventsError, UsageError
from pg_events.event import METHODS, ApplicationEvent, DataEvent, Event, members, parse
from pg_events.text import TooDeep, one_line, shorten

FORMAT_VERSION: Final = 1
"""Version of the file format, independent of the release. A new one needs an entry in `CONVERTERS`."""

CONVERTERS: Final[Mapping[int, Callable[[str], str]]] = {}
"""Functions by version that convert payloads to the next one; older files are read through a chain of them."""

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""Maximum length of a line; the reader counts longer ones as invalid without holding them in memory."""

MAX_VALUES: Final = 1_000_000
"""Maximum JSON values of a line, because an empty object of two bytes takes seventy in memory."""

MAX_PROBLEMS: Final = 100
"""Maximum invalid lines kept with their reasons; the rest is counted."""

_BUFFER_BYTES: Final = 1024 * 1024
_AT: Final = re.compile(rb'"at": ?"([^"\\]{1,40})"')
_AT_BYTES: Final = 200
"""Number of bytes at the front of a line that hold the time, before any data of a row."""
_BOM: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Header:
    """First line of a file, which describes the origin of the events."""

    database: str
    tables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Fingerprint of the columns by `schema.table` when the file was started, see `catalog.fingerprints`."""
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Types by column by `schema.table` when the file was started; empty if unknown."""
    created_at: str = field(default_factory=_now)
    """Time of the start, ISO 8601 with offset."""
    redacted: tuple[str, ...] = ()
    """Patterns of `export --redact`: columns, and regular expressions."""

    def as_json(self) -> str:
        return json.dumps(
            {
                "pg_events": FORMAT_VERSION,
                "database": self.database,
                "created_at": self.created_at,
                "tables": dict(self.tables),
                "columns": {name: dict(columns) for name, columns in self.columns.items()},
            }
            | ({"redacted": self.redacted} if self.redacted else {})
        )


# --- writing ------------------------------------------------------------------------------------------------------


class Writer:
    """File that grows by complete lines. It may hold private data, so its mode is 0600.

    `write` buffers, `flush` (and `write`, at each megabyte) writes to the file. If that fails, or is interrupted, the file
    is truncated to its former size, so it stays valid.
    """

    def __init__(self, path: str | Path, header: Header, *, overwrite: bool = False) -> None:
        """Create the file. Raises `UsageError` if it exists and must not be overwritten, or cannot be created."""
        self.path = Path(path)
        self.events = 0
        """Number of events written; after a failure, of those in the file."""
        self._compressed = self.path.suffix == ".gz"
        self._pending = bytearray()
        self._pending_events = 0
        self._size = 0
        self._file, made = _open(self.path, overwrite)
        self._is_regular = stat.S_ISREG(os.fstat(self._file).st_mode)
        self._is_closed = False
        try:
            self._make_empty()
            self._pending += header.as_json().encode() + b"\n"
            self.flush()
        except BaseException:  # Ctrl-C must not leave an empty file behind either
            self._discard()
            if made:
                self.path.unlink(missing_ok=True)
            raise

    def write(self, payload: str) -> None:
        """Add an event's payload: one line of JSON."""
        assert not self._is_closed, "closed after a failure"
        # A lone surrogate cannot come from the database, and must not stop a recording.
        self._pending += payload.encode("utf-8", "replace") + b"\n"
        self._pending_events += 1
        self.events += 1
        if len(self._pending) >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the buffer to the file. Raises `PgEventsError` if that fails, for example because the disk is full."""
        if not self._pending:
            return
        data = gzip.compress(self._pending, compresslevel=6, mtime=0) if self._compressed else bytes(self._pending)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            self._cut_back()
            self.events -= self._pending_events
            self._discard()
            kept = f"it holds the {self.events:,} earlier events" if self._is_regular else "no more events are written"
            raise PgEventsError(f"{_name(self.path)} cannot be written: {error.strerror}; {kept}") from error
        except BaseException:  # Ctrl-C: `close` writes the pending events again
            self._cut_back()
            raise
        # One statement: Python checks for signals at calls, so Ctrl-C cannot come between the two.
        size, nothing = self._size + len(data), bytearray()
        self._size, self._pending, self._pending_events = size, nothing, 0

    def close(self) -> None:
        """Flush and close; raises the errors of `flush`."""
        if self._is_closed:
            return
        try:
            self.flush()
            if self._is_regular:
                os.fsync(self._file)  # some file systems report only now that they are full
        except OSError as error:
            raise PgEventsError(f"{_name(self.path)} cannot be written: {error.strerror}") from error
        finally:
            self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_empty(self) -> None:
        """Make the file empty and private before anything is written."""
        if self._is_regular:
            try:
                os.fchmod(self._file, 0o600)
                os.ftruncate(self._file, 0)
            except OSError as error:
                raise UsageError(f"{_name(self.path)} cannot be made private: {error.strerror}") from error

    def _cut_back(self) -> None:
        """Truncate the file to the end of the last complete write."""
        if self._is_regular:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)

    def _discard(self) -> None:
        """Close the file and discard the buffer."""
        if not self._is_closed:
            self._is_closed = True
            self._pending.clear()
            os.close(self._file)


def check_target(path: str | Path) -> None:
    """Raise `UsageError` if the file exists, before anything else is done."""
    if Path(path).is_file():
        raise UsageError(f"{_name(path)} already exists; use another name, or pass --overwrite to replace it")


def _open(path: Path, overwrite: bool) -> tuple[int, bool]:
    """Open the file; return the descriptor, and whether the file is new. Devices and pipes are used as they are."""
    if not overwrite:
        check_target(path)
    try:
        with suppress(FileExistsError):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), True
        if not overwrite:
            check_target(path)  # created by another process a moment ago
        return os.open(path, os.O_WRONLY), False
    except (OSError, ValueError) as error:
        raise UsageError(f"{_name(path)} cannot be written: {_reason(error)}") from error


# --- reading ------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """Event of a file."""

    number: int
    """Line number from 1, including the header."""
    payload: str
    """Exact text of the line, which a callback gets."""
    event: Event


class Problem(NamedTuple):
    """Invalid line that was skipped."""

    line: int
    reason: str


class Reader:
    """Events of a file, once, in the order of its lines, in bounded memory. Invalid lines are skipped.

    The counts are complete at the end of the iteration; `header` is known once the first line is yielded.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file. Raises `UsageError` if it does not exist or cannot be opened."""
        self.path = Path(path)
        self.header: Header | None = None
        """First header; None if there is none of a known version. The events are read all the same."""
        self.events = 0
        self.bad_lines = 0
        self.problems: list[Problem] = []
        """First `MAX_PROBLEMS` invalid lines."""
        self._unknown_version: str | None = None
        self._converters: list[Callable[[str], str]] = []
        try:
            self._file = self.path.open("rb")
            self._stream: BinaryIO = cast(
                "BinaryIO", gzip.GzipFile(fileobj=self._file) if self._file.peek(2)[:2] == _GZIP else self._file
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"{_name(path)} cannot be read: {_reason(error)}") from error

    @property
    def fraction(self) -> float:
        """Fraction of the file that was read, from 0 to 1; always 0 if it is not a regular file."""
        size = os.fstat(self._file.fileno()).st_size if not self._file.closed else 0
        return self._file.tell() / size if size and self._file.seekable() else 0.0

    def close(self) -> None:
        """Close the file; the end of the iteration does so, too."""
        self._stream.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Line]:
        """Yield the events. Raises `PgEventsError` if the disk fails."""
        with self:
            for number, line in self._lines():
                try:
                    found = self._line(number, line)
                except ValueError as error:
                    self._pass_over(number, str(error))
                else:
                    if found is not None:
                        self.events += 1
                        yield found

    def raw_lines(self) -> Iterator[bytes]:
        """Yield the text of every line, including headers. Raises `PgEventsError` if the disk fails."""
        return (line for _, line in self._lines())

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the readable lines with their numbers, except blank ones."""
        number = 0
        while True:
            number += 1
            try:
                line = self._stream.readline(MAX_LINE_BYTES + 1)
                is_too_long = len(line) > MAX_LINE_BYTES and not line.endswith(b"\n")
                while is_too_long:
                    line = self._stream.readline(_BUFFER_BYTES)
                    if not line or line.endswith(b"\n"):
                        break
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                cut = isinstance(error, EOFError)
                self._pass_over(number, "the compressed file is cut short" if cut else "the compressed data is damaged")
                return
            except OSError as error:
                raise PgEventsError(f"{_name(self.path)} cannot be read: {error.strerror}") from error
            if is_too_long:
                self._pass_over(number, f"longer than {MAX_LINE_BYTES:,} bytes")
            elif not line:
                return
            elif line := (line.removeprefix(_BOM) if number == 1 else line).rstrip(b"\r\n"):
                yield number, line

    def _line(self, number: int, line: bytes) -> Line | None:
        """Event of a line; None for a header. Raises `ValueError` with the reason if it is neither."""
        payload, values = _object(line)
        if "pg_events" in values and "id" not in values:  # also inside a file: files can be joined with `cat`
            self._take_header(values)
            return None
        if self._unknown_version:
            raise ValueError(self._unknown_version)
        if not self._converters:
            return Line(number, payload, _event(values))
        for convert in self._converters:
            payload = convert(payload)
        return Line(number, payload, event(payload))

    def _take_header(self, values: dict[str, Any]) -> None:
        version = values["pg_events"]
        older = range(version, FORMAT_VERSION) if type(version) is int else ()
        self._unknown_version = None
        if type(version) is not int or version > FORMAT_VERSION or not all(one in CONVERTERS for one in older):
            shown = shorten(one_line(str(version)), 40)
            newer = "; a newer pg_events reads it" if type(version) is int and version > FORMAT_VERSION else ""
            self._unknown_version = f"format version {shown}; this release reads {FORMAT_VERSION}{newer}"
            raise ValueError(self._unknown_version)
        self._converters = [CONVERTERS[one] for one in older]
        if self.header is None:
            columns = {name: _texts(one) for name, one in _members(values.get("columns")).items()}
            self.header = Header(
                str(values.get("database", "")),
                _texts(values.get("tables")),
                {name: one for name, one in columns.items() if one},
                str(values.get("created_at", "")),
                tuple(str(one) for one in _elements(values.get("redacted"))),
            )

    def _pass_over(self, number: int, reason: str) -> None:
        self.bad_lines += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(number, reason))


def _members(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _elements(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _texts(value: object) -> dict[str, str]:
    return {name: text for name, text in _members(value).items() if isinstance(text, str)}


def read(path: str | Path) -> Reader:
    """Reader of the events of a file. Raises `UsageError` if it cannot be opened."""
    return Reader(path)


def ends_at(path: str | Path) -> datetime | None:
    """Time of the newest event of a file, aware; None if it has none. Reads the file without parsing events.

    Raises `UsageError` if it cannot be opened.
    """
    newest: datetime | None = None
    with Reader(path) as reader:
        for line in reader.raw_lines():
            if match := _AT.search(line, 0, _AT_BYTES):
                with suppress(ValueError):  # not a time, or one without a zone
                    at = _moment(datetime.fromisoformat(match[1].decode()))
                    newest = at if newest is None else max(newest, at)
    return newest or max((line.event.at for line in read(path)), default=None)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant}")


def _number(text: str) -> Decimal | str:
    """Number that PostgreSQL stores but Python does not parse by default; as text if necessary."""
    try:
        return Decimal(text)
    except ArithmeticError:
        return text


def _integer(text: str) -> int | Decimal | str:
    return int(text) if len(text) < 1000 else _number(text)


_JSON: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)
_PATIENT_JSON: Final = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_refuse)
"""Slow decoder for numbers of thousands of digits."""


def _object(line: bytes) -> tuple[str, dict[str, Any]]:
    """Text and parsed object of a line. Raises `ValueError` if it is not a JSON object."""
    if b"\0" in line:
        raise ValueError("holds a NUL byte")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    _check_size(line)
    try:
        values = _decoded(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON, or cut short: {error.msg} at character {error.pos + 1:,}") from None
    except RecursionError:
        values = _shallow(text)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - bad input, not a bug
    return text, cast("dict[str, Any]", values)


def _check_size(line: bytes) -> None:
    """Raise `ValueError` if a line has too many values.

    Counts the characters that precede values: first all, which is fast, then those outside strings.
    """
    if sum(map(line.count, (b",", b"[", b"{"))) <= MAX_VALUES:
        return
    outside = (match for match in _SIGN.finditer(line) if match.end() - match.start() == 1)
    if next(islice(outside, MAX_VALUES, None), None) is not None:
        raise ValueError(f"more than {MAX_VALUES:,} values")


_SIGN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[,\[{]')


def _shallow(text: str) -> Any:
    """Parse an object column by column; values nested too deeply stay text."""
    if not text.lstrip().startswith("{"):
        raise ValueError("nested too deeply")
    values = members(text, _decoded)
    for side in ("old_data", "new_data"):
        if isinstance(row := values.get(side), TooDeep) and row.startswith("{"):
            values[side] = members(row, _decoded)
    return values


def _moment(at: datetime) -> datetime:
    """Time of a payload, if aware and valid in every time zone. Raises `ValueError`."""
    if at.tzinfo is None:
        raise ValueError("not a payload of pg_events: a value is not of its type")
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise ValueError(f"its time is out of range: {at.isoformat()}")
    return at


_YEARS: Final = (2, 9998)
"""Range of years, one less than that of Python at each end, because a time zone shifts a time by up to a day."""


def _decoded(text: str) -> Any:
    try:
        return _JSON.decode(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, ArithmeticError):
        return _PATIENT_JSON.decode(text)


def event(payload: str) -> Event:
    """Parse a payload into a typed event, with numbers of any length.

    Raises `ValueError` with the reason if it cannot be read, for instance because it is nested too deeply.
    """
    return _event(_object(payload.encode("utf-8", "replace"))[1])


def _event(values: dict[str, Any]) -> Event:
    """Typed event. Raises `ValueError` if an essential key is missing or of a wrong type."""
    event = parse(values)
    texts: list[object]
    if isinstance(event, DataEvent):
        texts = [event.table_schema, event.table_name, event.session_user, event.application_name]
        rows: tuple[object, ...] = (event.old_data, event.new_data)
        is_sound = event.method in METHODS.values() and all(row is None or isinstance(row, dict) for row in rows)
    elif isinstance(event, ApplicationEvent):
        texts = [event.event, event.session_user, event.application_name]
        is_sound = event.key is None or isinstance(cast("object", event.key), str)
    else:
        texts = [event.command_tag, event.session_user, event.application_name]
        is_sound = event.columns is None or isinstance(cast("object", event.columns), dict)
    _moment(event.at)
    numbers = (type(one) is int and 0 <= one < 2**63 for one in (event.id, event.xid))
    if not (is_sound and all(numbers) and all(isinstance(text, str) for text in texts)):
        raise ValueError("not a payload of pg_events: a value is not of its type")
    return event


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _name(path: str | Path) -> str:
    return one_line(str(path))
