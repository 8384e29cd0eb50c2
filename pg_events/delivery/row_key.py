"""Row of an event: keeps the events of a row in order when the work is divided.

The primary key of its table identifies a row, as written in the event; rows of a table without one are not
distinguished. Workers that share a consumer must agree on every row, at any time and whatever DDL runs meanwhile: the
columns of a key are saved when a table is first seen, and do not change.
"""

import json
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from pg_events.event import APPLICATION, BROKEN, SCHEMA, Record

SLOTS: Final = 64
"""Maximum workers of a consumer."""

Ask = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]
"""Function that runs a packaged query on the connection."""


class RowKeys:
    """Keys of a consumer's rows. Not thread-safe."""

    def __init__(self, ask: Ask, consumer: str) -> None:
        self._ask = ask
        self._consumer = consumer
        self._columns: dict[tuple[str, str], tuple[str, ...]] = {}
        self._usual: dict[tuple[str | None, str | None], tuple[str, re.Pattern[str]]] = {}
        """By table: the beginning of its rows' keys, and a pattern that finds the values in most rows, see `_usual_row`."""

    def forget(self) -> None:
        """Read the saved columns again; another worker may have changed them while this one held no share."""
        self._columns.clear()
        self._usual.clear()

    def learn(self, page: Sequence[Record]) -> None:
        """Look up the key columns of the events' tables while connected, so that `key()` need not."""
        # A slice is the fastest way to the kind, the schema and the table of each.
        for kind, schema, name in {each[3:6] for each in page}:
            if kind not in (SCHEMA, APPLICATION, BROKEN):
                self._columns_of((schema or "", name or ""))

    def key(self, record: Record) -> str:
        """Key that is equal for all events of a row, and differs between rows.

        A TRUNCATE has the key of a table without primary key, a schema event that of its object, an event of the
        application that of its name and key. An UPDATE that changes
        the key belongs to the row before the change.
        """
        usual = self._usual.get(record[4:6])
        if usual is not None:
            row = record.new_data if record.kind == "I" else record.old_data
            if row is not None and (match := usual[1].match(row)) is not None:
                values = '", "'.join([value for value in match.groups() if value is not None])
                return f'{usual[0]}"{values}"]'
        if record.kind == SCHEMA:
            return json.dumps(["ddl", record.table_name])
        if record.kind == APPLICATION:
            return json.dumps(["event", record.table_name, *([] if record.ddl is None else [record.ddl])])
        if record.kind == BROKEN:
            return json.dumps(["broken"])
        if usual is None and (columns := self._columns_of(_table(record))):
            self._usual[record.table_schema, record.table_name] = _usual_row(_table(record), columns)
        row = record.new_data if record.kind == "I" else record.old_data
        values = [] if record.kind == "T" else _values(row, self._columns_of(_table(record)))
        return json.dumps([*_table(record), *values], sort_keys=True)

    def next_key(self, record: Record) -> str:
        """Key of the same row for the following events; differs from `key()` after an UPDATE that changes it."""
        return self.key(record._replace(kind="I") if record.kind == "U" else record)

    @staticmethod
    def table_key(record: Record) -> str:
        """Common key of the rows of a table that are not distinguished."""
        return json.dumps(_table(record))

    def slot(self, record: Record) -> int:
        """Slot of the row, a number below `SLOTS`. Schema events share the first."""
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


_USUAL_VALUE: Final = r'(?:(-?[0-9][0-9.eE+-]*)|"([ !#-\[\]-~]*)")'
"""Number, or string that JSON writes without escapes."""


def _usual_row(table: tuple[str, str], columns: tuple[str, ...]) -> tuple[str, re.Pattern[str]]:
    """Beginning of the keys of a table's rows, and a pattern for rows that begin with the columns of the key.

    The key is then written without reading the row as JSON, in a tenth of the time.
    """
    members = ",".join(f"{re.escape(json.dumps(column))}:{_USUAL_VALUE}" for column in columns)
    return f"{json.dumps(table)[:-1]}, ", re.compile(rf"\{{{members}[,}}]")


def _values(text: str | None, columns: tuple[str, ...]) -> list[object]:
    """Values of the key columns; empty if a column is missing, as without a key."""
    if not columns or text is None:
        return []
    try:
        row = _loads(text)
    except RecursionError:  # a column holds JSON that is nested too deeply
        members = _members(text, frozenset(columns))
        row = {column: _loads_or_text(value) for column, value in members.items()}
    return [row[column] for column in columns] if all(column in row for column in columns) else []


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_int=str)


def _loads_or_text(text: str) -> object:
    try:
        return _loads(text)
    except RecursionError:  # a key of type jsonb, whose text is canonical
        return text


_MARK: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]')


def _members(text: str, wanted: frozenset[str]) -> dict[str, str]:
    """Selected members of a JSON object as written, however deeply others are nested."""
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
