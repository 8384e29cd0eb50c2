"""Reads events from the log, from a cursor, in order and without gaps.

The cursor is a snapshot, not an id: ids are assigned before the commit, so "id above the last one seen" loses events of
transactions that commit late. A *window* holds the events that became visible between two snapshots; it is read in the
order of the ids, which within one row is the order of the changes. A window that fits a page is read at once; a larger
one by pages inside the same two snapshots. The method is that of PgQ's batches.

A reader sleeps on NOTIFY, without a payload. Writers notify only while a reader is registered as sleeping, which it is
only after some idle milliseconds: a busy log costs the writers nothing. A writer may check just before the reader falls
asleep, so the reader also polls, indefinitely, at growing intervals. The poll is the heartbeat of the connection, too: if
it gets no answer in time, the connection is closed, whatever its state in the network.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.sql import SQL

from pg_events import sql
from pg_events.config.settings import SERVER_TIMEOUT_SECONDS
from pg_events.db import session
from pg_events.db.connection import connect, describe, translate
from pg_events.db.link import Link, RawCursor, ServerSilent
from pg_events.errors import DatabaseUnreachable, ForeignCursor, NotInstalled
from pg_events.event import MAX_PACKED, Record, sound
from pg_events.triggers import catalog
from pg_events.triggers.catalog import Connection
from pg_events.triggers.plan import newest_version

log = logging.getLogger(__name__)

EVERYTHING: Final = "1:1:"
"""Snapshot before all transactions; a cursor there starts at the oldest kept event."""

RECENT_BYTES: Final = 64_000_000
"""Maximum size of past rows that a reader requests at once; takes about a second."""

_EAGER_SECONDS: Final = (0.001, 0.002, 0.003, 0.004, 0.005)
"""Pauses between polls right after an event, when the next one is likely soon; without a request to notify."""
_IDLE_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Pauses between polls while writers are asked to notify."""
_ASK_SECONDS: Final = 2.0
"""Duration of one request to notify; for this long a killed reader can cost each writer a NOTIFY."""
_MOST_PATIENCE: Final = 16
"""Upper bound of the timeout back-off, as a factor, for a server that is slow rather than dead."""


class Cursor(NamedTuple):
    """Position of a reader: events visible in `snapshot` have been delivered."""

    snapshot: str
    """Text of a `pg_snapshot`."""
    window_end: str | None = None
    """Snapshot at the end of the current window; None between windows."""
    position: int = 0
    """Id of the last delivered event inside the window."""


@dataclass
class _Window:
    """Window that is too large for one page."""

    begin: str
    end: str
    records: Iterator[Record]
    """Following records, read lazily."""


class Listener:
    """Reader of records. Not thread-safe; every method blocks.

    `cursor` is the position after the page that `poll()` returned last. A reader that saves it after each page and
    restarts from the saved one misses nothing and gets at most one page twice.
    """

    def __init__(
        self,
        database_url: str,
        cursor: Cursor | None = None,
        *,
        page_events: int = 1000,
        application_name: str = "pg_events listen",
        asks_to_be_woken: bool = False,
        wake_up: bool = True,
        server_timeout_seconds: float = SERVER_TIMEOUT_SECONDS,
    ) -> None:
        """Prepare a listener; without `cursor` it starts after the events visible at `connect()`.

        `asks_to_be_woken` needs the privilege to set the sequence `pgevents.sleeper`: workers have it; readers do not,
        but benefit from the notifications that workers request. With `wake_up` False it polls and uses no LISTEN.
        `server_timeout_seconds` is the time to wait for an answer before the connection counts as lost.
        """
        self.database_url = database_url
        self.page_events = page_events
        self.application_name = application_name
        self.session_user = ""
        """Role of the session since the last `connect()`, as recorded in events, whatever a pooler maps."""
        self.is_shared = False
        """True if a pooler in transaction mode shares the session, so that notifications cannot arrive."""
        self._wanted = (asks_to_be_woken, wake_up)
        self._asks = self._wake_up = False
        self._link_seconds = server_timeout_seconds
        self._version = 0
        """Version of the schema when last read."""
        self._patience = 1
        self._connection: Link | None = None
        self._cursor = cursor
        self._firm = cursor
        self._window: _Window | None = None
        self._page_begin: str = ""
        self._page_end: str = ""
        self._idle_looks = 0
        self._asked_until = 0.0
        self._statements: OrderedDict[int, str] = OrderedDict()

    # --- the link -----------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, or reconnect after the connection was lost; the cursor is kept.

        Raises `DatabaseUnreachable` (also if only a standby is found), `NotInstalled`, `NotPermitted`, or
        `ForeignCursor` if the log was created on another cluster.
        """
        self.close()
        connection = connect(
            self.database_url,
            application_name=self.application_name,
            silence_seconds=self._link_seconds * self._patience,
        )
        try:
            session.settle(connection)
            self._version = check_log(connection)
            self._listen(connection)
            now = connection.execute("select pg_catalog.pg_current_snapshot()::text, session_user").fetchone()
            assert now is not None
            self.session_user = now[1]
            self.cursor = Cursor(now[0]) if self._firm is None else not_ahead(self._firm, now[0])
        except psycopg.Error as error:
            connection.close()
            raise self._lost(error) from error
        except BaseException:  # Ctrl-C too must leave no connection behind
            connection.close()
            raise
        self._connection = connection
        self._idle_looks = 0
        self._asked_until = 0.0

    def _listen(self, connection: Link) -> None:
        """Listen for notifications, if the session is not shared."""
        was_shared = self.is_shared
        self.is_shared = session.is_shared(connection, self.database_url)
        asks, wake_up = self._wanted
        self._wake_up = wake_up and not self.is_shared
        self._asks = asks and self._wake_up
        if self.is_shared:
            if not was_shared:
                log.warning("%s: %s", describe(self.database_url), session.SHARED)
            return
        if self._wake_up:
            # An idle poll is planned once: planning costs more than the poll itself, three times as much with millions
            # of kept events.
            connection.prepare_threshold = 2
            connection.execute("set plan_cache_mode = force_generic_plan")
            connection.execute(SQL("listen ") + SQL(session.CHANNEL))

    def _lost(self, error: psycopg.Error) -> Exception:
        """Translate an error of the connection. After a timeout the next one gets more time, because it may just be slow."""
        if isinstance(error, ServerSilent):
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
        return translate(error, self.database_url)

    def close(self) -> None:
        """Close the connection, if there is one. The cursor is kept."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> Link:
        """Connection, for short statements between polls (a worker saves its cursor on it)."""
        if self._connection is None:
            raise DatabaseUnreachable(f"{describe(self.database_url)}: not connected")
        return self._connection

    def __enter__(self) -> "Listener":
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading ------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> Cursor:
        """Position after everything that `poll()` has returned."""
        assert self._cursor is not None, "connect() first"
        return self._cursor

    @cursor.setter
    def cursor(self, cursor: Cursor) -> None:
        self._cursor = self._firm = cursor
        self._window = None

    @property
    def page_bounds(self) -> tuple[str, str]:
        """Snapshots between which the events of the last page lie."""
        return self._page_begin, self._page_end

    def cursor_after(self, record: Record) -> Cursor:
        """Position after this record of the last page."""
        return Cursor(self._page_begin, self._page_end, record.id)

    def recent(self, limit: int, limit_bytes: int = RECENT_BYTES) -> list[Record]:
        """Return the last `limit` events, oldest first, and move the cursor after them.

        Returns fewer if their rows would exceed `limit_bytes`.
        """
        rows = self._rows("recent.sql", (limit, limit_bytes))
        self.check_version(rows)
        records = self.records([row[1:] for row in reversed(rows) if row[1] is not None])[-limit:]
        self.cursor = Cursor(rows[0][0])
        return records

    def poll(self) -> list[Record]:
        """Next page in order; empty if there is nothing new.

        Raises `DatabaseUnreachable` if the connection is lost; call `connect()` again, nothing is missed. Raises
        `NotInstalled` if another release has changed the schema; the cursor does not move.
        """
        records = (self._next_page() if self._window or self.cursor.window_end else []) or self._look()
        if records:
            self._idle_looks = 0
            if self._asked_until:
                self._ask(0)
        return records

    def pages(self) -> Iterator[list[Record]]:
        """Yield pages until there is nothing new."""
        while page := self.poll():
            yield page

    def window(self) -> Iterator[list[Record]]:
        """Yield pages up to the cursor's `window_end`."""
        while self.cursor.window_end is not None:
            yield self._next_page()

    def _look(self) -> list[Record]:
        """Open a window up to the current snapshot, and read it if it fits a page."""
        begin = self.cursor.snapshot
        rows = self._rows("window.sql", (begin, self.page_events + 1))
        self.check_version(rows)
        end: str = rows[0][0]
        found = [row[1:] for row in rows if row[1] is not None]
        if sum(row[13] or 1 for row in found) > self.page_events:
            self._cursor = self._firm = Cursor(begin, end)
            return self._next_page() or self._look()
        found.sort()
        records = self.records(found)
        self._page_begin, self._page_end = begin, end
        self._cursor = Cursor(end)
        if records:
            # A lost connection resumes from here. Transactions that an idle poll has seen end without an event may never
            # have reached the disk: a server that crashes reuses their ids.
            self._firm = self._cursor
        return records

    def _next_page(self) -> list[Record]:
        """Next page of a large window; empty at its end."""
        if self._window is None:
            begin, end, position = self.cursor
            assert end is not None
            self._window = _Window(begin, end, self._follow(begin, end, position))
        window = self._window
        try:
            records = list(islice(window.records, self.page_events))
        except BaseException:  # an interrupted window would seem to have ended
            self._window = None
            raise
        self._page_begin, self._page_end = window.begin, window.end
        if len(records) < self.page_events:
            self.cursor = Cursor(window.end)
        else:
            self._cursor = self._firm = Cursor(window.begin, window.end, records[-1].id)
        return records

    def _follow(self, begin: str, end: str, position: int) -> Iterator[Record]:
        """Events of a window after a position, which can be inside a packed row of up to a hundred events."""
        first_id: int = self._rows("window_start.sql", (begin,))[0][0]
        after = position - MAX_PACKED
        while True:
            rows = self._rows("page.sql", (begin, end, after, first_id, self.page_events))
            self.check_version(rows)
            for record in _unpacked(rows, self._texts(rows)):
                if record.id > position:
                    yield record
            if len(rows) < self.page_events:
                return
            after = rows[-1][0]

    def _rows(self, question: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        connection = self.connection
        try:
            with RawCursor(connection) as cursor:
                rows = cursor.execute(sql.text(question), parameters).fetchall()
        except psycopg.Error as error:
            raise self._lost(error) from error
        self._patience = 1
        connection.silence_seconds = self._link_seconds
        return rows

    def check_version(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Raise `NotInstalled` if another release has run a build meanwhile, and its rows cannot be read.

        The rows of the log end with the version of the schema.
        """
        if rows and rows[0][-1] != self._version:
            self._version = checked_version(rows[0][-1] or 0, self.connection.info.dbname)

    def records(self, rows: Sequence[tuple[Any, ...]]) -> list[Record]:
        """Convert rows of the log to records, one per event.

        Removes the JSON quotes of the time and inserts statement texts that are stored separately. It queries these
        texts, so the connection can be lost here: the cursor moves only after it has returned.
        """
        return list(_unpacked(rows, self._texts(rows)))

    def _texts(self, rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
        """Statement texts stored separately from these rows."""
        wanted = {row[12] for row in rows if row[12] is not None}
        missing = wanted.difference(self._statements)
        if missing:
            self._statements.update(self._rows("statements.sql", (list(missing),)))
        texts = {number: text for number in wanted if (text := self._statements.get(number)) is not None}
        while len(self._statements) > 256:
            self._statements.popitem(last=False)
        return texts

    # --- sleeping -----------------------------------------------------------------------------------------------

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until a notification, until the next poll is due, or until `timeout_seconds` have passed.

        Raises `DatabaseUnreachable` if the connection is lost.
        """
        look = self._idle_looks
        self._idle_looks += 1
        if look < len(_EAGER_SECONDS):
            time.sleep(min(_EAGER_SECONDS[look], timeout_seconds))
            return
        if self._asks and time.monotonic() > self._asked_until - _IDLE_SECONDS[-1]:
            self._ask(_ASK_SECONDS)
            return  # Poll once more: writers that had not seen the request did not notify.
        seconds = min(_IDLE_SECONDS[min(look - len(_EAGER_SECONDS), len(_IDLE_SECONDS) - 1)], timeout_seconds)
        if not self._wake_up:
            time.sleep(seconds)
            return
        try:
            for _ in self.connection.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.Error as error:
            raise self._lost(error) from error

    def _ask(self, seconds: float) -> None:
        """Ask the writers to notify for a number of seconds; 0 withdraws the request."""
        self._rows("sleep.sql", (seconds,))
        self._asked_until = time.monotonic() + seconds if seconds else 0.0


def _unpacked(rows: Sequence[tuple[Any, ...]], texts: Mapping[int, str]) -> Iterator[Record]:
    """Events of the rows of the log, unpacked."""
    for row in rows:
        record = Record(
            row[0], row[1], row[2][1:-1], row[3], row[4], row[5], row[6], row[7],
            row[8] if row[12] is None else texts.get(row[12]),
            row[9], row[10], row[11], row[14],
        )  # fmt: skip
        yield from sound(record, row[13])


def not_ahead(cursor: Cursor, now: str) -> Cursor:
    """The cursor, or the server's snapshot `now` if the cursor is ahead of it.

    A crashed server, or a promoted standby, can have lost the last transactions; their ids are reused.
    """

    def end(snapshot: str) -> int:
        return int(snapshot.split(":")[1])

    if end(cursor.snapshot) > end(now):
        return Cursor(now)
    if cursor.window_end is not None and end(cursor.window_end) > end(now):
        return Cursor(cursor.snapshot)
    return cursor


def checked_version(version: int, database: str) -> int:
    """Return the version of the schema. Raises `NotInstalled` if it is unknown (0) or that of another release."""
    if not version:
        raise NotInstalled(
            f"the pgevents schema in database {database} was restored without its data; run: pg_events build"
        )
    if version < (newest := newest_version(version)):
        raise NotInstalled(
            f"the pgevents schema in database {database} is version {version}, this release needs {newest}; run: "
            "pg_events build"
        )
    return version


def check_log(connection: Connection) -> int:
    """Return the version of the schema, after checking that the log can be read.

    Raises `NotInstalled` if there is no log or it is of another release, `ForeignCursor` if it was created on another
    cluster, and `DatabaseUnreachable` on a standby, whose snapshots do not name the running transactions.
    """
    server = catalog.server(connection)
    if server.is_standby:
        info = connection.info
        raise DatabaseUnreachable(
            f"{info.dbname}@{info.host}:{info.port} is a standby, but events are read from the primary; pass its address, or "
            "those of all servers: postgresql://one,two/name"
        )
    if not server.is_installed:
        raise NotInstalled(f"no pg_events in database {connection.info.dbname}; run: pg_events build")
    row = connection.execute("select coalesce(max(version), 0) from pgevents.migration").fetchone()
    assert row is not None
    version = checked_version(row[0], connection.info.dbname)
    row = connection.execute("select s.value from pgevents.setting s where s.name = 'system_identifier'").fetchone()
    if row is None or row[0] != server.system_identifier:
        raise ForeignCursor(
            f"the log in database {connection.info.dbname} was created on another cluster (a restored dump?): its "
            "transaction ids are meaningless here; run pg_events teardown and pg_events build to create a new one "
            + ForeignCursor.BUT_UPGRADED
        )
    return version
