"""History of one row, and statements that undo a change. Pure, except for `shape`.

A row is identified by its primary key, as read from the database; without one, or without a database, by its column `id`,
or else its first column.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pg_events import sql
from pg_events.db.link import RawCursor
from pg_events.errors import UsageError
from pg_events.event import DataEvent, raw_members, record
from pg_events.files.redaction import MASKED, names_column
from pg_events.filter.conditions import And, Column, Condition, Key, Kinds, Names, Not, Or
from pg_events.filter.values import Value
from pg_events.text import MASK, clean, one_line
from pg_events.triggers import rules
from pg_events.triggers.catalog import Connection

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """Known shape of a table."""

    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Types by column; empty if unknown."""
    key: tuple[str, ...] = ()
    """Columns of the primary key; empty if there is none or it is unknown."""
    generated: frozenset[str] = frozenset()
    has_identity: bool = False
    not_null: frozenset[str] = frozenset()
    is_known: bool = False
    """True if the database has the table; an empty `key` then means that it has no primary key."""
    redacted: tuple[re.Pattern[str], ...] = ()
    """Names of columns that are masked or hashed in the log."""

    def is_redacted(self, column: str) -> bool:
        """Return True if the log does not have the real values of the column."""
        return any(pattern.fullmatch(column) for pattern in self.redacted)

    def key_of(self, row: Row) -> dict[str, Any]:
        """Values of the row's key by column."""
        return {column: row[column] for column in self.key_columns(row) if column in row}

    def key_columns(self, row: Row) -> tuple[str, ...]:
        """Columns that identify a row."""
        if self.key:
            return self.key
        return ("id",) if "id" in row else tuple(row)[:1]


def qualified(table: str, known: Iterable[str]) -> str:
    """Known `schema.table` that matches the name; else the name itself. Raises `UsageError` for several."""
    if table in known or "." in table:
        return table
    near = [one for one in known if one.partition(".")[2] == table]
    if len(near) > 1:
        raise UsageError(f"{table} is the name of {len(near)} tables; write one of: {', '.join(near)}")
    return near[0] if near else table


def shape(connection: Connection, table: str) -> Shape:
    """Shape of `schema.table` in the database; an empty one if there is no such table."""
    schema, _, name = table.rpartition(".")
    with RawCursor(connection) as cursor:
        rows = cursor.execute(sql.text("table_shape.sql"), (schema, name)).fetchall()
        try:
            treatments = cursor.execute(sql.text("treatments.sql"), (schema, name)).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):  # of a saved log, seen elsewhere
            treatments = None
    places = {column: place for column, _, place, *_ in rows if place is not None}
    return Shape(
        {column: kind for column, kind, *_ in rows},
        tuple(sorted(places, key=places.__getitem__)),
        frozenset(column for column, _, _, generated, *_ in rows if generated),
        any(identity for *_, identity, _ in rows),
        frozenset(column for column, *_, is_not_null in rows if is_not_null),
        bool(rows),
        () if treatments is None else tuple(_redacted(treatments[0], treatments[1], schema, name)),
    )


def _redacted(told: Sequence[str], choices: str | None, schema: str, name: str) -> Iterator[re.Pattern[str]]:
    """Redacted columns by the current triggers of the table, and by those of the next build."""
    for options in told:
        with suppress(ValueError, AttributeError, TypeError):  # not one of our triggers
            found = json.loads(options)
            for kind in ("mask", "hash"):
                yield from (re.compile(re.escape(one)) for names in found.get(kind, {}).values() for one in names)
    if choices is not None:
        yield from rules.redacted(choices, schema, name)


# --- asking -------------------------------------------------------------------------------------------------------


def of_row(table: str, shape: Shape, key: Sequence[str]) -> Condition:
    """Filter for the events of one row, and those that emptied its table.

    `key` holds the values in the order of the key's columns, or `column=value`. Raises `UsageError`.
    """
    values = _named(shape, key)
    sides = [_side(side, values) for side in ("new", "old")]
    table_is = Names("table", (Value(table),))
    return And((table_is, Not(Kinds("S")), Or((Kinds("T"), *sides))))


def _named(shape: Shape, key: Sequence[str]) -> dict[str, str]:
    """Values by column; a column without a name is the filter's `pk`."""
    known = shape.key or ("",)
    pairs = [text.partition("=") for text in key]
    if all(sign and (name in shape.columns or (not shape.columns and name)) for name, sign, _ in pairs):
        return {name: value for name, _, value in pairs}
    if len(key) != len(known):
        wanted = ", ".join(known) or "one value"
        given = "1 value was" if len(key) == 1 else f"{len(key)} values were"
        raise UsageError(f"the key of this table is {wanted}; {given} given: {one_line(' '.join(key))}")
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
    """Text as a string, and as the number or keyword that it may be."""
    found = Value.of(text)
    return (Value(text), found) if found.form in ("number", "word") else (Value(text),)


# --- versions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """Version of the row after one event."""

    event: DataEvent
    payload: str
    row: Row | None
    """Row after the event; None if it was deleted."""


def versions(events: Iterable[tuple[DataEvent, str]]) -> Iterator[Version]:
    """Versions of a row, oldest first, from its events and their payloads.

    A TRUNCATE while the row did not exist adds no version.
    """
    exists = True
    for event, payload in events:
        if event.method == "TRUNCATE" and not exists:
            continue
        row = event.new_data if event.method in ("INSERT", "UPDATE") else None
        exists = row is not None
        yield Version(event, payload, row)


@dataclass(frozen=True)
class Then:
    """State of the row at a time."""

    row: Row | None
    """Row at that time; None if it did not exist."""
    since: DataEvent | None
    """Event that led to this state; None if it is older than all kept events."""


def at(found: Iterable[Version], moment: datetime) -> Then | None:
    """State of the row at a time, by the start of the changing statement; None if no event shows it."""
    last: Version | None = None
    for version in found:
        if version.event.at > moment:
            if last is None:
                return None if version.event.method == "TRUNCATE" else Then(version.event.old_data, None)
            break
        last = version
    return Then(last.row, last.event) if last is not None else None


# --- undoing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Undo:
    """Statement that undoes a change."""

    statement: str
    notes: tuple[str, ...] = ()
    """Notes to read before running the statement."""

    @property
    def script(self) -> str:
        """Statement preceded by its notes as comments."""
        return "".join(f"-- {one_line(note)}\n" for note in self.notes) + self.statement


def undo(event: DataEvent, payload: str, shape: Shape, redacted: Sequence[str] = ()) -> Undo:
    """Statement that would undo a change. Raises `UsageError` if no statement can undo it.

    Values are written as literals where these are certain to be equal; otherwise PostgreSQL converts them from JSON by the
    type of the column. Masked or hashed values are omitted: according to the database, to `redacted`, the patterns that
    a saved log was masked with, and where the value shows it.
    """
    if event.method == "TRUNCATE":
        raise UsageError(f"event {event.id} is a TRUNCATE: the removed rows were not recorded")
    raw = record(payload)
    old = dict(raw_members(raw.old_data)) if raw.old_data else {}
    new = dict(raw_members(raw.new_data)) if raw.new_data else {}
    masked = {name for name, value in (*old.items(), *new.items()) if _is_masked(event, shape, redacted, name, value)}
    writer = _Writer(Identifier(event.table_schema, event.table_name), shape, frozenset(masked))
    lost: Iterable[str] = ()
    if event.method == "INSERT":
        statement = writer.delete(new)
    elif event.method == "DELETE":
        kept = {name: value for name, value in old.items() if name not in masked}
        if not kept:
            raise UsageError(f"every column of event {event.id} is redacted: the row cannot be written again")
        statement = writer.insert(kept)
        lost = [
            name for name in dict.fromkeys([*old, *shape.columns]) if name not in kept and name not in shape.generated
        ]
    else:
        changed = [name for name in event.changes if name not in shape.generated and name in old]
        if not changed:
            raise UsageError(f"event {event.id} has no change that could be undone")
        lost = [name for name in changed if name in masked]
        if len(lost) == len(changed):
            raise UsageError(
                f"event {event.id} changed only redacted columns ({_names(lost)}): their old values are not in the log"
            )
        statement = writer.update([name for name in changed if name not in masked], old, new)
    notes = [f"the log does not have the values of {_names(lost)}: omitted"] if lost else []
    if not shape.key and event.method != "DELETE":
        notes.append(
            "no primary key is known: if several rows have these values, the statement changes any one of them"
        )
    return Undo(statement.as_string(None), tuple(notes))


def _names(columns: Iterable[str]) -> str:
    return ", ".join(columns)


def _is_masked(event: DataEvent, shape: Shape, redacted: Sequence[str], name: str, value: str) -> bool:
    """Return True if the log has a mask or a hash in place of the value.

    A table with redacted columns keeps no SQL text, and neither does a file that was masked: an event with its text has
    its values.
    """
    if event.query is not None:
        return False
    if shape.is_redacted(name) or _LOOKS_MASKED.fullmatch(value) or MASKED.search(value):
        return True
    is_regex = False
    for pattern in redacted:
        if pattern.startswith("/"):
            is_regex = True
        elif names_column(pattern, event.table_schema, event.table_name, name):
            return True
    return is_regex and value == "0"


_LOOKS_MASKED = re.compile(rf'"(?:{re.escape(MASK)}|[0-9a-f]{{32}})"')
"""Pattern of a masked or hashed value in the log."""

_LITERAL = (
    "smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "text", "character", "uuid", "date",
    "timestamp", "time", "bytea", "interval",
)  # fmt: skip
"""Prefixes of types whose values are written as literals; arrays are not."""
_UNCOMPARED = ("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle")
"""Prefixes of types whose values cannot be compared by `=`."""


@dataclass(frozen=True)
class _Writer:
    """Writes column values, given as JSON, into SQL."""

    table: Identifier
    shape: Shape
    masked: frozenset[str]

    def delete(self, row: Mapping[str, str]) -> Composed:
        return SQL("delete from {}\nwhere {};").format(self.table, self._row(row))

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
        return SQL("update {}\nset {}\nwhere {};").format(self.table, SQL(",\n    ").join(values), self._row(new))

    def _row(self, row: Mapping[str, str]) -> Composed:
        """Condition for the row: its key, or all its values and one of the matching rows."""
        key = self.shape.key or (("id",) if "id" in row and not self.shape.is_known else ())
        if key:
            lost = [name for name in key if name not in row or name in self.masked]
            if lost:
                raise UsageError(
                    f"the key of the row is not in the log ({_names(lost)}): no statement can identify the row"
                )
            return SQL(" and ").join(self._is(name, row[name]) for name in key)
        known = [
            name
            for name in row
            if name not in self.masked and not self.shape.columns.get(name, "").startswith(_UNCOMPARED)
        ]
        if not self.shape.columns:  # their types are unknown: a JSON value may not be comparable
            known = [name for name in known if row[name][0] not in "[{"]
        if not known:
            raise UsageError("the row has no key and no comparable value: no statement can identify the row")
        return SQL("(tableoid, ctid) = (\n    select tableoid, ctid from {}\n    where {}\n    limit 1\n)").format(
            self.table, SQL("\n      and ").join(self._is(name, row[name]) for name in known)
        )

    def _is(self, name: str, value: str) -> Composed:
        if value == "null":
            return SQL("{} is null").format(Identifier(name))
        if self.shape.columns.get(name) == "real":  # a literal would be a double precision, which never compares equal
            return SQL("{} = {}").format(Identifier(name), self._of_json(name, value))
        return SQL("{} = {}").format(Identifier(name), self._value(name, value))

    def _value(self, name: str, value: str) -> Composable:
        kind = self.shape.columns.get(name, "")
        if value == "null":
            # The log has one word for both; if the column is NOT NULL it was the other.
            return Literal("null") if kind in ("json", "jsonb") and name in self.shape.not_null else SQL("null")
        value = _escaped(value)
        if kind in ("json", "jsonb"):
            return Literal(value)
        is_simple = kind.startswith(_LITERAL) and not kind.endswith("]")
        if value[0] not in "[{" and (is_simple or (not kind and value[0] != '"')):
            found = json.loads(value, parse_float=Decimal)
            if not isinstance(found, str) or clean(found, keep_newlines=True) == found:
                return Literal(found)
        return self._of_json(name, value)

    def _of_json(self, name: str, value: str) -> Composed:
        one = Literal("{" + json.dumps(name) + ": " + value + "}")
        return SQL("(select {} from json_populate_record(null::{}, {}))").format(Identifier(name), self.table, one)


def _escaped(value: str) -> str:
    """JSON with control characters escaped; they occur only inside strings."""
    return "".join(
        letter if letter in "\t\r\n" or clean(letter) == letter else f"\\u{ord(letter):04x}" for letter in value
    )
