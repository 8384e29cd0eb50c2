"""An event: one row of the log as the database told it, its JSON payload, and its typed form.

`Record` is what travels inside pg_events (listener, worker, console, files). `Record.payload` is what a callback
gets. `parse()` turns a payload into a `DataEvent` or a `SchemaEvent` for those who prefer attributes to keys.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import count, repeat
from typing import Any, Final, NamedTuple, cast

from pg_events.text import TooDeep

ENVELOPE_VERSION: Final = 1
"""Version of the payload's keys and their meaning; apart from the release's. Saved logs carry it in their header."""

METHODS: Final[Mapping[str, str]] = {"I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}
"""Letter of a data event in the log -> `method` in its payload. Schema events have the letter `S`."""

SCHEMA: Final = "S"

BROKEN: Final = "?"
"""What is in the log and is no event: a row that no release of ours wrote. Its `ddl` says why; no callback is given it."""


class Record(NamedTuple):
    """One row of the log. JSON stays text: what the database wrote is what a callback gets, digit for digit."""

    id: int
    """Unique and stable: the same when the event is delivered again."""
    xid: int
    """The transaction, as `pg_current_xact_id()` counts it."""
    at: str
    """Start of the statement that made the change: ISO 8601 with offset."""
    kind: str
    """`I` `U` `D` `T` for data, `S` for schema; `BROKEN` for what is neither."""
    table_schema: str | None
    """The table's schema; for a schema event that of the object, if it has one."""
    table_name: str | None
    """The table a user knows (of a partition: the root); for a schema event the object's identity."""
    session_user: str | None
    application_name: str | None
    query: str | None
    """The client's statement, cut at the configured length; None when it is not kept."""
    old_data: str | None
    """JSON object of the row before."""
    new_data: str | None
    """JSON object of the row after."""
    ddl: str | None
    """JSON object with what the event trigger told; schema events only."""

    @property
    def broken(self) -> str | None:
        """Why it is no event; None of an event."""
        return json.loads(self.ddl or "{}").get("broken") if self.kind == BROKEN else None

    @property
    def payload(self) -> str:
        """The event as one line of JSON: the public contract. Keys that do not apply are absent."""
        if self.kind in (SCHEMA, BROKEN):
            tail = _members(self.ddl)
        else:
            tail = f', "method": "{METHODS[self.kind]}"'
            if self.old_data is not None:
                tail += f', "old_data": {self.old_data}'
            if self.new_data is not None:
                tail += f', "new_data": {self.new_data}'
        if self.query is not None:
            tail += f', "query": {json.dumps(self.query)}'
        table = () if self.kind == SCHEMA else (self.table_schema, self.table_name)
        head = _envelope(self.session_user, self.application_name, *table)
        text = f'{{"id": {self.id}, "xid": {self.xid}, "at": "{self.at}"{head}{tail}}}'
        # A value of type json is stored as the user wrote it. A line break can only stand between its tokens.
        return text.replace("\n", " ").replace("\r", " ") if "\n" in text or "\r" in text else text


MOST_FOLDED: Final = 100
"""So many events of one statement one row of the log holds at most: so far ids are drawn apart."""

_FOLD: Final = "\x1e"
"""Stands between the rows in it. No JSON contains it: control characters are escaped there."""


def unfold(folded: Record) -> Iterator[Record]:
    """The events of a row of the log that holds several: its ids follow one another, and so do its rows."""
    olds, news = (repeat(None) if rows is None else rows.split(_FOLD) for rows in (folded.old_data, folded.new_data))
    head = map(repeat, folded[1 : Record._fields.index("old_data")])
    return map(Record, count(folded.id), *head, olds, news, repeat(folded.ddl))


def sound(row: Record, folded: int | None) -> Iterator[Record]:
    """The events of a row of the log, `folded` of them if it holds several. Of a row that no capture wrote, such as one whose
    kind is unknown or whose rows are no JSON objects, one that is `BROKEN`, with its id."""
    reason = _unsound(row, folded)
    if reason is not None:
        at = row.at if _is_time(row.at) else _NO_TIME
        ddl = json.dumps({"broken": reason})
        yield row._replace(at=at, kind=BROKEN, table_schema=row.table_schema or "", table_name=row.table_name or "",
                           query=None, old_data=None, new_data=None, ddl=ddl)  # fmt: skip
    elif folded is None:
        yield row
    else:
        yield from unfold(row)


def _unsound(row: Record, folded: int | None) -> str | None:
    if not _is_time(row.at):
        return "its time is out of range"
    if row.kind == SCHEMA:
        return (
            None if folded is None and (row.ddl is None or _is_object(row.ddl)) else "its description is no JSON object"
        )
    if row.kind not in METHODS:
        return f"its kind is unknown: {row.kind[:10]!r}"
    if row.table_schema is None or row.table_name is None:
        return "it names no table"
    if folded is None:
        # Of a column of type json: JSON, whatever it is.
        is_sound = all(rows is None or _is_object(rows) for rows in (row.old_data, row.new_data))
    else:
        is_sound = _are_objects(row, folded)
    return None if is_sound else "its rows are no JSON objects"


def _is_object(value: str) -> bool:
    return value.startswith("{") or value.lstrip().startswith("{")


def _are_objects(row: Record, folded: int) -> bool:
    sides = [side for side in (row.old_data, row.new_data) if side is not None]
    return 0 < folded <= MOST_FOLDED and bool(sides) and all(_are_objects_of(side, folded) for side in sides)


def _are_objects_of(rows: str, number: int) -> bool:
    """Whether the text looks like so many JSON objects, by their ends. To read each of them would cost half of a delivery, and
    nobody but the schema's owner can write another text.
    """
    return rows.count(_FOLD) == rows.count(_BETWEEN) == number - 1 and rows.startswith("{") and rows.endswith("}")


@lru_cache(maxsize=1024)
def _is_time(at: str) -> bool:
    try:
        return 2 <= datetime.fromisoformat(at).year <= 9998  # a time zone shifts it by a day
    except ValueError:
        return False


_NO_TIME: Final = "1970-01-01T00:00:00+00:00"
_BETWEEN: Final = "}\x1e{"


def replayed(payload: str, run: str, attempt: int, *, is_edited: bool = False) -> str:
    """The payload with the key that says it is delivered again on demand; every other byte as it was."""
    note: dict[str, object] = {"run": run, "attempt": attempt}
    if is_edited:
        note["edited"] = True
    return f'{payload[: payload.rindex("}")]}, "replay": {json.dumps(note)}}}'


def broken(payload: str) -> str | None:
    """Why a payload is that of no event; None of one that is. Those are short, and the log made them."""
    if len(payload) > _BROKEN_CHARACTERS or '"broken": ' not in payload:
        return None
    try:
        return record(payload).broken
    except (ValueError, RecursionError):
        return None


_BROKEN_CHARACTERS: Final = 10_000


def is_of_schema(payload: str) -> bool:
    """Is the payload that of a schema event? Read from its beginning alone: the rest may be large, or nested deep."""
    return _DATA.match(payload) is None


_DATA: Final = re.compile(r'\{"id": \d+, "xid": \d+, "at": "[^"]*", "table_schema": ')


def record(payload: str) -> Record:
    """The record that a payload of ours was made from, its JSON as it was written.

    Raises `ValueError` for a text that is none, `RecursionError` when it is nested too deep for Python to read.
    """
    members = dict(raw_members(payload))

    def text(key: str) -> str | None:
        return json.loads(members[key]) if key in members else None

    def row(key: str) -> str | None:
        raw = members.get(key)
        return None if raw == "null" else raw  # as others may write what we leave out

    try:
        if "method" in members:
            kind = next(letter for letter, method in METHODS.items() if method == text("method"))
            rest = None
        else:
            kind = BROKEN if "broken" in members and "command_tag" not in members else SCHEMA
            rest = (
                "{" + ", ".join(f"{json.dumps(key)}: {raw}" for key, raw in members.items() if key not in _HEAD) + "}"
            )
        return Record(
            int(members["id"]), int(members["xid"]), text("at") or "", kind,
            text("table_schema" if kind != SCHEMA else "schema_name"), text("table_name" if kind != SCHEMA else "object_identity"),
            text("session_user"), text("application_name"), text("query"),
            row("old_data"), row("new_data"), rest,
        )  # fmt: skip
    except (KeyError, StopIteration) as error:
        raise ValueError(f"not a payload of pg_events: {error}") from error


_HEAD: Final = frozenset({"id", "xid", "at", "session_user", "application_name", "query", "replay"})


def head(payload: str) -> Record:
    """The record without its rows and its query: of a payload of ours all that `Record` has before them, and no more is
    read, however large the rows are or deep they are nested. Raises as `record` does.
    """
    if match := _DATA_HEAD.match(payload):
        identifier, xid, at, *texts, method = match.groups()
        schema, table, user, application = (json.loads(text) if text else None for text in texts)
        return Record(int(identifier), int(xid), at, _LETTERS[method], schema, table, user, application, *[None] * 4)
    members: list[str] = []  # a schema event, or a payload that came by other hands
    for key, raw in raw_members(payload):
        members.append(f"{json.dumps(key)}: {raw}")
        if key == "method":
            break
    return record(f"{{{', '.join(members)}}}")


_LETTERS: Final = {method: letter for letter, method in METHODS.items()}
_STRING: Final = r'("(?:[^"\\]|\\.)*")'
_DATA_HEAD: Final = re.compile(
    rf'\{{"id": (\d+), "xid": (\d+), "at": "([^"]*)", "table_schema": {_STRING}, "table_name": {_STRING}'
    rf'(?:, "session_user": {_STRING})?(?:, "application_name": {_STRING})?, "method": "({"|".join(_LETTERS)})"'
)


def raw_members(payload: str) -> Iterator[tuple[str, str]]:
    """Key and value of a JSON object, the value as it is written, however deep it is nested."""
    position = payload.index("{") + 1
    while match := _KEY.match(payload, position):
        key, end = _ANY_JSON.raw_decode(payload, match.end(1))
        start = _COLON.match(payload, end)
        if start is None:
            raise ValueError("not a JSON object")
        position = _end_of_value(payload, start.end())
        yield key, payload[start.end() : position]


def members(payload: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """A JSON object, each value read by `read`; one that raises `RecursionError` stays as `TooDeep`, its inside unread.

    Raises `ValueError` when the text is no JSON object.
    """
    found: dict[str, Any] = {}
    position, sign = 0, "{"
    while match := _MEMBER.match(payload, position):
        if match[1] != sign:
            break
        position, sign = _end_of_value(payload, match.end()), ","
        raw = payload[match.end() : position]
        try:
            found[json.loads(match[2])] = read(raw)
        except RecursionError:
            found[json.loads(match[2])] = TooDeep(raw)
    if _END.fullmatch(payload, position) is None:
        raise ValueError(f"not JSON, or cut short, at character {position + 1:,}")
    return found


_MEMBER: Final = re.compile(r'\s*([{,])\s*("(?:[^"\\]++|\\.)*+")\s*:\s*')
_END: Final = re.compile(r"\s*\}\s*")


def _end_of_value(text: str, position: int) -> int:
    """Where the JSON value that begins there ends. Inside one that is nested too deep for Python only brackets are looked at."""
    try:
        return _ANY_JSON.raw_decode(text, position)[1]
    except RecursionError:
        pass
    depth = 0
    for match in _BRACKET.finditer(text, position):
        if match[0] in "[{":
            depth += 1
        elif match[0] in "]}":
            depth -= 1
            if not depth:
                return match.end()
    raise ValueError("not JSON, or cut short: a bracket is not closed")


_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]')


_ANY_JSON: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
"""Only to find where a value ends."""
_KEY: Final = re.compile(r'(\s*,?\s*)(?=")')
_COLON: Final = re.compile(r"\s*:\s*")


@lru_cache(maxsize=4096)
def _envelope(session_user: str | None, application_name: str | None, *table: str | None) -> str:
    """The middle of a payload, the same for thousands of events."""
    names = dict(zip(("table_schema", "table_name"), table, strict=False))
    values = names | {"session_user": session_user, "application_name": application_name}
    return "".join(f', "{key}": {json.dumps(value)}' for key, value in values.items() if value is not None)


def _members(json_object: str | None) -> str:
    """`{"a": 1}` -> `, "a": 1`."""
    inner = (json_object or "{}").strip()[1:-1].strip()
    return f", {inner}" if inner else ""


@dataclass(frozen=True)
class DataEvent:
    """One changed row (or one truncated table), as the database told it."""

    id: int
    """Unique and stable: the same when the event is delivered again."""
    xid: int
    """The transaction: events with the same xid were committed together."""
    at: datetime
    """Start of the statement that made the change, aware."""
    table_schema: str
    table_name: str
    """The table a user knows: of a partition, the root."""
    session_user: str
    method: str
    """`INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`."""
    application_name: str = ""
    old_data: Mapping[str, Any] | None = None
    """The row before (UPDATE, DELETE). Numbers with a fraction are `Decimal`, so digits are kept."""
    new_data: Mapping[str, Any] | None = None
    """The row after (INSERT, UPDATE)."""
    query: str | None = None
    """The client's statement, cut at the configured length; None when it is not kept."""
    replay: Mapping[str, Any] | None = None
    """`{"run": …, "attempt": …}` when this is a replay of an earlier event, else None."""

    @property
    def table(self) -> str:
        """`schema.table`, as patterns and filters have it: without quotes."""
        return f"{self.table_schema}.{self.table_name}"

    @property
    def row(self) -> Mapping[str, Any]:
        """The row as it is now, or was last: the new one, else the old one, else nothing."""
        return self.new_data or self.old_data or {}

    @cached_property
    def changes(self) -> Mapping[str, tuple[Any, Any]]:
        """Column -> (old, new) of the columns whose value changed, in the table's order.

        For an INSERT every column with `old` None, for a DELETE every column with `new` None.
        """
        from pg_events.diff.changes import same

        old, new = self.old_data or {}, self.new_data or {}
        names = dict.fromkeys([*new, *old])
        only_one_side = self.old_data is None or self.new_data is None
        return {
            name: (old.get(name), new.get(name))
            for name in names
            if only_one_side or name not in old or name not in new or not same(old[name], new[name])
        }


@dataclass(frozen=True)
class SchemaEvent:
    """One object that a DDL command created, altered or dropped."""

    id: int
    """Unique and stable: the same when the event is delivered again."""
    xid: int
    at: datetime
    """Start of the statement, aware."""
    session_user: str
    command_tag: str
    """For example `ALTER TABLE`."""
    application_name: str = ""
    query: str | None = None
    """The client's statement, passwords masked, cut at the configured length; None when it is not kept."""
    classid: int | None = None
    """OID of the system catalog the object belongs to."""
    objid: int | None = None
    objsubid: int | None = None
    """A column's number, else 0."""
    object_type: str | None = None
    object_name: str | None = None
    object_identity: str | None = None
    schema_name: str | None = None
    original: bool | None = None
    """Drops only: this object was named in the command."""
    normal: bool | None = None
    """Drops only: it fell because something it depends on was dropped with CASCADE."""
    in_extension: bool | None = None
    is_temporary: bool | None = None
    columns: Mapping[str, Any] | None = None
    """Tables only: what happened to the columns, `{"added": […], "removed": […], "changed": […]}`; each column has
    a `name` and a `type`, a changed one also what was (`old_name`, `old_type`, `old_not_null`)."""
    replay: Mapping[str, Any] | None = None


def parse(payload: str | bytes | Mapping[str, Any]) -> DataEvent | SchemaEvent:
    """Read a payload into its typed form. Keys this release does not know are passed over.

    Raises `ValueError` when the text is not JSON or not a payload; `RecursionError` when a value of it is nested
    deeper than Python's JSON reader goes (about a thousand levels).
    """
    values: Any = json_object(payload) if isinstance(payload, str | bytes) else payload
    if not isinstance(values, Mapping):
        raise ValueError(f"a payload is a JSON object, this is a {type(values).__name__}")  # noqa: TRY004 - bad input, not a bug
    values = cast("Mapping[str, Any]", values)
    kind = DataEvent if "method" in values else SchemaEvent
    try:
        known: dict[str, Any] = {name: values[name] for name in kind.__dataclass_fields__ if name in values}
        known["at"] = datetime.fromisoformat(values["at"])
        return kind(**known)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a payload of pg_events: {error}") from error


def json_object(text: str | bytes) -> Any:
    """Read JSON with every digit kept: a number with a fraction or an exponent becomes a `Decimal`."""
    from decimal import Decimal

    return json.loads(text, parse_float=Decimal)
