"""One event as text: its head, and its five faces Diff, New, Old, JSON and SQL. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from rich.cells import cell_len

from pg_events import difference
from pg_events.catalog import Table
from pg_events.difference import MISSING, Change, spelled
from pg_events.event import METHODS, SCHEMA, Record
from pg_events_tui.lines import HANG, Line, Span, line, shorten, size_words, span, text_lines
from pg_events_tui.store import NOTE, table_title
from pg_events_tui.summary import clock, column_words, columns, key_of, schema_members

FACES: Final = ("Diff", "New", "Old", "JSON", "SQL")

READ_BYTES: Final = 8_000_000
"""Larger rows are shown as the text they are, not taken apart."""
READ_COMMAS: Final = 100_000
"""So are those of more parts: to take them apart holds up the keys."""

ROLES: Final[Mapping[str, str]] = {"+": "added", "-": "removed", "~": "changed", " ": "same"}


def title(record: Record) -> str:
    """`#184220 UPDATE public.orders`; not cleaned."""
    if record.kind == NOTE:
        return "about the link"
    if record.kind == SCHEMA:
        what = str(schema_members(record).get("command_tag") or "DDL")
    else:
        what = METHODS.get(record.kind, record.kind)
    return f"#{record.id} {what} {table_title(record.table_schema, record.table_name)}"


def head(record: Record, zone: tzinfo | None) -> list[Line]:
    """Which row, when, in which transaction, by whom."""
    if record.kind == NOTE:
        return [line(span("when  ", "label"), HANG, span(_when(record.at, zone)))]
    rows: list[tuple[str, str]] = []
    key = _key(record)
    if key:
        rows.append(("row", key))
    rows.append(("when", _when(record.at, zone)))
    rows.append(("tx", str(record.xid)))
    who = " · ".join(part for part in (record.session_user, record.application_name) if part)
    rows.append(("who", who or "not known"))
    return [line(span(f"{name:<5} ", "label"), HANG, span(value)) for name, value in rows]


def _key(record: Record) -> str:
    if record.kind == SCHEMA or is_giant(record):
        return ""
    try:
        row = difference.row_of(record.new_data) or difference.row_of(record.old_data) or {}
    except (ValueError, RecursionError):
        return ""
    key = key_of(record.table_name or "", row)
    return f"{key[0]} = {spelled(key[1])}" if key else ""


def _when(at: str, zone: tzinfo | None) -> str:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at
    local = moment.astimezone(zone)
    return f"{clock(local.timestamp(), zone)} {local:%Z} on {local:%Y-%m-%d}"


def is_giant(record: Record) -> bool:
    """Its rows are shown as text, and not compared."""
    return _is_too_much(record.old_data or "", record.new_data or "")


def _is_too_much(*texts: str) -> bool:
    return sum(map(len, texts)) > READ_BYTES or sum(text.count(",") for text in texts) > READ_COMMAS


def face(record: Record, name: str, cells: int, *, unfolded: bool = False) -> list[Line]:
    """The text of one face for a pane so many cells wide; `unfolded` shows unchanged columns too."""
    try:
        return _face(record, name, cells, unfolded)
    except (ValueError, RecursionError):
        note = _note("nested too deeply, or not JSON: shown as the text it is")
        return [note, *text_lines({"New": record.new_data, "Old": record.old_data}.get(name) or record.payload)]


def _face(record: Record, name: str, cells: int, unfolded: bool) -> list[Line]:
    if record.kind == NOTE:
        return text_lines(record.query or "", "noted")
    if name == "SQL":
        return _query(record)
    if name == "JSON":
        return _json(record)
    if record.kind == SCHEMA:
        return _schema(record) if name == "Diff" else [_note("a schema event has no rows; d goes on to JSON and SQL")]
    if record.kind == "T":
        return [line(span("- ", "removed"), span("all rows of the table")), line(), _note("TRUNCATE tells no rows.")]
    if name == "New":
        return _row(record.new_data, "no new row: this is a DELETE")
    if name == "Old":
        return _row(record.old_data, "no old row: this is an INSERT")
    return _difference(record, cells, unfolded)


def _note(text: str) -> Line:
    return line(span(text, "note"))


def _query(record: Record) -> list[Line]:
    if record.query is None:
        return [_note("the statement was not kept (setting PG_EVENTS_QUERY)")]
    return text_lines(record.query)


def _json(record: Record) -> list[Line]:
    payload = record.payload
    if _is_too_much(payload):
        return [_note(f"{size_words(len(payload))}: shown as it is"), *text_lines(payload)]
    return text_lines(difference.pretty(difference.row_of(payload)))


def _row(text: str | None, absent: str) -> list[Line]:
    if text is None:
        return [_note(absent)]
    if _is_too_much(text):
        return [_note(f"{size_words(len(text))}: shown as it is"), *text_lines(text)]
    row = difference.row_of(text) or {}
    names = _padded([Change(" ", name, None, None) for name in row])
    lines: list[Line] = []
    for value, label in zip(row.values(), names, strict=True):
        lines.extend(_value_lines(span(label, "label"), value, _role(value)))
    return lines or [_note("no columns")]


def _value_lines(label: Span, value: Any, role: str) -> list[Line]:
    """A name with its value behind it, or below it when it is JSON or has several lines."""
    if isinstance(value, dict | list) and value:
        text = difference.pretty(value)
        return [line(label), *(line(span("    "), *one) for one in text_lines(text, role))]
    if isinstance(value, str) and "\n" in value:
        return [line(label), *(line(span("    "), *one) for one in text_lines(value, role))]
    first, *rest = text_lines(spelled(value), role)
    return [line(label, HANG, *first), *rest]


def _role(value: Any) -> str:
    if value is None or value is MISSING:
        return "null"
    if isinstance(value, bool | int) or not isinstance(value, str | dict | list):
        return "number"
    return ""


def _padded(changes: Sequence[Change]) -> list[str]:
    """The names, all as wide as the widest that is not absurd."""
    names = [shorten(span(f"{'  ' if change.nested else ''}{change.name}").text, 40) for change in changes]
    widest = min(24, max((cell_len(name) for name in names), default=0))
    return [name + " " * (max(0, widest - cell_len(name)) + 2) for name in names]


def _difference(record: Record, cells: int, unfolded: bool) -> list[Line]:
    if is_giant(record):
        size = len(record.old_data or "") + len(record.new_data or "")
        return [_note(f"{size_words(size)}: too large to compare; d goes on to the rows themselves")]
    changes = difference.difference(difference.row_of(record.old_data), difference.row_of(record.new_data))
    shown = [change for change in changes if change.sign != " "]
    same = [change for change in changes if change.sign == " "]
    lines = _changes(shown, cells, both=record.kind == "U") if shown else [_note("nothing changed")]
    if same and unfolded:
        lines += [line(), _note("unchanged"), *_changes(same, cells, both=False)]
    elif same:
        lines += [line(), _note(f"{len(same)} unchanged {'column' if len(same) == 1 else 'columns'} · u shows them")]
    return lines


def _changes(changes: Sequence[Change], cells: int, *, both: bool) -> list[Line]:
    """A table of name, old and new; a value too wide for its column stands on a line of its own."""
    names = _padded(changes)
    label_cells = max((cell_len(name) for name in names), default=0)
    room = max(8, (cells - 2 - label_cells - 2) // 2) if both else max(8, cells - 2 - label_cells)
    paired = [change for change in changes if MISSING not in (change.old, change.new) and change.note[:5] != "json,"]
    old_texts = [_short(change.old, change.nested, room) for change in paired] if both else []
    old_cells = min(room, max((cell_len(text) for text in old_texts if text is not None), default=0))
    lines: list[Line] = []
    if both:
        heading = "".ljust(2) + "column".ljust(label_cells) + "old".ljust(old_cells + 2) + "new"
        lines.append(line(span(shorten(heading, cells), "heading")))
    for change, label in zip(changes, names, strict=True):
        role = ROLES[change.sign]
        start = (span(f"{change.sign} ", role), span(label, role if change.sign != " " else "label"))
        if change.note.startswith("json, "):
            lines.append(line(*start, span(f"({change.note})", "note")))
        elif not both:
            value = change.new if change.new is not MISSING else change.old
            lines.extend(_single(start, value, change.nested))
        else:
            lines.extend(_pair(start, change, old_cells, room))
    return lines


def _single(start: tuple[Span, Span], value: Any, nested: bool) -> list[Line]:
    if value is MISSING and nested:
        return [line(*start)]
    first, *rest = text_lines(spelled(value, nested=nested), _role(value))
    return [line(*start, HANG, *first), *rest]


def _pair(start: tuple[Span, Span], change: Change, old_cells: int, room: int) -> list[Line]:
    old = _short(change.old, change.nested, room)
    new = _short(change.new, change.nested, room)
    note = [span(f"  ({change.note})", "note")] if change.note else []
    if change.nested and MISSING in (change.old, change.new):
        came = change.old is MISSING
        first, *rest = text_lines(
            spelled(change.new if came else change.old, nested=True), "added" if came else "removed"
        )
        return [line(*start, HANG, *first), *rest]
    if old is not None and new is not None:
        pad = " " * (max(0, old_cells - cell_len(old)) + 2)
        return [line(*start, Span(old, _role(change.old)), Span(pad), Span(new, _role(change.new) or "new"), *note)]
    lines = [line(*start, *note)]
    for sign, role, value in (("-", "removed", change.old), ("+", "added", change.new)):
        if value is not MISSING:
            texts = text_lines(spelled(value, nested=change.nested))
            lines.extend(line(span(f"    {sign if n == 0 else ' '} ", role), HANG, *one) for n, one in enumerate(texts))
    return lines


def _short(value: Any, nested: bool, room: int) -> str | None:
    """The value as one short text, None when it needs lines of its own."""
    if isinstance(value, str) and len(value) > room * 2:
        return None
    text = spelled(value, nested=nested)
    if "\n" in text or len(text) > room * 4:
        return None
    text = span(text).text
    return text if cell_len(text) <= room else None


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
    """`bigint → numeric(12,2), was named total`."""
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
    """What a DDL event meant for the capture of its table, told from how the table is covered now."""
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
