"""Events: a row of the log, its JSON payload, and its typed form.

`Record` is used inside pg_events (listener, worker, console, files). `Record.payload` is passed to callbacks. `parse()`
turns a payload into a `DataEvent` or a `SchemaEvent`, with attributes instead of keys.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import count, repeat
from typing import Any, Final, NamedTuple, NoReturn, cast

from pg_events.text import TooDeep, one_line, shorten
from pg_events.text.formatting import format_pairs

ENVELOPE_VERSION: Final = 1
"""Version of the payload's keys and their meaning, independent of the release. Saved logs have it in their header."""

METHODS: Final[Mapping[str, str]] = {"I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}
"""`method` of the payload by letter of a data event in the log. Schema events have the letter `S`."""

SCHEMA: Final = "S"

APPLICATION: Final = "E"
"""Kind of an event that the application wrote with `pgevents.emit()`: its name is the `table_name`, its payload the `new_data`."""

BROKEN: Final = "?"
"""Kind of a row of the log that is not a valid event. Its `ddl` has the reason; it is not passed to callbacks."""


class Record(NamedTuple):
    """Event as recorded in the log. JSON stays text, so that callbacks get exactly what the database wrote."""

    id: int
    """Unique and stable: the same when the event is delivered again."""
    xid: int
    """Transaction id as of `pg_current_xact_id()`."""
    at: str
    """Start of the statement that made the change: ISO 8601 with offset."""
    kind: str
    """Kind: `I` `U` `D` `T` for data, `S` for schema, `E` for the application's own, `BROKEN` for none of them."""
    table_schema: str | None
    """Schema of the table, or of the object of a schema event, if it has one."""
    table_name: str | None
    """Name of the table (of a partition, its root), identity of a schema event's object, or name of an application's event."""
    session_user: str | None
    application_name: str | None
    query: str | None
    """The client's statement, cut at the configured length; None when it is not kept."""
    old_data: str | None
    """JSON object of the row before."""
    new_data: str | None
    """JSON object of the row after."""
    ddl: str | None
    """JSON object with the data of the event trigger; schema events only."""
    context: str | None = None
    """Value of the writer's setting `pgevents.context`, normally a JSON object; None if it was not set."""

    @property
    def broken(self) -> str | None:
        """Reason why the record is not a valid event; None for an event."""
        return json.loads(self.ddl or "{}").get("broken") if self.kind == BROKEN else None

    @property
    def payload(self) -> str:
        """Event as one line of JSON, the public contract. Keys that do not apply are absent."""
        return _one_line(f'{{"id": {self.id}{_head(self)}{_data(self)}{_tail(self)}')


def _head(record: Record) -> str:
    """Members of a payload between its id and its data."""
    kind = record.kind
    event = f', "event": {json.dumps(record.table_name)}{_members(record.ddl)}' if kind == APPLICATION else ""
    table = (record.table_schema, record.table_name) if kind in METHODS or kind == BROKEN else ()
    method = f', "method": "{METHODS[kind]}"' if kind in METHODS else ""
    envelope = _envelope(record.session_user, record.application_name, *table)
    return f', "xid": {record.xid}, "at": "{record.at}"{event}{envelope}{method}'


def _data(record: Record) -> str:
    """Members of a payload that differ between the events of a statement."""
    if record.kind in METHODS:
        old = "" if record.old_data is None else f', "old_data": {record.old_data}'
        return old if record.new_data is None else f'{old}, "new_data": {record.new_data}'
    if record.kind == APPLICATION:
        return "" if record.new_data is None else f', "payload": {record.new_data}'
    return _members(record.ddl)


def _tail(record: Record) -> str:
    """Members of a payload after its data, and its end."""
    context = "" if record.context is None else f', "context": {context_json(record.context)}'
    query = "" if record.query is None else f', "query": {_string(record.query)}'
    return f"{context}{query}}}"


def _one_line(payload: str) -> str:
    # A value of type json is stored as the user wrote it. A line break can only stand between its tokens.
    if "\n" in payload or "\r" in payload:
        return payload.replace("\n", " ").replace("\r", " ")
    return payload


class PayloadWriter:
    """Writes payloads, equal to `Record.payload`; faster for consecutive events, which have most of it in common."""

    def __init__(self) -> None:
        self._common: tuple[object, ...] = ()
        """Members of the last record, from `xid` to `query`."""
        self._context: str | None = None
        self._head = self._tail = ""

    def __call__(self, record: Record) -> str:
        """Payload of an event."""
        if record.context != self._context or record[1:9] != self._common:
            if record.kind not in METHODS:
                return record.payload  # its head depends on `ddl`, too
            self._common, self._context = record[1:9], record.context
            self._head, self._tail = _head(record), _tail(record)
        old, new = record.old_data, record.new_data
        # As in _data() and _one_line(): two calls would take a third of the time.
        data = "" if old is None else f', "old_data": {old}'
        if new is not None:
            data = f'{data}, "new_data": {new}'
        text = f'{{"id": {record.id}{self._head}{data}{self._tail}'
        return _one_line(text) if "\n" in text or "\r" in text else text


_string: Final = json.encoder.encode_basestring_ascii
"""A text as `json.dumps` writes it, without the way there."""


@lru_cache(maxsize=1024)
def context_json(context: str) -> str:
    """Return a context as JSON: an object unchanged, any other text as a string.

    It is cached, because the events of a transaction share their context.
    """
    return context if context_object(context) is not None else json.dumps(context)


def context_object(context: str) -> dict[str, Any] | None:
    """Parse a context; None if it is not a JSON object, or is nested more than a hundred levels deep."""
    if not context.lstrip(_JSON_SPACE).startswith("{") or max(context.count("{"), context.count("[")) > _MAX_DEPTH:
        return None
    try:
        return cast("dict[str, Any]", _STRICT_JSON.decode(context))
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT_JSON: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_JSON_SPACE: Final = " \t\n\r"
_MAX_DEPTH: Final = 100


def _context_of(raw: str | None) -> str | None:
    """Context of a payload's member, which is an object or a string."""
    if raw is None or raw == "null":
        return None
    return cast("str", json.loads(raw)) if raw.startswith('"') else raw


MAX_PACKED: Final = 100
"""Maximum events of one statement in one row of the log; ids are assigned with this distance."""

_SEPARATOR: Final = "\x1e"
"""Separator of the rows in a packed row. JSON never contains it, because control characters are escaped."""


def unpack(packed: Record) -> Iterator[Record]:
    """Unpack the events of a row of the log, which have consecutive ids."""
    olds, news = (
        repeat(None) if rows is None else rows.split(_SEPARATOR) for rows in (packed.old_data, packed.new_data)
    )
    head = map(repeat, packed[1 : Record._fields.index("old_data")])
    members = zip(count(packed.id), *head, olds, news, repeat(packed.ddl), repeat(packed.context), strict=False)
    # What Record() does, without a call in Python for each.
    return map(tuple.__new__, repeat(Record), members)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def sound(row: Record, packed: int | None) -> Iterator[Record]:
    """Events of a row of the log; `packed` is their number if it is a packed row.

    A row that no capture wrote, for instance of an unknown kind or without JSON objects, is one `BROKEN` record.
    """
    reason = _unsound(row, packed)
    if reason is not None:
        at = row.at if _is_time(row.at) else _NO_TIME
        ddl = json.dumps({"broken": reason})
        yield row._replace(at=at, kind=BROKEN, table_schema=row.table_schema or "", table_name=row.table_name or "",
                           query=None, old_data=None, new_data=None, ddl=ddl)  # fmt: skip
    elif packed is None:
        yield row
    else:
        yield from unpack(row)


def _unsound(row: Record, packed: int | None) -> str | None:
    if not _is_time(row.at):
        return "its time is out of range"
    if row.kind == SCHEMA:
        return (
            None if packed is None and (row.ddl is None or _is_object(row.ddl)) else "its description is no JSON object"
        )
    if row.kind == APPLICATION:
        is_sound = packed is None and bool(row.table_name) and (row.ddl is None or _is_object(row.ddl))
        return None if is_sound else "it is not an event of pgevents.emit()"
    if row.kind not in METHODS:
        return f"its kind is unknown: {row.kind[:10]!r}"
    if row.table_schema is None or row.table_name is None:
        return "it names no table"
    if packed is None:
        # Of a column of type json: JSON, whatever it is.
        is_sound = all(rows is None or _is_object(rows) for rows in (row.old_data, row.new_data))
    else:
        is_sound = _are_objects(row, packed)
    return None if is_sound else "its rows are no JSON objects"


def _is_object(value: str) -> bool:
    return value.startswith("{") or value.lstrip().startswith("{")


def _are_objects(row: Record, packed: int) -> bool:
    sides = [side for side in (row.old_data, row.new_data) if side is not None]
    return 0 < packed <= MAX_PACKED and bool(sides) and all(_are_objects_of(side, packed) for side in sides)


def _are_objects_of(rows: str, number: int) -> bool:
    """Return True if the text looks like a number of JSON objects, by their ends.

    Parsing each would cost half of a delivery, and only the schema's owner can write another text.

    """
    return rows.count(_SEPARATOR) == rows.count(_BETWEEN) == number - 1 and rows.startswith("{") and rows.endswith("}")


@lru_cache(maxsize=1024)
def _is_time(at: str) -> bool:
    try:
        return 2 <= datetime.fromisoformat(at).year <= 9998  # a time zone shifts it by a day
    except ValueError:
        return False


_NO_TIME: Final = "1970-01-01T00:00:00+00:00"
_BETWEEN: Final = "}\x1e{"


def replayed(payload: str, run: str, attempt: int, *, is_edited: bool = False) -> str:
    """Payload with the key `replay`; all other bytes are unchanged."""
    note: dict[str, object] = {"run": run, "attempt": attempt}
    if is_edited:
        note["edited"] = True
    return f'{payload[: payload.rindex("}")]}, "replay": {json.dumps(note)}}}'


def broken(payload: str) -> str | None:
    """Reason why a payload is not that of a valid event; None for an event."""
    if len(payload) > _BROKEN_CHARACTERS or '"broken": ' not in payload:
        return None
    try:
        return record(payload).broken
    except (ValueError, RecursionError):
        return None


_BROKEN_CHARACTERS: Final = 10_000


def is_of_schema(payload: str) -> bool:
    """Return True for the payload of a schema event. Reads only its head; the rest may be large or deeply nested."""
    return _DATA.match(payload) is None


_DATA: Final = re.compile(r'\{"id": \d+, "xid": \d+, "at": "[^"]*", "(?:table_schema|event)": ')


def record(payload: str) -> Record:
    """Record of a payload, with its exact JSON.

    Raises `ValueError` for other texts, `RecursionError` if it is nested too deeply for Python.
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
        elif "event" in members and "command_tag" not in members:
            kind, rest = APPLICATION, None if "key" not in members else f'{{"key": {members["key"]}}}'
        else:
            kind = BROKEN if "broken" in members and "command_tag" not in members else SCHEMA
            rest = (
                "{" + ", ".join(f"{json.dumps(key)}: {raw}" for key, raw in members.items() if key not in _HEAD) + "}"
            )
        return Record(
            int(members["id"]), int(members["xid"]), text("at") or "", kind,
            text("schema_name" if kind == SCHEMA else "table_schema"), text(_NAME_KEYS.get(kind, "table_name")),
            text("session_user"), text("application_name"), text("query"),
            row("old_data"), row("payload" if kind == APPLICATION else "new_data"), rest, _context_of(members.get("context")),
        )  # fmt: skip
    except (KeyError, StopIteration) as error:
        raise ValueError(f"not a payload of pg_events: {error}") from error


_NAME_KEYS: Final[Mapping[str, str]] = {SCHEMA: "object_identity", APPLICATION: "event"}
_HEAD: Final = frozenset({"id", "xid", "at", "session_user", "application_name", "context", "query", "replay"})


def head(payload: str) -> Record:
    """Record without its rows and its query, parsed only from the head of a payload.

    It is fast, however large or deeply nested the rows are. Raises as `record` does.

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


def id_and_context(payload: str) -> tuple[int, str | None]:
    """Id and context of a payload of pg_events. Raises `ValueError` for other texts."""
    if '"context": ' not in payload and (match := _ID.match(payload)):
        return int(match[1]), None
    found = {key: raw for key, raw in raw_members(payload) if key in ("id", "context")}
    try:
        return int(found["id"]), _context_of(found.get("context"))
    except KeyError:
        raise ValueError("not a payload of pg_events: it has no id") from None


_ID: Final = re.compile(r'\{"id": (\d+)')


def raw_members(payload: str) -> Iterator[tuple[str, str]]:
    """Yield keys and exact values of a JSON object, however deeply they are nested."""
    position = payload.index("{") + 1
    while match := _KEY.match(payload, position):
        key, end = _ANY_JSON.raw_decode(payload, match.end(1))
        start = _COLON.match(payload, end)
        if start is None:
            raise ValueError("not a JSON object")
        position = _end_of_value(payload, start.end())
        yield key, payload[start.end() : position]


def members(payload: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """Parse a JSON object, each value by `read`; one that raises `RecursionError` becomes `TooDeep`.

    Raises `ValueError` if the text is not a JSON object.
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
    """End of the JSON value that begins at the position. If it is nested too deeply, only brackets are matched."""
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
"""JSON decoder to find the end of a value."""
_KEY: Final = re.compile(r'(\s*,?\s*)(?=")')
_COLON: Final = re.compile(r"\s*:\s*")


@lru_cache(maxsize=4096)
def _envelope(session_user: str | None, application_name: str | None, *table: str | None) -> str:
    """Middle part of a payload, cached because thousands of events share it."""
    names = dict(zip(("table_schema", "table_name"), table, strict=False))
    values = names | {"session_user": session_user, "application_name": application_name}
    return "".join(f', "{key}": {json.dumps(value)}' for key, value in values.items() if value is not None)


def _members(json_object: str | None) -> str:
    """Members of an object to append: `, "a": 1` for `{"a": 1}`."""
    inner = (json_object or "{}").strip()[1:-1].strip()
    return f", {inner}" if inner else ""


@dataclass(frozen=True)
class DataEvent:
    """Changed row, or truncated table, as recorded by the database."""

    id: int
    """Unique and stable: the same when the event is delivered again."""
    xid: int
    """Transaction id: events with the same xid were committed together."""
    at: datetime
    """Start of the statement that made the change, aware."""
    table_schema: str
    table_name: str
    """Name of the table; of a partition, its root."""
    session_user: str
    method: str
    """`INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`."""
    application_name: str = ""
    old_data: Mapping[str, Any] | None = None
    """Row before the change (UPDATE, DELETE). Numbers with a fraction are `Decimal`, so they are exact."""
    new_data: Mapping[str, Any] | None = None
    """Row after the change (INSERT, UPDATE)."""
    context: Mapping[str, Any] | str | None = None
    """Context that the application set for the transaction, claimed and not checked; a string if it is not a JSON object."""
    query: str | None = None
    """The client's statement, cut at the configured length; None when it is not kept."""
    replay: Mapping[str, Any] | None = None
    """`{"run": …, "attempt": …}` when this is a replay of an earlier event, else None."""

    @property
    def table(self) -> str:
        """`schema.table` without quotes, as in patterns and filters."""
        return f"{self.table_schema}.{self.table_name}"

    @cached_property
    def comment(self) -> Mapping[str, str]:
        """Tags of the statement's sqlcommenter comment, for example `{"route": "/orders", "traceparent": "00-…"}`."""
        return statement_tags(self.query)

    @property
    def row(self) -> Mapping[str, Any]:
        """New row, else the old one, else an empty one."""
        return self.new_data or self.old_data or {}

    @cached_property
    def changes(self) -> Mapping[str, tuple[Any, Any]]:
        """Pairs (old, new) by column, for the changed columns in the table's order.

        For an INSERT, every column with `old` None; for a DELETE, every column with `new` None.
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
    """Object that a DDL command created, altered or dropped."""

    id: int
    """Unique and stable: the same when the event is delivered again."""
    xid: int
    at: datetime
    """Start of the statement, aware."""
    session_user: str
    command_tag: str
    """Command, for example `ALTER TABLE`."""
    application_name: str = ""
    context: Mapping[str, Any] | str | None = None
    """Context that the application set for the transaction, claimed and not checked; a string if it is not a JSON object."""
    query: str | None = None
    """The client's statement, passwords masked, cut at the configured length; None when it is not kept."""
    classid: int | None = None
    """OID of the system catalog the object belongs to."""
    objid: int | None = None
    objsubid: int | None = None
    """Number of a column, else 0."""
    object_type: str | None = None
    object_name: str | None = None
    object_identity: str | None = None
    schema_name: str | None = None
    original: bool | None = None
    """True if this object was named in the command; drops only."""
    normal: bool | None = None
    """True if it was dropped because of a dependency, with CASCADE; drops only."""
    in_extension: bool | None = None
    is_temporary: bool | None = None
    columns: Mapping[str, Any] | None = None
    """Changes of a table's columns, `{"added": […], "removed": […], "changed": […]}`; tables only.

    Each column has a `name` and a `type`, a changed one also its former `old_name`, `old_type`, `old_not_null`.
    """
    replay: Mapping[str, Any] | None = None

    @cached_property
    def comment(self) -> Mapping[str, str]:
        """Tags of the statement's sqlcommenter comment."""
        return statement_tags(self.query)


@dataclass(frozen=True)
class ApplicationEvent:
    """Event that the application wrote with `pgevents.emit()`, in the transaction of its changes."""

    id: int
    """Unique and stable: the same when the event is delivered again."""
    xid: int
    at: datetime
    """Start of the statement, aware."""
    event: str
    """Name of the event, such as `order.paid`."""
    session_user: str
    application_name: str = ""
    key: str | None = None
    """Events with the same name and key are delivered in order; without a key, all events of the name."""
    payload: Any = None
    """JSON value of the application. Numbers with a fraction are `Decimal`, so they are exact."""
    query: str | None = None
    """The client's statement; None when it is long or not kept."""
    context: Mapping[str, Any] | str | None = None
    """Context that the application set for the transaction, claimed and not checked; a string if it is not a JSON object."""
    replay: Mapping[str, Any] | None = None
    """`{"run": …, "attempt": …}` when this is a replay of an earlier event, else None."""

    @property
    def comment(self) -> Mapping[str, str]:
        """Tags of the statement's sqlcommenter comment, see `DataEvent.comment`."""
        return statement_tags(self.query)


Event = DataEvent | SchemaEvent | ApplicationEvent


def parse(payload: str | bytes | Mapping[str, Any]) -> Event:
    """Parse a payload into its typed form. Unknown keys are ignored.

    Raises `ValueError` if the text is not JSON or not a payload; `RecursionError` if a value is nested too deeply for
    Python's JSON parser (about a thousand levels).
    """
    values: Any = json_object(payload) if isinstance(payload, str | bytes) else payload
    if not isinstance(values, Mapping):
        raise ValueError(f"a payload is a JSON object, this is a {type(values).__name__}")  # noqa: TRY004 - bad input, not a bug
    values = cast("Mapping[str, Any]", values)
    is_application = "event" in values and "command_tag" not in values
    kind = DataEvent if "method" in values else ApplicationEvent if is_application else SchemaEvent
    try:
        known: dict[str, Any] = {name: values[name] for name in kind.__dataclass_fields__ if name in values}
        known["at"] = datetime.fromisoformat(values["at"])
        return kind(**known)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a payload of pg_events: {error}") from error


def json_object(text: str | bytes) -> Any:
    """Parse JSON exactly: a number with a fraction or an exponent becomes a `Decimal`."""
    from decimal import Decimal

    return json.loads(text, parse_float=Decimal)


def claims(event: Record | Event) -> str:
    """Format the context and the comment of an event in one line, as `user=42 route=/orders`; empty if there are none."""
    context = context_object(event.context) or event.context if isinstance(event.context, str) else event.context
    tags: dict[str, Any] = {key: value for key, value in statement_tags(event.query).items() if key in _SHOWN_TAGS}
    if isinstance(context, str):
        return " ".join(filter(None, (shorten(one_line(context), _CLAIM_CHARACTERS), format_pairs(tags))))
    return format_pairs(tags | dict(context or {}))


_SHOWN_TAGS: Final = ("application", "framework", "controller", "action", "route")
_CLAIM_CHARACTERS: Final = 120


def statement_tags(query: str | None) -> dict[str, str]:
    """Tags of the comment at the end of a statement, as sqlcommenter writes them; empty if there is none.

    Format: <https://google.github.io/sqlcommenter/spec/>.
    """
    if query is None or not (query := query.rstrip(" \t\r\n;")).endswith("*/"):
        return {}
    from urllib.parse import unquote

    comment = query[query.rfind("/*") + 2 : -2]
    return {unquote(key): unquote(value.replace("\\'", "'")) for key, value in _TAG.findall(comment)}


_TAG: Final = re.compile(r"(?:^|,)\s*([^\s=,']+)\s*=\s*'((?:[^'\\]|\\.)*)'")
