"""Other events of the same row, or DDL of the same object, found in slices, nearest first. Independent of Textual."""

import json
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final

from pg_events.diff import changes
from pg_events.event import SCHEMA, Record
from pg_events_tui.model import row_keys
from pg_events_tui.model.row_keys import RowKey
from pg_events_tui.model.scan import rows_with
from pg_events_tui.model.segment import AT_BYTES, Block
from pg_events_tui.model.store import Store, table_title
from pg_events_tui.model.summary import GIANT_BYTES

BLOCK: Final = 4_096
MAX_EACH_WAY: Final = 50
"""Maximum number of events to find before, and after."""


class RowHistory:
    """Changes of a row before and after an event."""

    def __init__(self, store: Store, row: int) -> None:
        """Raises `IndexError` if the event is not kept (any more)."""
        record = store.record(row)
        self.row = row
        self.table = table_title(record.table_schema, record.table_name)
        self.key = row_key(record)
        """Key of the row; None for DDL, which is identified by its object."""
        self.is_keyless = row_keys.is_keyless(record.table_schema, record.table_name)
        """True if the table has no key, so that its rows are indistinguishable."""
        self.older: list[int] = []
        """Older rows, nearest first, as in `newer`."""
        self.newer: list[int] = []
        self._store = store
        self._is_ddl = record.kind == SCHEMA
        self._down, self._up = row, row + 1
        self._is_over = record.kind not in "IUDS" or (self.key is None and not self._is_ddl)
        needle = "" if self.key is None else max(map(_spelt, self.key.values), key=len)
        self._needle = needle.encode() if needle.isprintable() else b""

    @property
    def complete(self) -> bool:
        """True if the search for older events has finished."""
        return self._is_over or self._down <= self._store.first or len(self.older) >= MAX_EACH_WAY

    def search(self, seconds: float) -> bool:
        """Continue the search for about the given time; False once it is complete."""
        deadline = perf_counter() + seconds
        while not self._is_over and perf_counter() < deadline:
            before = (self._down, self._up)
            if self._up < self._store.end and len(self.newer) < MAX_EACH_WAY:
                stop = min(self._store.end, self._store.reach_on(self._up, BLOCK))
                self.newer.extend(self._found(self._up, stop))
                self._up = stop
            if self._down > self._store.first and len(self.older) < MAX_EACH_WAY:
                start = max(self._store.first, self._store.reach_back(self._down, BLOCK))
                self.older.extend(reversed(list(self._found(start, self._down))))
                self._down = start
            if (self._down, self._up) == before:
                return False
        return not self._is_over

    def _found(self, start: int, stop: int) -> Iterator[int]:
        for block in self._store.blocks(start, stop, BLOCK):
            for number in self._candidates(block):
                if block.edges[number + 1] - block.edges[number] > GIANT_BYTES:
                    continue
                try:
                    record = block.record(number)
                except IndexError:
                    continue
                same = table_title(record.table_schema, record.table_name) == self.table
                if same and (record.kind == SCHEMA) == self._is_ddl and row_key(record) == self.key:
                    yield block.row + number

    def _candidates(self, block: Block) -> list[int]:
        tables = {
            number
            for number in set(block.tables)
            if not number or table_title(*self._store.tables[number][:2]) == self.table
        }
        if not tables:
            return []
        rows = [row for row, table in enumerate(block.tables) if table in tables]
        if not self._needle or len(rows) < 8:
            return rows
        may = set(rows_with(block.text, self._needle, block, AT_BYTES))
        return [row for row in rows if row in may]


def row_key(record: Record) -> RowKey | None:
    """Return the key of the row; None if it is indistinguishable."""
    if record.kind == SCHEMA:
        return None
    try:
        row = changes.row_of(record.new_data) or changes.row_of(record.old_data) or {}
    except (ValueError, RecursionError):
        return None
    return row_keys.of_row(record.table_schema, record.table_name, row)


def _spelt(value: Any) -> str:
    """Return characters that occur in the row's JSON in any notation; empty if none are certain."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, str):
        return value if value.isascii() and json.dumps(value)[1:-1] == value else ""
    return str(value) if isinstance(value, int) else ""
