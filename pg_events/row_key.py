"""Which row an event is about: what keeps its events in order when the work is divided.

A row is told from the others by its table's primary key, spelt as the event spells it; the rows of a table without one
are not told apart. Workers that share a consumer must agree on every row, at any time and whatever DDL runs meanwhile:
the columns of a key are written down when a table is first met, and stay.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from pg_events.event import SCHEMA, Record

SLOTS: Final = 64
"""So many workers at most can share a consumer."""

Ask = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]
"""Runs a packaged question on the link."""


class RowKeys:
    """The keys of a consumer's rows. Not for several threads at a time."""

    def __init__(self, ask: Ask, consumer: str) -> None:
        self._ask = ask
        self._consumer = consumer
        self._columns: dict[tuple[str, str], tuple[str, ...]] = {}

    def forget(self) -> None:
        """Read what is written down again: somebody may have looked it up anew while this worker held nothing."""
        self._columns.clear()

    def key(self, record: Record) -> str:
        """Text that is the same for all events of a row, and different for those of another.

        A TRUNCATE has that of a table without a key, a schema event that of the object. An UPDATE that changes the key
        still belongs to the row as it was.
        """
        if record.kind == SCHEMA:
            return json.dumps(["ddl", record.table_name])
        table = (record.table_schema or "", record.table_name or "")
        row = record.new_data if record.kind == "I" else record.old_data
        values = [] if record.kind == "T" else self._values(row, self._columns_of(table))
        return json.dumps([*table, *values], sort_keys=True)

    def next_key(self, record: Record) -> str:
        """The key of the same row for the events that follow: another one behind an UPDATE that changes it."""
        return self.key(record._replace(kind="I") if record.kind == "U" else record)

    def slot(self, record: Record) -> int:
        """The number below `SLOTS` that the row falls to. Schema events share the first."""
        return 0 if record.kind == SCHEMA else slot_of(self.key(record))

    def _values(self, text: str | None, columns: tuple[str, ...]) -> list[object]:
        if not columns or text is None:
            return []
        try:
            row = json.loads(text, parse_float=str, parse_int=str)
            return [row[column] for column in columns]
        except (KeyError, RecursionError):  # a column that is gone, a value too deep to read: as without a key
            return []

    def _columns_of(self, table: tuple[str, str]) -> tuple[str, ...]:
        found = self._columns.get(table)
        while found is None:
            rows = self._ask("row_key.sql", (self._consumer, *table))
            if rows:
                found = self._columns[table] = tuple(rows[0][0])
        return found


def slot_of(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % SLOTS
