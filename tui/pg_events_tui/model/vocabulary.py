"""Names that the console has seen so far, for completion."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from pg_events.diff import changes
from pg_events.event import SCHEMA
from pg_events_tui.model.store import Store, table_title
from pg_events_tui.model.summary import schema_members

LOOKED_AT: Final = 200
"""Number of newest events searched for columns and commands."""


def names(store: Store, kind: str) -> Sequence[str]:
    """Return the seen names of a kind: tables, users, applications; and columns and commands of the newest events."""
    match kind:
        case "table":
            return sorted(
                {
                    table_title(schema, name).removeprefix("public.")
                    for schema, name, is_ddl in store.tables
                    if name and (schema is not None or is_ddl)
                }
            )
        case "event":
            return sorted({name for schema, name, is_ddl in store.tables if name and schema is None and not is_ddl})
        case "user":
            return sorted(name for name in store.users if name)
        case "app":
            return sorted(name for name in store.applications if name)
        case "column":
            return sorted(set(_columns(store)))
        case "tag":
            return sorted(set(_tags(store)))
        case _:
            return ()


def _columns(store: Store) -> Iterator[str]:
    for _, record in store.records(max(store.first, store.end - LOOKED_AT), store.end):
        for text in (record.new_data, record.old_data):
            try:
                yield from changes.row_of(text) or ()
            except (ValueError, RecursionError):
                continue


def _tags(store: Store) -> Iterator[str]:
    for row in islice(reversed(store.rows_of_kind(SCHEMA, store.first, store.end)), LOOKED_AT):
        yield str(schema_members(store.record(row)).get("command_tag") or "")
