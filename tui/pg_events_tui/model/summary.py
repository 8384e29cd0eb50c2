"""One event as one row of a list: who, what, which row, what changed. Pure.

Parsing a giant event only to list it would freeze the console, so from a size on the row says the size instead.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Any, Final, NamedTuple, cast

from pg_events.diff import changes
from pg_events.event import SCHEMA, Record
from pg_events.text.formatting import format_bytes
from pg_events_tui.model import row_keys
from pg_events_tui.model.store import NOTE, Store

GIANT_BYTES: Final = 256_000
"""Events larger than this are not read to be listed."""

LETTERS: Final[Mapping[str, str]] = {"I": "I", "U": "U", "D": "D", "T": "T", SCHEMA: "!", NOTE: "·"}


class Summary(NamedTuple):
    """The cells of a row, as text from the database: not yet cleaned, not yet cut."""

    kind: str
    seq: str
    at: float
    table: str
    key: str
    changed: str
    names: Sequence[str]
    """The changed columns of an UPDATE."""
    tx: str
    user: str
    application: str
    size: int
    """In bytes, as it is stored."""
    query: str


def summary(store: Store, row: int) -> Summary:
    """Raises `IndexError` when the row was trimmed."""
    kind, seq, tx = store.kind(row), str(store.id(row)), str(store.xid(row))
    at, table, size = store.at(row), store.table(row), store.line_bytes(row)
    if size > GIANT_BYTES:
        return Summary(kind, seq, at, table, "", f"({format_bytes(size)})", (), tx, "", "", size, "")
    record = store.record(row)
    if kind == NOTE:
        return Summary(kind, "", at, "", "", record.query or "", (), "", "", "", size, "")
    key, changed, names = _schema_cells(record) if kind == SCHEMA else _data_cells(record)
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


def schema_members(record: Record) -> Mapping[str, Any]:
    """What the event trigger told; empty when it cannot be read."""
    try:
        found = json.loads(record.ddl or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def column_words(ddl: Mapping[str, Any]) -> list[str]:
    """`+paid_ref -note ~total`: what happened to the columns of an altered table."""
    if str(ddl.get("command_tag", "")).startswith("CREATE TABLE"):
        return [f"{len(columns(ddl, 'added'))} cols"]
    signs = (("+", "added"), ("-", "removed"), ("~", "changed"))
    return [f"{sign}{column.get('name')}" for sign, what in signs for column in columns(ddl, what)]


def columns(ddl: Mapping[str, Any], what: str) -> list[Mapping[str, Any]]:
    """The `added`, `removed` or `changed` columns of a table, if the event tells of any."""
    found: Any = ddl.get("columns")
    listed = cast("Mapping[str, Any]", found).get(what) if isinstance(found, dict) else None
    if not isinstance(listed, list):
        return []
    return [cast("Mapping[str, Any]", one) for one in cast("list[Any]", listed) if isinstance(one, dict)]


def day(at: float, zone: tzinfo | None) -> date:
    """The day of a moment in the zone (None: local time)."""
    return datetime.fromtimestamp(at, zone).date()


def clock(at: float, zone: tzinfo | None, *, date: bool = False) -> str:
    """`14:03:21.882` in the zone (None: local time)."""
    moment = datetime.fromtimestamp(at, zone) if zone else datetime.fromtimestamp(at).astimezone()
    text = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    return f"{moment:%m-%d} {text}" if date else text
