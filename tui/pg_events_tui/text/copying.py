"""Formats for copying an event, and filter conditions of its values. Pure."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pg_events.diff import changes
from pg_events.diff.changes import MISSING, Step
from pg_events.event import APPLICATION, METHODS, SCHEMA, Record
from pg_events.filter.conditions import qualified_name
from pg_events_tui.model.filtering import spelt
from pg_events_tui.model.history import row_key
from pg_events_tui.model.recording import csv_line
from pg_events_tui.model.summary import schema_members
from pg_events_tui.text import describe
from pg_events_tui.text.describe import FACES as FACES

MAX_CONDITIONS: Final = 24
MAX_VALUE: Final = 200
"""Maximum length of a value that is offered as a condition."""


@dataclass(frozen=True)
class Form:
    """Format for copying an event."""

    key: str
    label: str
    text: Callable[[Record], str | None]
    """Returns None if the event does not have this format."""
    takes_apart: bool = False
    """True if the format parses the rows' JSON, which blocks the keys for very large events."""

    def why_not(self, record: Record) -> str:
        """Reason why the event cannot be copied in this format; empty if it can."""
        if self.takes_apart and describe.is_giant(record):
            return "its rows are too large"
        return "" if self.text(record) is not None else "this event has none"


def _pretty(record: Record) -> str | None:
    try:
        return changes.pretty(changes.row_of(record.payload))
    except (ValueError, RecursionError):
        return None


def _difference(record: Record) -> str:
    lines = describe.face(record, "Diff", 100)
    return "\n".join([describe.title(record), *("".join(part.text for part in one).rstrip() for one in lines)])


def _key(record: Record) -> str | None:
    key = row_key(record)
    return None if key is None else key.short


def _row_filter(record: Record) -> str | None:
    key = row_key(record)
    if key is None:
        return None
    table = f"table:{spelt(qualified_name(record))}"
    if key.columns == ("id",):
        return f"{table} pk:{spelt(key.values[0])}"
    sides = [
        " ".join(f"{side}.{_path((name,))}={spelt(value)}" for name, value in zip(key.columns, key.values, strict=True))
        for side in ("new", "old")
    ]
    return f"{table} (({sides[0]}) or ({sides[1]}))"


FORMS: Final[tuple[Form, ...]] = (
    Form("y", "payload, one line", lambda record: record.payload),
    Form("p", "payload, indented", _pretty, takes_apart=True),
    Form("d", "difference, as text", _difference, takes_apart=True),
    Form("n", "new row, JSON", lambda record: record.new_data),
    Form("o", "old row, JSON", lambda record: record.old_data),
    Form("s", "statement", lambda record: record.query),
    Form("r", "the row's key", _key, takes_apart=True),
    Form("f", "filter for this row", _row_filter, takes_apart=True),
    Form("x", "filter for this transaction", lambda record: f"tx:{record.xid}"),
    Form("c", "CSV line", csv_line),
)
"""Formats to choose from; `y y` copies the payload."""


def conditions(record: Record) -> list[str]:
    """Return conditions that the event fulfils: its table, operation, row, user, and changed values."""
    found = [f"table:{spelt(qualified_name(record))}"]
    if record.kind == SCHEMA:
        found += ["is:ddl", f"tag:{spelt(str(schema_members(record).get('command_tag') or ''))}"]
    elif record.kind == APPLICATION:
        found[0] = f"event:{spelt(record.table_name or '')}"
    elif record.kind in METHODS:
        found.append(f"op:{METHODS[record.kind]}")
    is_giant = describe.is_giant(record)
    row_filter = None if is_giant else _row_filter(record)
    if row_filter:
        found.append(row_filter)
    found.append(f"tx:{record.xid}")
    found += [f"{name}:{spelt(value)}" for name, value in (("user", record.session_user), ("app", record.application_name))
              if value]  # fmt: skip
    return [*found, *(() if is_giant else _values(record))][:MAX_CONDITIONS]


def _values(record: Record) -> Sequence[str]:
    """Return the changes of an UPDATE, down into JSON, or every short column of other events."""
    try:
        old, new = changes.row_of(record.old_data), changes.row_of(record.new_data)
    except (ValueError, RecursionError):
        return ()
    side, row = ("new", new) if new is not None else ("old", old)
    if row is None:
        return ()
    found: Iterable[tuple[Sequence[Step], Any]] = (((name,), value) for name, value in row.items())
    if old is not None and new is not None:
        changed = (change for change in changes.difference(old, new) if change.sign != " ")
        found = ((change.path, change.new) for change in changed if change.new is not MISSING)
    return [f"{side}.{_path(path)}:{spelt(value)}" for path, value in found if _is_plain(value)]


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict | list) and len(str(value)) <= MAX_VALUE


def _path(path: Sequence[Step]) -> str:
    """Format a path as in filters: `details.items.2.sku`."""
    return ".".join(step if re.fullmatch(r"\w+", step) else spelt(step) for step in map(str, path))
