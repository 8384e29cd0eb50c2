"""Event as one row of a list: who, what, which row, and the changes. Pure.

Parsing a very large event only to list it would freeze the console, so its row shows the size instead.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Any, Final, NamedTuple, cast

from pg_events.diff import changes
from pg_events.event import APPLICATION, SCHEMA, Record
from pg_events.text.formatting import format_bytes
from pg_events_tui.model import row_keys
from pg_events_tui.model.store import NOTE, Store

GIANT_BYTES: Final = 256_000
"""Size from which events are not parsed for lists."""

LETTERS: Final[Mapping[str, str]] = {"I": "I", "U": "U", "D": "D", "T": "T", SCHEMA: "!", APPLICATION: "E", NOTE: "·"}


class Summary(NamedTuple):
    """Cells of a row, as text from the database, neither cleaned nor shortened."""

    kind: str
    seq: str
    at: float
    table: str
    key: str
    changed: str
    names: Sequence[str]
    """Changed columns of an UPDATE."""
    tx: str
    user: str
    application: str
    size: int
    """Size in bytes as stored."""
    query: str


def summary(store: Store, row: int) -> Summary:
    """Summarize an event. Raises `IndexError` if the row was trimmed."""
    kind, seq, tx = store.kind(row), str(store.id(row)), str(store.xid(row))
    at, table, size = store.at(row), store.table(row), store.line_bytes(row)
    if size > GIANT_BYTES:
        return Summary(kind, seq, at, table, "", f"({format_bytes(size)})", (), tx, "", "", size, "")
    record = store.record(row)
    if kind == NOTE:
        return Summary(kind, "", at, "", "", record.query or "", (), "", "", "", size, "")
    cells = _schema_cells if kind == SCHEMA else _application_cells if kind == APPLICATION else _data_cells
    key, changed, names = cells(record)
    query = " ".join((record.query or "")[:300].split())
    who = (record.session_user or "", record.application_name or "")
    return Summary(kind, seq, at, table, key, changed, names, tx, *who, size, query)


_Cells = tuple[str, str, Sequence[str]]


def _data_cells(record: Record) -> _Cells:
    if record.kind == "T":
        return "", "all rows", ()
    try:
        old, new = changes.row_of(record.old_data), changes.row_of(record.new_data)
    except (ValueError, RecursionError):
        return "", "(not readable)", ()
    key = row_keys.of_row(record.table_schema, record.table_name, new or old or {})
    text = key.short if key else ""
    if old is not None and new is not None:
        return text, "nothing changed", changes.changed_columns(old, new)
    return text, f"{len(new or old or {})} cols", ()


def _schema_cells(record: Record) -> _Cells:
    ddl = schema_members(record)
    return "", " ".join([str(ddl.get("command_tag") or "DDL"), *column_words(ddl)]), ()


def _application_cells(record: Record) -> _Cells:
    return str(schema_members(record).get("key") or ""), " ".join((record.new_data or "")[:300].split()), ()


def schema_members(record: Record) -> Mapping[str, Any]:
    """Return the data of the event trigger, or the key of an application's event; empty if it is not readable."""
    try:
        found = json.loads(record.ddl or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def column_words(ddl: Mapping[str, Any]) -> list[str]:
    """Format the changed columns of an altered table: `+paid_ref -note ~total`."""
    if str(ddl.get("command_tag", "")).startswith("CREATE TABLE"):
        return [f"{len(columns(ddl, 'added'))} cols"]
    signs = (("+", "added"), ("-", "removed"), ("~", "changed"))
    return [f"{sign}{column.get('name')}" for sign, what in signs for column in columns(ddl, what)]


def columns(ddl: Mapping[str, Any], what: str) -> list[Mapping[str, Any]]:
    """Return the `added`, `removed` or `changed` columns of a table, if the event has any."""
    found: Any = ddl.get("columns")
    listed = cast("Mapping[str, Any]", found).get(what) if isinstance(found, dict) else None
    if not isinstance(listed, list):
        return []
    return [cast("Mapping[str, Any]", one) for one in cast("list[Any]", listed) if isinstance(one, dict)]


def day(at: float, zone: tzinfo | None) -> date:
    """Return the day of a time in the zone (None: local time)."""
    return datetime.fromtimestamp(at, zone).date()


def clock(at: float, zone: tzinfo | None, *, date: bool = False) -> str:
    """Format a time as `14:03:21.882` in the zone (None: local time)."""
    moment = datetime.fromtimestamp(at, zone) if zone else datetime.fromtimestamp(at).astimezone()
    text = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    return f"{moment:%m-%d} {text}" if date else text
