"""Captures the events of a block of code, for tests.

    with capture(database_url) as captured:
        place_order()
    captured.assert_emits("public.orders", "INSERT", where="new.status:new")

`pg_events.testing.plugin` has it as a fixture of pytest. The events of the block are in the log when it ends:
there is no need to wait.
"""

import inspect
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol, cast, overload

from pg_events import sql
from pg_events.callbacks.router import by_event, by_head
from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.errors import NotInstalled, NotPermitted, PgEventsError, UsageError
from pg_events.event import ApplicationEvent, Event, Record, SchemaEvent, parse
from pg_events.filter.parser import Filter
from pg_events.filter.parser import parse as parse_filter
from pg_events.log.listener import check_log, checked_version
from pg_events.text import clean, counted, shorten
from pg_events.triggers import catalog
from pg_events.triggers.build import apply, make_plan
from pg_events.triggers.plan import fill

_SHOWN_EVENTS: Final = 20
_SHOWN_CHARACTERS: Final = 200


class DatabaseConnection(Protocol):
    """DB-API connection: of psycopg, psycopg2, or `django.db.connection`."""

    def cursor(self) -> Any: ...
    def rollback(self) -> object: ...


@contextmanager
def capture(
    database: str | DatabaseConnection,
    *,
    build: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Generator["Captured", None, None]:
    """Capture the events committed to a database during the block, by any process.

    `database` is a URL, or a connection of the code under test. With a connection, uncommitted writes of its own
    transaction are included, so that a test that is rolled back at its end sees its events. It must use `%s` for
    parameters.

    With `build` (and a URL) missing triggers are installed first, as by `pg_events build` with these patterns.
    Raises `NotInstalled` when the database has none (the transaction of a connection goes on), `UsageError` for the
    connection of an async driver, and what `connect` raises.
    """
    if not isinstance(database, str):
        _check_driver(database)
        if build:
            raise UsageError(
                "capture(build=True) takes the database's URL, not a connection: a build commits transactions of its own. "
                "Build once before the tests, with pg_events build or `with capture(URL, build=True): pass`, for instance in a "
                "fixture of the session; then capture(connection)"
            )
        with _captured(_Link(database)) as captured:
            yield captured
        return
    with connect(database, application_name="pg_events capture") as connection:
        if build:
            chosen = Settings(database, include=tuple(include), exclude=tuple(exclude))
            for step, reason in apply(database, make_plan(connection, chosen)).failed:
                raise PgEventsError(f"build of {step.table or step.object} failed: {reason}")
        check_log(connection)
        with _captured(_Link(connection, database)) as captured:
            yield captured


def _check_driver(connection: object) -> None:
    """Reject objects without a synchronous cursor. Raises `UsageError`."""
    if not hasattr(connection, "cursor"):
        raise UsageError(
            f"capture() takes a URL or a DB-API connection, not {type(connection).__name__} "
            "(of SQLAlchemy: connection.connection)"
        )
    for kind in (type(connection), cast("type[object]", type(getattr(connection, "driver_connection", None)))):
        if any(inspect.iscoroutinefunction(getattr(kind, name, None)) for name in ("execute", "rollback")):
            raise UsageError(
                f"capture() cannot ask the connection of an async driver ({kind.__module__}.{kind.__qualname__}); "
                "give it the database's URL, and commit what it is to see"
            )


@contextmanager
def _captured(link: "_Link") -> Generator["Captured", None, None]:
    captured = Captured(link)
    yield captured
    captured.end()


class _Start(NamedTuple):
    snapshot: str
    own_id: str


class _Link:
    """Queries the log through any driver."""

    def __init__(self, connection: DatabaseConnection, database_url: str | None = None) -> None:
        self.database_url = database_url
        self._connection = connection
        if database_url is None:
            self._check_log()
        self._start = _Start(*self._rows("capture_start.sql")[0])

    def _check_log(self) -> None:
        """Raise `NotInstalled` or `NotPermitted` instead of running a failing query, which would end the user's transaction."""
        database, role, is_there, may_read = self._rows("capture_log.sql")[0]
        if not is_there:
            raise NotInstalled(f"no pg_events in database {clean(database)}; run: pg_events build")
        if not may_read:
            raise NotPermitted(
                f"role {clean(role)} may not read the log in database {clean(database)}; as the schema's owner: "
                f"pg_events build --grant-reader {clean(role)}"
            )
        checked_version(int(self._rows("capture_version.sql")[0][0]), clean(database))

    def records(self) -> list[Record]:
        rows = self._rows("capture_end.sql", self._start)
        return [Record(int(id_), int(xid), at[1:-1], *rest) for id_, xid, at, *rest in rows]

    def _rows(self, question: str, parameters: Sequence[str] = ()) -> Sequence[Sequence[str]]:
        # Some drivers begin a transaction with any query: one of ours would turn the next one of the test into a savepoint.
        is_idle = getattr(getattr(self._connection, "info", None), "transaction_status", None) == 0
        cursor = self._connection.cursor()
        try:
            text = fill(sql.text(question), {"unpacked": sql.text("unpacked.sql")})
            cursor.execute(text.replace("$1", "%s").replace("$2", "%s"), tuple(parameters))
            return cast("Sequence[Sequence[str]]", cursor.fetchall())
        finally:
            cursor.close()
            if is_idle:
                self._connection.rollback()


class Captured(Sequence[Event]):
    """Events of a block, in order. During the block, those so far."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._records: list[Record] | None = None

    def end(self) -> None:
        """End the block; the events no longer change."""
        self._records = self._link.records()

    @property
    def records(self) -> list[Record]:
        return self._link.records() if self._records is None else self._records

    def of(
        self,
        table: str | None = None,
        *operations: str,
        tag: str | Sequence[str] | None = None,
        where: str | None = None,
    ) -> list[Event]:
        """Matching events, with the arguments of `Router.on`: `of("public.orders", "UPDATE")`."""
        return [parse(record.payload) for record in self._chosen(by_head(table, operations, tag), where)]

    def of_event(self, *names: str, where: str | None = None) -> list[Event]:
        """Matching events of the application, with the arguments of `Router.on_event`: `of_event("order.paid")`."""
        return [parse(record.payload) for record in self._chosen(by_event(names), where)]

    def _chosen(self, head: Filter, where: str | None) -> list[Record]:
        whole = parse_filter(where or "")
        return [record for record in self.records if head.matches(record) and whole.matches(record)]

    def assert_emits(
        self,
        table: str | None = None,
        *operations: str,
        tag: str | Sequence[str] | None = None,
        where: str | None = None,
        count: int | None = None,
    ) -> list[Event]:
        """Assert that there is a matching event, or exactly `count`; returns them. `AssertionError` lists the actual events."""
        __tracebackhide__ = True  # makes pytest show the line of the test, not this one
        head = by_head(table, operations, tag)
        found = self._chosen(head, where)
        if len(found) == count or (found and count is None):
            return [parse(record.payload) for record in found]
        meant = " ".join(part for part in (str(head), where or "") if part) or "events"
        wanted = "none was captured" if count is None else f"expected {count}, captured {len(found)}"
        if self._records is None:
            wanted += " so far: the block still runs, and what it has not committed is not seen"
        raise AssertionError(f"{meant}: {wanted}; {self._listing()}{self._advice(table)}")

    def _listing(self) -> str:
        records = self.records
        lines = [_line(record) for record in records[:_SHOWN_EVENTS]]
        if len(records) > _SHOWN_EVENTS:
            lines.append(f"… and {len(records) - _SHOWN_EVENTS:,} more")
        return "\n  ".join([f"in all {counted(len(records), 'event')}{':' if lines else ''}", *lines])

    def _advice(self, table: str | None) -> str:
        """Reason why the table cannot have events; else empty."""
        url = self._link.database_url
        if table is None or url is None:
            return ""
        try:
            with connect(url, application_name="pg_events capture") as connection:
                chosen = catalog.installed(connection).settings
                patterns = [json.loads(chosen.get(name, "[]")) for name in ("include", "exclude")]
                tables = [one for one in catalog.tables(connection, *patterns) if table in (one.name, one.identity)]
        except PgEventsError:
            return ""  # it was dropped already
        if not tables and not set("*?") & set(table):
            return f"\nthere is no table {clean(table)}"
        bare = [one for one in tables if one.state != "covered"]
        return "".join(f"\n{clean(one.identity)} is not covered: {one.reason or one.state}" for one in bare)

    def __repr__(self) -> str:
        kinds = [shorten(_line(record), 40) for record in self.records[:5]]
        return f"<{counted(len(self.records), 'event')}{': ' if kinds else ''}{', '.join(kinds)}>"

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        found = self.records[index]
        return parse(found.payload) if isinstance(found, Record) else [parse(one.payload) for one in found]

    def __len__(self) -> int:
        return len(self.records)


def _line(record: Record) -> str:
    event = parse(record.payload)
    if isinstance(event, ApplicationEvent):
        return clean(shorten(f"EVENT {event.event} {record.new_data or ''}".rstrip(), _SHOWN_CHARACTERS))
    if isinstance(event, SchemaEvent):
        return clean(shorten(f"{event.command_tag} {event.object_identity or ''}", _SHOWN_CHARACTERS))
    rows = " → ".join(row for row in (record.old_data, record.new_data) if row is not None)
    return clean(shorten(f"{event.method} {event.table} {rows}".rstrip(), _SHOWN_CHARACTERS))
