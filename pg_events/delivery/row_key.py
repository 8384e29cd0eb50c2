"""Which row an event is about: what keeps its events in order when the work is divided.

A row is told from the others by its table's primary key, spelt as the event spells it; the rows of a table without one
are not told apart. Workers that share a consumer must agree on every row, at any time and whatever DDL runs meanwhile:
the columns of a key are written down when a table is first met, and stay.
"""

import json
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from pg_events.event import BROKEN, SCHEMA, Record

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

    def learn(self, page: Sequence[Record]) -> None:
        """Ask what tells the rows of these events' tables apart, while there is a link: `key()` need not ask then."""
        # A slice is the quickest way to the kind, the schema and the table of each.
        for kind, schema, name in {each[3:6] for each in page}:
            if kind not in (SCHEMA, BROKEN):
                self._columns_of((schema or "", name or ""))

    def key(self, record: Record) -> str:
        """Text that is the same for all events of a row, and different for those of another.

        A TRUNCATE has that of a table without a key, a schema event that of the object. An UPDATE that changes the key
        still belongs to the row as it was.
        """
        if record.kind == SCHEMA:
            return json.dumps(["ddl", record.table_name])
        if record.kind == BROKEN:
            return json.dumps(["broken"])
        row = record.new_data if record.kind == "I" else record.old_data
        values = [] if record.kind == "T" else _values(row, self._columns_of(_table(record)))
        return json.dumps([*_table(record), *values], sort_keys=True)

    def next_key(self, record: Record) -> str:
        """The key of the same row for the events that follow: another one behind an UPDATE that changes it."""
        return self.key(record._replace(kind="I") if record.kind == "U" else record)

    @staticmethod
    def table_key(record: Record) -> str:
        """The key of all rows of the table that cannot be told apart."""
        return json.dumps(_table(record))

    def slot(self, record: Record) -> int:
        """The number below `SLOTS` that the row falls to. Schema events share the first."""
        return 0 if record.kind == SCHEMA else slot_of(self.key(record))

    def _columns_of(self, table: tuple[str, str]) -> tuple[str, ...]:
        found = self._columns.get(table)
        while found is None:
            rows = self._ask("row_key.sql", (self._consumer, *table))
            if rows:
                found = self._columns[table] = tuple(rows[0][0])
        return found


def slot_of(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % SLOTS


def _table(record: Record) -> tuple[str, str]:
    return record.table_schema or "", record.table_name or ""


def _values(text: str | None, columns: tuple[str, ...]) -> list[object]:
    """Those of the key; none when a column of it is gone: as without a key."""
    if not columns or text is None:
        return []
    try:
        row = _loads(text)
    except RecursionError:  # some column holds JSON that is nested too deep
        members = _members(text, frozenset(columns))
        row = {column: _loads_or_text(value) for column, value in members.items()}
    return [row[column] for column in columns] if all(column in row for column in columns) else []


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_int=str)


def _loads_or_text(text: str) -> object:
    try:
        return _loads(text)
    except RecursionError:  # a key of type jsonb, which always spells a value alike
        return text


_MARK: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]')


def _members(text: str, wanted: frozenset[str]) -> dict[str, str]:
    """The members of a JSON object that are wanted, each as it is written, however deep others are nested."""
    found: dict[str, str] = {}
    depth, begin, name = 0, 0, ""
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        if depth == 1 and mark == ":":
            name, begin = json.loads(text[begin : match.start()]), match.end()
        elif (depth == 1 and mark in "{,") or (depth == 0 and mark == "}"):
            if name in wanted:
                found[name] = text[begin : match.start()].strip()
            if len(found) == len(wanted):
                break
            begin = match.end()
    return found
