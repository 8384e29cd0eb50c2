"""Sources of captured events, a saved log or the retained one, which can be read repeatedly."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from pg_events.db.connection import describe
from pg_events.errors import UsageError
from pg_events.event import (
    APPLICATION,
    BROKEN,
    METHODS,
    SCHEMA,
    ApplicationEvent,
    DataEvent,
    Event,
    Record,
    record,
)
from pg_events.files import journal
from pg_events.filter import parser as filters
from pg_events.filter.conditions import And
from pg_events.filter.parser import Filter
from pg_events.log.listener import Listener
from pg_events.log.retained import Retained

LOG: Final = "log"
"""Name of the retained log in place of a file."""


class Item(NamedTuple):
    """Event of a source."""

    position: int
    """Ascending position in the source: line of a file, or id in the log."""
    id: int
    at: datetime
    payload: str
    is_schema: bool
    what: str
    """`UPDATE shop.orders`, `ALTER TABLE`."""
    table: str | None
    """`shop.orders`; None for a schema event."""
    event: Event | None = None
    """Typed event if the filter needed it; else use `journal.event(payload)`."""


class Source(Protocol):
    """Source of events that can be read repeatedly."""

    @property
    def name(self) -> str:
        """A file's absolute path, or `log`."""
        ...

    @property
    def bad_lines(self) -> int:
        """Number of lines that could not be read the last time."""
        ...

    @property
    def problems(self) -> Sequence[journal.Problem]: ...

    @property
    def fraction(self) -> float:
        """Fraction of the source that was read, from 0 to 1."""
        ...

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """Types by column by `schema.table` at the time of capture, as far as known."""
        ...

    def items(self, after: int = 0) -> Iterator[Item]:
        """Selected events after a position."""
        ...


class FileSource:
    """Source that reads a saved log."""

    def __init__(self, path: str | PathLike[str], wanted: Filter, positions: frozenset[int] | None = None) -> None:
        """Open a file; `positions` restricts the lines. Raises `UsageError` if it cannot be opened."""
        self._path = Path(path)
        self._wanted = None if wanted.condition == And() else wanted
        self._positions = positions
        self._reader = journal.read(self._path)
        self._reader.close()  # only checks that it can be opened

    @property
    def name(self) -> str:
        return str(self._path.absolute())

    @property
    def bad_lines(self) -> int:
        return self._reader.bad_lines

    @property
    def problems(self) -> Sequence[journal.Problem]:
        return self._reader.problems

    @property
    def fraction(self) -> float:
        return self._reader.fraction

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        return self._reader.header.columns if self._reader.header else {}

    def header(self) -> journal.Header:
        """Header of the file; an empty one if it has none."""
        with journal.read(self._path) as reader:
            next(iter(reader), None)
            return reader.header or journal.Header("")

    def items(self, after: int = 0) -> Generator[Item]:
        self._reader = journal.read(self._path)
        with self._reader:
            for number, payload, event in self._reader:
                if number <= after or (self._positions is not None and number not in self._positions):
                    continue
                if self._wanted is not None and not self._wanted.matches(record(payload)):
                    continue
                yield _item(number, payload, event)


class LogSource:
    """Source that reads the retained log, as visible on each read. Records that are not valid are skipped."""

    columns: Mapping[str, Mapping[str, str]] = {}
    name = LOG

    def __init__(self, database_url: str, wanted: Filter, positions: frozenset[int] | None = None) -> None:
        self._database_url = database_url
        self._wanted = wanted
        self._positions = positions
        self._log: Retained | None = None
        self.bad_lines = 0
        self.problems: list[journal.Problem] = []

    @property
    def fraction(self) -> float:
        log = self._log
        return 0.0 if log is None else (log.position - log.first_id + 1) / max(1, log.last_id - log.first_id + 1)

    def items(self, after: int = 0) -> Generator[Item]:
        """Selected events after a position. Raises `DatabaseUnreachable`, `NotInstalled`, `NotPermitted`."""
        with Listener(self._database_url, application_name="pg_events replay", wake_up=False) as listener:
            self._log = Retained(listener, self._wanted, after)
            self.bad_lines = 0
            self.problems.clear()
            for found in self._log:
                if found.kind == BROKEN:
                    self.bad_lines += 1
                    if len(self.problems) < journal.MAX_PROBLEMS:
                        self.problems.append(journal.Problem(found.id, found.broken or ""))
                elif self._positions is None or found.id in self._positions:
                    yield item_of(found)


def open_source(
    source: str | PathLike[str], database_url: str | None, wanted: Filter, positions: frozenset[int] | None = None
) -> FileSource | LogSource:
    """Open the source of that name: `log`, or a file. Raises `UsageError`."""
    if source != LOG:
        return FileSource(source, wanted, positions)
    if database_url is None:
        raise UsageError("the log is in a database: pass --database-url, or --settings that set it")
    return LogSource(database_url, wanted, positions)


def named_source(source: str | PathLike[str], wanted: Filter) -> Source:
    """Open a file, or the log of a database by its URL or `key=value` string."""
    if isinstance(source, str) and _is_database(source):
        describe(source)  # raises if it cannot be read
        return LogSource(source, wanted)
    return FileSource(source, wanted)


def asked_of(
    source: str | PathLike[str], where: str = "", since: str | None = None, until: str | None = None
) -> Filter:
    """Filter for a source. In a file `5m` and `14:00` are relative to its newest event; in a log, to the current time.

    Raises `UsageError`.
    """
    is_log = source == LOG or _is_database(source)
    return filters.chosen(where, since, until, now=None if is_log else partial(journal.ends_at, Path(source)))


def _is_database(source: str | PathLike[str]) -> bool:
    return isinstance(source, str) and not Path(source).exists() and ("://" in source or "=" in source)


def _item(position: int, payload: str, event: Event) -> Item:
    if isinstance(event, ApplicationEvent):
        return Item(position, event.id, event.at, payload, False, f"EVENT {event.event}", None, event)
    if isinstance(event, DataEvent):
        table = f"{event.table_schema}.{event.table_name}"
        return Item(position, event.id, event.at, payload, False, f"{event.method} {table}", table, event)
    return Item(position, event.id, event.at, payload, True, event.command_tag, None, event)


def item_of(found: Record) -> Item:
    """Item for a record of the log."""
    at = datetime.fromisoformat(found.at)
    if found.kind == APPLICATION:
        return Item(found.id, found.id, at, found.payload, False, f"EVENT {found.table_name}", None)
    if found.kind != SCHEMA:
        table = f"{found.table_schema}.{found.table_name}"
        return Item(found.id, found.id, at, found.payload, False, f"{METHODS[found.kind]} {table}", table)
    try:
        tag = str(json.loads(found.ddl or "{}").get("command_tag", "DDL"))
    except (ValueError, AttributeError, RecursionError):
        tag = "DDL"
    return Item(found.id, found.id, at, found.payload, True, tag, None)


class Events:
    """Typed events in order, as returned by `pg_events.read`; counts what could not be read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._unreadable: list[journal.Problem] = []

    def __iter__(self) -> Iterator[Event]:
        self._unreadable.clear()
        for event, _ in self.with_payloads():
            yield event

    def with_payloads(self) -> Iterator[tuple[Event, str]]:
        """Yield each event with its exact payload."""
        for item in self._source.items():
            try:
                yield item.event or journal.event(item.payload), item.payload
            except ValueError as error:  # of the log: a value nested too deeply for Python
                self._unreadable.append(journal.Problem(item.position, str(error)))

    @property
    def bad_lines(self) -> int:
        """Number of lines of a file, or events of the log, that were skipped so far."""
        return self._source.bad_lines + len(self._unreadable)

    @property
    def problems(self) -> Sequence[journal.Problem]:
        """First skipped ones, each with its line, or its id in the log, and the reason."""
        return [*self._source.problems, *self._unreadable[: journal.MAX_PROBLEMS]]


def read(source: str | PathLike[str], *, where: str = "", since: str | None = None, until: str | None = None) -> Events:
    """Read events, see `pg_events.read`."""
    return Events(named_source(source, asked_of(source, where, since, until)))
