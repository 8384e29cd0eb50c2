"""Event as text: its head, and its faces Diff, Split, JSON and SQL. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from rich.cells import cell_len

from pg_events.diff import changes as difference
from pg_events.diff.side_by_side import Entry, Fold, split
from pg_events.event import APPLICATION, METHODS, SCHEMA, Record, claims
from pg_events.text.formatting import format_bytes
from pg_events.triggers.catalog import Table
from pg_events_tui.model import row_keys
from pg_events_tui.model.store import NOTE, table_title
from pg_events_tui.model.summary import clock, column_words, columns, schema_members
from pg_events_tui.text.difference_lines import ROLES, changed_lines, contrasted, json_lines, split_lines
from pg_events_tui.text.lines import HANG, Line, line, span, text_lines

FACES: Final = ("Diff", "Split", "JSON", "SQL")

READ_BYTES: Final = 8_000_000
READ_VALUES: Final = 400_000
"""Size or number of values from which rows are shown as raw text, because parsing would take too long."""


def title(record: Record) -> str:
    """Format the title `#184220 UPDATE public.orders`; not cleaned."""
    if record.kind == NOTE:
        return "about the link"
    if record.kind == SCHEMA:
        what = str(schema_members(record).get("command_tag") or "DDL")
    else:
        what = "EVENT" if record.kind == APPLICATION else METHODS.get(record.kind, record.kind)
    return f"#{record.id} {what} {table_title(record.table_schema, record.table_name)}"


def head(record: Record, zone: tzinfo | None) -> list[Line]:
    """Format the row key, time, transaction and user."""
    if record.kind == NOTE:
        return [line(span("when  ", "label"), HANG, span(_when(record.at, zone)))]
    rows: list[tuple[str, str]] = []
    key = _key(record)
    if key:
        rows.append(("key" if record.kind == APPLICATION else "row", key))
    rows.append(("when", _when(record.at, zone)))
    rows.append(("tx", str(record.xid)))
    who = " · ".join(part for part in (record.session_user, record.application_name) if part)
    rows.append(("who", who or "not known"))
    if says := claims(record):
        rows.append(("says", says))
    return [line(span(f"{name:<5} ", "label"), HANG, span(value)) for name, value in rows]


def _key(record: Record) -> str:
    if record.kind == APPLICATION:
        return str(schema_members(record).get("key") or "")
    if record.kind == SCHEMA or is_giant(record):
        return ""
    try:
        row = difference.row_of(record.new_data) or difference.row_of(record.old_data) or {}
    except (ValueError, RecursionError):
        return ""
    key = row_keys.of_row(record.table_schema, record.table_name, row)
    if key is None and row_keys.is_keyless(record.table_schema, record.table_name):
        return "no key: rows cannot be told apart"
    return key.words if key else ""


def _when(at: str, zone: tzinfo | None) -> str:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at
    local = moment.astimezone(zone)
    return f"{clock(local.timestamp(), zone)} {local:%Z} on {local:%Y-%m-%d}"


def is_giant(record: Record) -> bool:
    """Return True if the rows are shown as text without comparison."""
    return _is_long((record.old_data or "", record.new_data or ""))


def _is_long(texts: Sequence[str]) -> bool:
    """Return True if the texts are too large or have too many values, which is estimated by counting commas."""
    return sum(map(len, texts)) > READ_BYTES or sum(text.count(",") for text in texts) > READ_VALUES


def face(record: Record, name: str, cells: int, *, unfolded: bool = False) -> list[Line]:
    """Format a face for a pane of this width; `unfolded` shows unchanged columns, too."""
    try:
        return _face(record, name, cells, unfolded)
    except (ValueError, RecursionError):
        words = "nested too deeply, or not JSON: shown as the text it is"
        return [_note(words), *text_lines(record.payload)] if name == "JSON" else _as_text(record, words)


def _face(record: Record, name: str, cells: int, unfolded: bool) -> list[Line]:
    if record.kind == NOTE:
        return text_lines(record.query or "", "noted")
    if name == "SQL":
        return _query(record)
    if name == "JSON":
        return _json(record)
    if record.kind == SCHEMA:
        return _schema(record)
    if record.kind == APPLICATION:
        return _application(record)
    if record.kind == "T":
        return [line(span("- ", "removed"), span("all rows of the table")), line(), _note("TRUNCATE tells no rows.")]
    if is_giant(record):
        size = len(record.old_data or "") + len(record.new_data or "")
        return _as_text(record, f"{format_bytes(size)}: compared as the text it is")
    return (_difference if name == "Diff" else _split)(record, cells, unfolded)


def _application(record: Record) -> list[Line]:
    if record.new_data is None:
        return [_note("no payload")]
    if _is_long([record.new_data]):
        return [_note(f"{format_bytes(len(record.new_data))}: shown as it is"), *text_lines(record.new_data)]
    row = difference.row_of(record.new_data) if record.new_data.lstrip().startswith("{") else None
    return text_lines(record.new_data) if row is None else json_lines(row)


def _note(text: str) -> Line:
    return line(span(text, "note"))


def _query(record: Record) -> list[Line]:
    if record.query is None:
        return [_note("the statement was not kept (setting PG_EVENTS_QUERY_TEXT)")]
    return text_lines(record.query)


def _json(record: Record) -> list[Line]:
    payload = record.payload
    if _is_long([payload]):
        return [_note(f"{format_bytes(len(payload))}: shown as it is"), *text_lines(payload)]
    return json_lines(difference.row_of(payload))


def _difference(record: Record, cells: int, unfolded: bool) -> list[Line]:
    changes = difference.difference(difference.row_of(record.old_data), difference.row_of(record.new_data))
    shown = [change for change in changes if change.sign != " "]
    same = [change for change in changes if change.sign == " "]
    lines = changed_lines(shown, cells, both=record.kind == "U") if shown else [_note("nothing changed")]
    if same and unfolded:
        lines += [line(), _note("unchanged"), *changed_lines(same, cells, both=False)]
    return lines + ([] if unfolded else _folded(len(same)))


def _split(record: Record, cells: int, unfolded: bool) -> list[Line]:
    page = split(difference.row_of(record.old_data), difference.row_of(record.new_data), whole=unfolded)
    same = sum(one.count for one in page if isinstance(one, Fold) and not one.depth)
    shown = [one for one in page if isinstance(one, Entry) or one.depth]
    return (split_lines(shown, cells) if shown else [_note("nothing changed")]) + _folded(same)


def _folded(same: int) -> list[Line]:
    if not same:
        return []
    return [line(), _note(f"{same} unchanged {'column' if same == 1 else 'columns'} · u shows them")]


def _as_text(record: Record, words: str) -> list[Line]:
    """Format rows without parsing them: the part where the two texts differ."""
    lines = [_note(words), line()]
    old, new = record.old_data, record.new_data
    if old is None or new is None:
        return [*lines, *text_lines(old or new or record.payload)]
    olds, news = contrasted(old, new)
    return [*lines, line(span("old", "heading")), *olds, line(), line(span("new", "heading")), *news]


def _schema(record: Record) -> list[Line]:
    ddl = schema_members(record)
    rows = [(name, ddl.get(name)) for name in ("command_tag", "object_type", "object_identity", "schema_name")]
    lines = [line(span(f"{name:<16}", "label"), span(value)) for name, value in rows if value not in (None, "")]
    if ddl.get("in_extension"):
        lines.append(line(span(f"{'in_extension':<16}", "label"), span("true")))
    changes = _column_changes(ddl)
    if changes:
        lines += [line(), line(span("columns", "heading")), *changes]
    elif column_words(ddl):
        lines += [line(), line(span(" ".join(column_words(ddl))))]
    if record.query:
        lines += [line(), line(span("statement", "heading")), *text_lines(record.query.strip())]
    return lines


def _column_changes(ddl: Mapping[str, Any]) -> list[Line]:
    found: list[tuple[str, str, str]] = []
    for sign, what in (("+", "added"), ("-", "removed"), ("~", "changed")):
        for column in columns(ddl, what):
            name, kind = str(column.get("name")), str(column.get("type", ""))
            found.append((sign, name, _was(column, kind) if what == "changed" else kind + _not_null(column)))
    widest = min(30, max((cell_len(span(name).text) for _, name, _ in found), default=0))
    return [
        line(
            span(f"{sign} ", ROLES[sign]),
            span(name + " " * max(0, widest - cell_len(name)) + "  ", ROLES[sign]),
            HANG,
            span(rest),
        )
        for sign, name, rest in found
    ]


def _not_null(column: Mapping[str, Any]) -> str:
    return " not null" if column.get("not_null") else ""


def _was(column: Mapping[str, Any], kind: str) -> str:
    """Format the former state of a column: `bigint → numeric(12,2), was named total`."""
    words: list[str] = []
    old_type = column.get("old_type")
    words.append(f"{old_type} → {kind}" if old_type and old_type != kind else kind)
    old_name = column.get("old_name")
    if old_name and old_name != column.get("name"):
        words.append(f"was named {old_name}")
    if "old_not_null" in column and column.get("old_not_null") != column.get("not_null"):
        words.append("now not null" if column.get("not_null") else "now nullable")
    return ", ".join(words)


def impact(record: Record, tables: Sequence[Table] | None) -> list[Line]:
    """Describe the effect of a DDL event on the capture of its table, by the current coverage."""
    ddl = schema_members(record)
    tag, kind = str(ddl.get("command_tag") or ""), str(ddl.get("object_type") or "")
    words: list[Line] = []
    for sign, what in (("+", "added"), ("-", "removed"), ("~", "changed")):
        names = [str(column.get("name")) for column in columns(ddl, what)]
        if names and not tag.startswith("CREATE TABLE"):
            told = {"+": "payloads have", "-": "payloads no longer have", "~": "payloads have another"}[sign]
            words.append(line(span(f"{sign} ", ROLES[sign]), HANG, span(f"{told} {', '.join(names)} from here on")))
    if tag.startswith("DROP") and kind in ("table", "view"):
        return [line(span("  its events end here; those before stay in the log", "note"))]
    identity = (record.table_name or "").replace('"', "")
    found = next(
        (table for table in tables or () if identity in (table.identity, f"{table.schema}.{table.name}")), None
    )
    if found is not None and kind == "table":
        good = found.state == "covered"
        words.append(
            line(
                span("  the table is ", "label"),
                span("covered now" if good else f"{found.state.upper()} now", "good" if good else "warning"),
                span("" if good else f": {found.reason.partition('; run:')[0]} (C shows it)", "note"),
            )
        )
    if "trigger" in kind.lower() and "pgevents" in identity:
        words.append(line(span("! a trigger of the capture was touched: see Coverage (C)", "bad")))
    return words or [line(span("  none", "note"))]
