"""Reads the retained log: the kept events, by filter and time, in the order of their ids.

The server evaluates as much of the filter as it can (see `pg_events.filter.sql`); the filter itself decides. Events are
read in pages by short statements of one snapshot, so a reader that pauses holds no transaction open. Ids and times rise
together, but not strictly: the range of ids to read covers all events in the time range, whatever their order.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Final, LiteralString

import psycopg
from psycopg.sql import SQL, Composed, Literal

from pg_events import sql
from pg_events.db.connection import translate
from pg_events.event import MAX_PACKED, Record
from pg_events.filter import sql as filter_sql
from pg_events.filter.parser import Filter
from pg_events.log.listener import Listener

_PAGE_EVENTS: Final = (50, 2_000)
"""Minimum and maximum number of events in a page."""
_PAGE_BYTES: Final = 8_000_000
"""Approximate bytes held in memory, if the size of the events allows."""
_SPAN_ROWS: Final = 10_000
"""Maximum rows of the log per statement, so that none takes long and a progress bar can move."""


class Retained:
    """Selected events that were visible when the listener connected. Iterating again resumes where it stopped."""

    def __init__(self, listener: Listener, wanted: Filter, after: int = 0) -> None:
        """Prepare the query; `after` excludes events up to this id. Errors of PostgreSQL are raised as `PgEventsError`."""
        self._listener = listener
        self._wanted = wanted
        self._snapshot = listener.cursor.snapshot
        self._where = filter_sql.where(wanted.condition)
        self._where_rows = filter_sql.where_rows(wanted.condition)
        self._safe_where = filter_sql.where_indexed(wanted.condition)
        self._page_events = _PAGE_EVENTS[0]
        first, self.last_id = self._range()
        self.first_id = max(first, after + 1)
        self.position = self.first_id - 1
        """Id up to which everything was read."""

    def __iter__(self) -> Iterator[Record]:
        """Yield the events. Raises `DatabaseUnreachable` if the connection is lost; reconnect and resume."""
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[list[Record]]:
        """Yield pages of events; one can be empty, so that the caller can look at `position`."""
        while self.position < self.last_id:
            until = self._span_end()
            rows = self._page(until)
            self._listener.check_version(rows)
            records = [one for one in self._listener.records(rows) if self.position < one.id <= until]
            self._adapt(records)
            is_full = len(rows) >= self._asked
            self.position = min(until, rows[-1][0] + (rows[-1][13] or 1) - 1) if rows and is_full else until
            yield [record for record in records if self._wanted.matches(record)]

    def _range(self) -> tuple[int, int]:
        if self._safe_where == filter_sql.ALL:
            question: SQL | Composed = SQL(sql.text("id_range.sql"))
        else:
            question = SQL(sql.text("retained_range.sql")).format(wanted=self._safe_where)
        return self._rows(question)[0]

    def _span_end(self) -> int:
        """Last id that the next statement reads."""
        question = SQL(sql.text("span_end.sql")).format(after=Literal(self.position), rows=Literal(_SPAN_ROWS))
        found: int | None = self._rows(question)[0][0]
        return self.last_id if found is None else min(found, self.last_id)

    def _page(self, until: int) -> list[tuple[Any, ...]]:
        self._asked = self._page_events
        try:
            return self._rows_up_to(until, self._where)
        except (psycopg.DataError, psycopg.errors.StatementTooComplex):
            # JSON that PostgreSQL stores but cannot parse, for instance because it is nested to the limit.
            return self._whole_rows(until)

    def _rows_up_to(self, until: int, where: SQL | Composed) -> list[tuple[Any, ...]]:
        question = SQL(sql.text("retained.sql")).format(
            unpacked=SQL(sql.text("unpacked.sql")),
            max_packed=Literal(MAX_PACKED),
            after=Literal(self.position),
            last=Literal(until),
            snapshot=Literal(self._snapshot),
            wanted_rows=self._where_rows,
            wanted=where,
            events=Literal(self._asked),
        )
        # The index on id gives the order, whatever the statistics say: a plan that sorts would read every page's span.
        return self._rows(question, "set local enable_bitmapscan = off")

    def _whole_rows(self, until: int) -> list[tuple[Any, ...]]:
        """Rows of the log, unpacked here because the server could not parse one of them."""
        question = SQL(sql.text("retained_rows.sql")).format(
            max_packed=Literal(MAX_PACKED),
            after=Literal(self.position),
            last=Literal(until),
            snapshot=Literal(self._snapshot),
            wanted=self._safe_where,
            rows=Literal(self._asked),
        )
        return self._rows(question, "set local enable_bitmapscan = off; set local jit = off")

    def _rows(self, question: SQL | Composed, setting: LiteralString | None = None) -> list[tuple[Any, ...]]:
        connection = self._listener.connection
        try:
            # A filter can make the server read the whole log.
            with connection.patiently(), connection.transaction() if setting else nullcontext():
                if setting:
                    connection.execute(setting)
                return connection.execute(question).fetchall()
        except (psycopg.DataError, psycopg.errors.StatementTooComplex):
            raise
        except psycopg.Error as error:
            raise translate(error, self._listener.database_url) from error

    def _adapt(self, records: list[Record]) -> None:
        """Adapt the size of the next page: large rows come in small pages."""
        fewest, most = _PAGE_EVENTS
        size = sum(len(record.old_data or "") + len(record.new_data or "") for record in records)
        if size > _PAGE_BYTES:
            self._page_events = max(fewest // 10, self._page_events // 4)
        elif len(records) == self._asked and size < _PAGE_BYTES // 4:
            self._page_events = min(most, self._page_events * 2)
