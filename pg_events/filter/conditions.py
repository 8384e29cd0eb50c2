"""Conditions of a filter: their text and their tests.

`pg_events.filter.parser` parses a text into these; `str()` writes them back, and `test()` returns the function that
decides. They are plain frozen values, so that other modules can translate them (into SQL, for instance).
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal, cast

from pg_events.diff.changes import same
from pg_events.event import APPLICATION, SCHEMA, Record, context_object, members, statement_tags
from pg_events.filter.values import Operator, Value, glob_test, joined, name_test, quote, reach, sign, value_test
from pg_events.text import TooDeep

KINDS: Final = "IUDTSE"
"""Letters of `Kinds`, in their order."""


# ── The event under test ─────────────────────────────────────────────────────────────────────────────────────────────

_json = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=str)
"""JSON decoder that parses every number as `Decimal`: exact, and without limit to the number of digits."""

_UNREADABLE: Final = (ValueError, RecursionError, DecimalException)


def _read(text: str | None) -> dict[str, Any] | None:
    """Parse the JSON object in the text; None if there is none, or it is not valid.

    Members that are nested too deeply are omitted.
    """
    try:
        value: Any = None if text is None else _json.decode(text)
    except RecursionError:
        value = _read_shallow(text or "")
    except _UNREADABLE:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _read_shallow(text: str) -> dict[str, Any] | None:
    try:
        found = members(text, _json.decode)
    except _UNREADABLE:
        return None
    return {name: value for name, value in found.items() if not isinstance(value, TooDeep)}


class Subject:
    """Record under test. Its JSON is parsed only if a condition needs it, and then once."""

    __slots__ = ("_objects", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self._objects: dict[str, dict[str, Any] | None] | None = None

    def context(self) -> dict[str, Any] | None:
        """Return the context over the tags of the statement's comment; a context that is not an object has the key `""`."""
        record = self.record
        if record.context is None and not (record.query or "").rstrip(" \t\r\n;").endswith("*/"):
            return None
        found: dict[str, Any] = dict(statement_tags(record.query))
        if record.context is not None:
            known = _read(record.context) if context_object(record.context) is not None else None
            found.update({"": record.context} if known is None else known)
        return found

    def object(self, name: Literal["old_data", "new_data", "ddl"]) -> dict[str, Any] | None:
        if self._objects is None:
            self._objects = {}
        if name not in self._objects:
            self._objects[name] = _read(getattr(self.record, name))
        return self._objects[name]


Test = Callable[[Subject], bool]

# Cost of a test; cheap ones run first.
_FIELDS_ONLY, _RAW_TEXT, _JSON = 0, 1, 2


# ── Conditions on the envelope ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Kinds:
    """`op:U,D`: the operation of the event."""

    kinds: str
    """Letters of `KINDS`, in its order."""
    cost: ClassVar[int] = _FIELDS_ONLY

    def __str__(self) -> str:
        return f"op:{','.join(self.kinds)}"

    def test(self) -> Test:
        kinds = frozenset(self.kinds)
        return lambda subject: subject.record.kind in kinds


@dataclass(frozen=True, slots=True)
class Numbers:
    """`id:7,1200..1300`: the id of the event, or of its transaction."""

    field: Literal["id", "xid"]
    ranges: tuple[tuple[int | None, int | None], ...]
    """Inclusive lower and upper bounds; None for an open bound. Never beyond a PostgreSQL bigint."""
    cost: ClassVar[int] = _FIELDS_ONLY

    def __str__(self) -> str:
        return f"{self.field}:{','.join(map(_range_text, self.ranges))}"

    def test(self) -> Test:
        singles = frozenset(low for low, high in self.ranges if low == high)
        ranges = [(low or 0, _ENDLESS if high is None else high) for low, high in self.ranges if low != high]

        def holds(number: int) -> bool:
            return number in singles or any(low <= number <= high for low, high in ranges)

        if self.field == "id":
            return lambda subject: holds(subject.record.id)
        return lambda subject: holds(subject.record.xid)


_ENDLESS: Final = 2**64


def _range_text(limits: tuple[int | None, int | None]) -> str:
    low, high = ("" if limit is None else str(limit) for limit in limits)
    return low if low and low == high else f"{low}..{high}"


@dataclass(frozen=True, slots=True)
class Names:
    """`table:orders|stock`, `event:order.*`: a name is one of the values, ignoring case.

    A table matches with or without its schema; a schema event has the name of its object, without quotes. A missing
    name (of a user, an application) is empty.
    """

    field: Literal["table", "event", "user", "app"]
    values: tuple[Value, ...]
    cost: ClassVar[int] = _FIELDS_ONLY

    def __str__(self) -> str:
        return f"{self.field}:{joined(self.values)}"

    def test(self) -> Test:
        is_wanted = lru_cache(maxsize=1024)(name_test(self.values))
        if self.field == "user":
            return lambda subject: is_wanted(subject.record.session_user or "")
        if self.field == "app":
            return lambda subject: is_wanted(subject.record.application_name or "")
        if self.field == "event":
            return lambda subject: subject.record.kind == APPLICATION and is_wanted(subject.record.table_name or "")

        @lru_cache(maxsize=1024)
        def is_wanted_table(schema: str | None, name: str | None, kind: str) -> bool:
            return kind != APPLICATION and any(map(is_wanted, table_names(schema, name, kind)))

        return lambda subject: is_wanted_table(
            subject.record.table_schema, subject.record.table_name, subject.record.kind
        )


def table_names(schema: str | None, name: str | None, kind: str) -> tuple[str, str]:
    """Names of a table, or of a schema event's object: without and with its schema."""
    name = name or ""
    if schema is None:
        return name, name
    if kind != SCHEMA:
        return name, f"{schema}.{name}"
    identity = name.replace('"', "")
    return identity.removeprefix(f"{schema}."), identity


@dataclass(frozen=True, slots=True)
class Time:
    """`since:5m`, `until:14:00`: the start of the statement that made the change."""

    edge: Literal["since", "until"]
    """`since` includes the time and later, `until` is before it."""
    at: datetime
    """Time in UTC."""
    cost: ClassVar[int] = _FIELDS_ONLY

    def __str__(self) -> str:
        return f"{self.edge}:{self.at.isoformat()}"

    def test(self) -> Test:
        limit, since = self.at, self.edge == "since"

        def test(subject: Subject) -> bool:
            try:
                is_later = datetime.fromisoformat(subject.record.at) >= limit
            except (ValueError, TypeError):  # not a time, or one without a zone
                return False
            return is_later is since

        return test


# ── Conditions on text ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Query:
    """`query:"insert into"`: the client's statement contains one of the values, ignoring case."""

    values: tuple[Value, ...]
    cost: ClassVar[int] = _RAW_TEXT

    def __str__(self) -> str:
        return f"query:{joined(self.values)}"

    def test(self) -> Test:
        texts = [value.text.casefold() for value in self.values if value.form != "glob"]
        matches = glob_test([f"*{value.text.casefold()}*" for value in self.values if value.form == "glob"])

        def test(subject: Subject) -> bool:
            if subject.record.query is None:
                return False
            query = subject.record.query.casefold()
            return any(text in query for text in texts) or matches(query)

        return test


@dataclass(frozen=True, slots=True)
class Text:
    """`"free text"`: found in the old or new row, the DDL, the context, the statement or the table's name.

    Ignores case. Rows, DDL and context are searched as JSON text, including keys.
    """

    text: str
    cost: ClassVar[int] = _RAW_TEXT

    def __str__(self) -> str:
        is_plain = re.fullmatch(r"\w[\w.@]*", self.text) and self.text.lower() not in ("and", "or", "not")
        return self.text if is_plain else quote(self.text)

    def test(self) -> Test:
        text = self.text.casefold()
        in_json = json_text(text)

        def test(subject: Subject) -> bool:
            record = subject.record
            if text in qualified_name(record).casefold():
                return True
            if record.query is not None and text in record.query.casefold():
                return True
            return any(
                text in (folded := raw.casefold()) or in_json in folded
                for raw in (record.new_data, record.old_data, record.ddl, record.context)
                if raw is not None
            )

        return test


def json_text(text: str) -> str:
    """Text as escaped inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


@dataclass(frozen=True, slots=True)
class Regex:
    """`/regex/`: Python regular expression, searched in the same texts as `Text`. `/regex/i` ignores case.

    An expression that backtracks without end does so here, too.
    """

    pattern: str
    r"""Text between the slashes, where a slash is written as `\/`."""
    ignore_case: bool = False
    cost: ClassVar[int] = _RAW_TEXT

    def __str__(self) -> str:
        return f"/{self.pattern}/{'i' if self.ignore_case else ''}"

    def test(self) -> Test:
        search = re.compile(self.pattern, re.IGNORECASE if self.ignore_case else 0).search

        def test(subject: Subject) -> bool:
            record = subject.record
            texts = (qualified_name(record), record.query, record.new_data, record.old_data, record.ddl, record.context)
            return any(text is not None and search(text) is not None for text in texts)

        return test


def qualified_name(record: Record) -> str:
    """Table or object with its schema, in which free text is searched."""
    return table_names(record.table_schema, record.table_name, record.kind)[1]


# ── Conditions on the row ────────────────────────────────────────────────────────────────────────────────────────────


def _may_hold(raw: str | None, keys: Iterable[str]) -> bool:
    """Return False if the JSON text certainly contains none of these strings; much cheaper than parsing it.

    A backslash may escape any character, so a text with one is never certain.
    """
    return raw is not None and ("\\" in raw or all(key in raw for key in keys))


def _needles(operator: Operator, values: tuple[Value, ...]) -> list[str]:
    """Strings that a row must contain to satisfy the operator; none for numbers, which have several spellings."""
    return [value.text for value in values if operator == "=" and len(values) == 1 and value.form in ("text", "word")]


@dataclass(frozen=True, slots=True)
class Column:
    """`new.total>100`, `ctx.user:42`: a value of the old or new row, or of the context.

    Numbers are compared with numbers, as decimals; everything else (timestamps, too) as text, case-sensitively. The
    words null, true and false are those of JSON. A list matches if one of its elements does. `!=` requires the column
    to exist: it is not the complement of `=`, that is `-new.status:paid`.
    """

    side: Literal["new", "old", "ctx"]
    path: tuple[str, ...]
    """Column, then keys of objects or positions in lists. Empty for any column."""
    operator: Operator
    values: tuple[Value, ...]
    """Values of the condition; several only with `=` (one of them) and `!=` (none of them)."""
    cost: ClassVar[int] = _JSON

    def __str__(self) -> str:
        steps = (step if re.fullmatch(r"\w+", step) else quote(step) for step in self.path)
        return f"{'.'.join([self.side, *steps])}{sign(self.operator)}{joined(self.values)}"

    def test(self) -> Test:
        is_new, path = self.side == "new", self.path
        needles = [f'"{step}"' for step in path if not step.isdigit()] + _needles(self.operator, self.values)
        holds = value_test(self.operator, self.values)

        def test_context(subject: Subject) -> bool:
            context = subject.context()
            return context is not None and holds(reach(context, path) if path else list(context.values()))

        def test(subject: Subject) -> bool:
            if not _may_hold(subject.record.new_data if is_new else subject.record.old_data, needles):
                return False
            row = subject.object("new_data" if is_new else "old_data")
            if row is None:
                return False
            return holds(reach(row, path) if path else list(row.values()))

        return _unless_too_deep(test_context if self.side == "ctx" else test)


@dataclass(frozen=True, slots=True)
class Key:
    """`pk:42`: the key of the old or new row, compared as in `Column`.

    An event does not name the columns of the primary key: the column `id` is used, or else the row's first.
    """

    operator: Operator
    values: tuple[Value, ...]
    cost: ClassVar[int] = _JSON

    def __str__(self) -> str:
        return f"pk{sign(self.operator)}{joined(self.values)}"

    def test(self) -> Test:
        holds = value_test(self.operator, self.values)
        needles = _needles(self.operator, self.values)

        def test(subject: Subject) -> bool:
            record = subject.record
            if not (_may_hold(record.new_data, needles) or _may_hold(record.old_data, needles)):
                return False
            return holds([*_key(subject, "new_data"), *_key(subject, "old_data")])

        return _unless_too_deep(test)


_STARTS_WITH_ID = re.compile(r'\s*\{\s*"id"\s*:\s*')


def _key(subject: Subject, side: Literal["old_data", "new_data"]) -> list[Any]:
    """Key of the row, if any. Most rows begin with `id`; these are parsed no further."""
    raw = subject.record.new_data if side == "new_data" else subject.record.old_data
    if raw is None:
        return []
    if match := _STARTS_WITH_ID.match(raw):
        try:
            return [_json.raw_decode(raw, match.end())[0]]
        except _UNREADABLE:
            return []
    row = subject.object(side)
    if not row:
        return []
    return [row["id"] if "id" in row else next(iter(row.values()))]


_ROW_KINDS: Final = frozenset("IUD")


@dataclass(frozen=True, slots=True)
class Changed:
    """`col:status`: an UPDATE that changed one of these columns; an INSERT or a DELETE of a row that has one."""

    values: tuple[Value, ...]
    """Names of columns, ignoring case."""
    cost: ClassVar[int] = _JSON

    def __str__(self) -> str:
        return f"col:{joined(self.values)}"

    def test(self) -> Test:
        is_wanted = lru_cache(maxsize=1024)(name_test(self.values))
        has_pattern = any(value.form == "glob" for value in self.values)
        needles = [f'"{value.text.casefold()}"' for value in self.values]

        def may_have(raw: str | None) -> bool:
            if raw is None or has_pattern or "\\" in raw:
                return raw is not None
            folded = raw.casefold()
            return any(needle in folded for needle in needles)

        def test(subject: Subject) -> bool:
            record = subject.record
            if record.kind not in _ROW_KINDS or record.old_data == record.new_data:
                return False
            if not (may_have(record.new_data) or may_have(record.old_data)):
                return False
            old, new = subject.object("old_data"), subject.object("new_data")
            if old is None or new is None:
                return any(map(is_wanted, old or new or ()))
            return any(
                name not in old or name not in new or not same(old[name], new[name])
                for name in {**old, **new}
                if is_wanted(name)
            )

        return _unless_too_deep(test)


@dataclass(frozen=True, slots=True)
class Tag:
    """`tag:"ALTER TABLE"`: the command of a schema event, ignoring case."""

    values: tuple[Value, ...]
    cost: ClassVar[int] = _JSON

    def __str__(self) -> str:
        return f"tag:{joined(self.values)}"

    def test(self) -> Test:
        is_wanted = name_test(self.values)

        def test(subject: Subject) -> bool:
            if subject.record.kind != SCHEMA:
                return False
            tag = (subject.object("ddl") or {}).get("command_tag")
            return isinstance(tag, str) and is_wanted(tag)

        return test


@dataclass(frozen=True, slots=True)
class OfExtension:
    """`is:extension`: a schema event of an object of an extension, by CREATE, ALTER or DROP EXTENSION."""

    cost: ClassVar[int] = _JSON

    def __str__(self) -> str:
        return "is:extension"

    def test(self) -> Test:
        return lambda subject: (
            subject.record.kind == SCHEMA and (subject.object("ddl") or {}).get("in_extension") is True
        )


def _unless_too_deep(test: Test) -> Test:
    """Wrap a test so that it is False if values are nested too deeply to compare."""

    def guarded(subject: Subject) -> bool:
        try:
            return test(subject)
        except RecursionError:
            return False

    return guarded


# ── Conditions together ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class And:
    """Conjunction of conditions; without any, everything matches."""

    parts: tuple["Condition", ...] = ()

    @property
    def cost(self) -> int:
        return max((part.cost for part in self.parts), default=_FIELDS_ONLY)

    def __str__(self) -> str:
        return " ".join(f"({part})" if isinstance(part, And | Or) else str(part) for part in self.parts)

    def test(self) -> Test:
        tests = _cheapest_first(self.parts)

        def test(subject: Subject) -> bool:
            for holds in tests:  # once per event; a generator would double what it costs
                if not holds(subject):
                    return False
            return True

        return tests[0] if len(tests) == 1 else test


@dataclass(frozen=True, slots=True)
class Or:
    """Disjunction of conditions."""

    parts: tuple["Condition", ...]

    @property
    def cost(self) -> int:
        return max((part.cost for part in self.parts), default=_FIELDS_ONLY)

    def __str__(self) -> str:
        return " or ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)

    def test(self) -> Test:
        tests = _cheapest_first(self.parts)

        def test(subject: Subject) -> bool:
            for holds in tests:
                if holds(subject):
                    return True
            return False

        return test


@dataclass(frozen=True, slots=True)
class Not:
    """Complement of a condition, also where that is undecided."""

    part: "Condition"

    @property
    def cost(self) -> int:
        return self.part.cost

    def __str__(self) -> str:
        return f"-({self.part})" if isinstance(self.part, And | Or) else f"-{self.part}"

    def test(self) -> Test:
        holds = self.part.test()
        return lambda subject: not holds(subject)


def _cheapest_first(parts: Iterable["Condition"]) -> list[Test]:
    return [part.test() for part in sorted(parts, key=lambda part: part.cost)]


Condition = (
    And | Or | Not | Kinds | Numbers | Names | Time | Query | Text | Regex | Column | Key | Changed | Tag | OfExtension
)
