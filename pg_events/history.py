"""One row through time, and what it would take to undo a change. Pure, but for `shape`.

A row is known by its primary key, asked of the database; without one, or without a database, by its column `id`, or else
its first column.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import RawCursor
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pg_events import sql
from pg_events.catalog import Connection
from pg_events.errors import UsageError
from pg_events.event import DataEvent, raw_members, record
from pg_events.filter_condition import And, Column, Condition, Key, Kinds, Names, Not, Or
from pg_events.filter_value import Value
from pg_events.text import clean, one_line

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """What is known of a table."""

    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Column -> type; empty when nobody can tell."""
    key: tuple[str, ...] = ()
    """The primary key's columns; empty when there is none, or nobody can tell."""
    generated: frozenset[str] = frozenset()
    has_identity: bool = False

    def key_of(self, row: Row) -> dict[str, Any]:
        """The row's key: column -> value."""
        return {column: row[column] for column in self.key_columns(row) if column in row}

    def key_columns(self, row: Row) -> tuple[str, ...]:
        """The columns that tell the row from others."""
        if self.key:
            return self.key
        return ("id",) if "id" in row else tuple(row)[:1]


def qualified(table: str, known: Iterable[str]) -> str:
    """The `schema.table` among the known ones that is meant; else what was given. Raises `UsageError` for several."""
    if table in known or "." in table:
        return table
    near = [one for one in known if one.partition(".")[2] == table]
    if len(near) > 1:
        raise UsageError(f"{table} is the name of {len(near)} tables; write one of: {', '.join(near)}")
    return near[0] if near else table


def shape(connection: Connection, table: str) -> Shape:
    """What the database says of `schema.table`; nothing when it has none of that name."""
    schema, _, name = table.rpartition(".")
    with RawCursor(connection) as cursor:
        rows = cursor.execute(sql.text("table_shape.sql"), (schema, name)).fetchall()
    places = {column: place for column, _, place, _, _ in rows if place is not None}
    return Shape(
        {column: kind for column, kind, *_ in rows},
        tuple(sorted(places, key=places.__getitem__)),
        frozenset(column for column, _, _, generated, _ in rows if generated),
        any(identity for *_, identity in rows),
    )


# --- asking -------------------------------------------------------------------------------------------------------


def of_row(table: str, shape: Shape, key: Sequence[str]) -> Condition:
    """The events of one row, and those that emptied its table.

    `key` are the values in the order of the key's columns, or `column=value`. Raises `UsageError`.
    """
    values = _named(shape, key)
    sides = [_side(side, values) for side in ("new", "old")]
    table_is = Names("table", (Value(table),))
    return And((table_is, Not(Kinds("S")), Or((Kinds("T"), *sides))))


def _named(shape: Shape, key: Sequence[str]) -> dict[str, str]:
    """Column -> value; a column without a name is the filter's `pk`."""
    known = shape.key or ("",)
    pairs = [text.partition("=") for text in key]
    if all(sign and (name in shape.columns or (not shape.columns and name)) for name, sign, _ in pairs):
        return {name: value for name, _, value in pairs}
    if len(key) != len(known):
        wanted = " ".join(known).upper() or "one value"
        raise UsageError(f"the key of this table is {wanted}; {len(key)} values were given: {one_line(' '.join(key))}")
    return dict(zip(known, key, strict=True))


def _side(side: str, values: Mapping[str, str]) -> Condition:
    parts: list[Condition] = []
    for column, text in values.items():
        if column:
            parts.append(Column("new" if side == "new" else "old", (column,), "=", _spellings(text)))
        else:
            parts.append(Key("=", _spellings(text)))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _spellings(text: str) -> tuple[Value, ...]:
    """The text as text, and as the number or word it may be."""
    found = Value.of(text)
    return (Value(text), found) if found.form in ("number", "word") else (Value(text),)


# --- versions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """What one event made of the row."""

    event: DataEvent
    payload: str
    row: Row | None
    """The row after it; None when it is gone."""


def versions(events: Iterable[tuple[DataEvent, str]]) -> Iterator[Version]:
    """The versions of a row, oldest first, out of its events and their payloads. A table that was emptied while the row
    was not there made no version of it."""
    exists = True
    for event, payload in events:
        if event.method == "TRUNCATE" and not exists:
            continue
        row = event.new_data if event.method in ("INSERT", "UPDATE") else None
        exists = row is not None
        yield Version(event, payload, row)


@dataclass(frozen=True)
class Then:
    """The row as it was at a time."""

    row: Row | None
    """None: it was not there."""
    since: DataEvent | None
    """The event that made it so; None when that was before all that is kept."""


def at(found: Iterable[Version], moment: datetime) -> Then | None:
    """The row at a moment; None when no event tells. Going by the start of the statement that made a change."""
    last: Version | None = None
    for version in found:
        if version.event.at > moment:
            if last is None:
                return None if version.event.method == "TRUNCATE" else Then(version.event.old_data, None)
            break
        last = version
    return Then(last.row, last.event) if last is not None else None


# --- undoing ------------------------------------------------------------------------------------------------------


def undo(event: DataEvent, payload: str, shape: Shape) -> str:
    """The statement that would undo a change. Raises `UsageError` for one that no statement undoes.

    Values are spelt as literals where that is sure to mean the same; else PostgreSQL takes them out of JSON by the
    column's type.
    """
    if event.method == "TRUNCATE":
        raise UsageError(f"event {event.id} is a TRUNCATE: the rows that it removed were not recorded")
    raw = record(payload)
    writer = _Writer(Identifier(event.table_schema, event.table_name), shape)
    old = dict(raw_members(raw.old_data)) if raw.old_data else {}
    new = dict(raw_members(raw.new_data)) if raw.new_data else {}
    if event.method == "INSERT":
        statement = writer.delete(new)
    elif event.method == "DELETE":
        statement = writer.insert(old)
    else:
        changed = [name for name in event.changes if name not in shape.generated and name in old]
        if not changed:
            raise UsageError(f"event {event.id} changed nothing that could be undone")
        statement = writer.update(changed, old, new)
    return statement.as_string(None)


_LITERAL = (
    "smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "text", "character", "uuid", "date",
    "timestamp", "time", "bytea", "interval",
)  # fmt: skip
"""How the types begin whose values a literal spells; an array of them is none."""


@dataclass(frozen=True)
class _Writer:
    """Writes values of a table's columns, which come as the JSON they are, into SQL."""

    table: Identifier
    shape: Shape

    def delete(self, row: Mapping[str, str]) -> Composed:
        return SQL("delete from {}\nwhere {};").format(self.table, self._key(row))

    def insert(self, row: Mapping[str, str]) -> Composed:
        names = [name for name in row if name not in self.shape.generated]
        return SQL("insert into {} ({})\n{}values ({});").format(
            self.table,
            SQL(", ").join(map(Identifier, names)),
            SQL("overriding system value\n" if self.shape.has_identity else ""),
            SQL(", ").join(self._value(name, row[name]) for name in names),
        )

    def update(self, names: Sequence[str], old: Mapping[str, str], new: Mapping[str, str]) -> Composed:
        values = (SQL("{} = {}").format(Identifier(name), self._value(name, old[name])) for name in names)
        return SQL("update {}\nset {}\nwhere {};").format(self.table, SQL(",\n    ").join(values), self._key(new))

    def _key(self, row: Mapping[str, str]) -> Composed:
        names = [name for name in self.shape.key_columns(row) if name in row]
        return SQL(" and ").join(
            SQL("{} = {}").format(Identifier(name), self._value(name, row[name])) for name in names
        )

    def _value(self, name: str, value: str) -> Composable:
        kind = self.shape.columns.get(name, "")
        if value == "null":
            return SQL("null")
        value = _escaped(value)
        if kind in ("json", "jsonb"):
            return Literal(value)
        is_simple = kind.startswith(_LITERAL) and not kind.endswith("]")
        if value[0] not in "[{" and (is_simple or (not kind and value[0] != '"')):
            found = json.loads(value, parse_float=Decimal)
            if not isinstance(found, str) or clean(found, keep_newlines=True) == found:
                return Literal(found)
        one = Literal("{" + json.dumps(name) + ": " + value + "}")
        return SQL("(select {} from json_populate_record(null::{}, {}))").format(Identifier(name), self.table, one)


def _escaped(value: str) -> str:
    """JSON without what a terminal would obey: such letters stand inside strings alone, and can be escaped there."""
    return "".join(
        letter if letter in "\t\r\n" or clean(letter) == letter else f"\\u{ord(letter):04x}" for letter in value
    )
