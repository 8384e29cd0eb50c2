"""Parser of the filter language of `--where`, the console and replay.

    table:orders|stock op:U,D new.total>100 since:5m -user:etl "free text" /regex/

A space means *and*; there are *or*, *not* (or a leading `-`) and parentheses. `FIELDS` lists the fields. Alternatives are
separated by `,` or `|`; `*` and `?` are patterns; text in quotes is literal. The conditions of a filter are in
`pg_events.filter.conditions`.
"""

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from typing import Final, NoReturn, TypeVar, cast

from pg_events.errors import FilterError, UsageError
from pg_events.event import METHODS, Record
from pg_events.filter.conditions import (
    KINDS,
    And,
    Changed,
    Column,
    Condition,
    Key,
    Kinds,
    Names,
    Not,
    Numbers,
    OfExtension,
    Or,
    Query,
    Regex,
    Subject,
    Tag,
    Test,
    Text,
    Time,
)
from pg_events.filter.times import counted_from, span, time_range
from pg_events.filter.values import Operator, Value, quote

__all__ = ["FIELDS", "Field", "Filter", "chosen", "edge", "parse"]


@dataclass(frozen=True)
class Filter:
    """Parsed filter; equal filters compare equal. `str()` returns a text that parses to an equal one."""

    condition: Condition
    _test: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_test", self.condition.test())

    def matches(self, record: Record) -> bool:
        """Return True if the event matches. Never raises: conditions on columns of an unreadable row are false."""
        return self._test(Subject(record))

    def __str__(self) -> str:
        return str(self.condition)


def parse(text: str, *, now: datetime | None = None) -> Filter:
    """Parse a filter; an empty one matches every event.

    `now` is the reference of `since:5m` and of times without a date (for a saved log, its end); None is the current time.
    Raises `FilterError` with the position.
    """
    return Filter(_Parser(text, (now or datetime.now(UTC)).astimezone()).filter())


def edge(field: str, text: str, remedy: str = "", *, now: datetime | None = None) -> Filter:
    """Condition `since` or `until` from the option of that name. Raises `UsageError` that names the option."""
    try:
        return parse(f"{field}:{quote(text)}", now=now)
    except FilterError as error:
        raise UsageError(f"--{field}: {error.message}{remedy}") from error


def chosen(
    where: str = "",
    since: str | None = None,
    until: str | None = None,
    *,
    now: Callable[[], datetime | None] | None = None,
) -> Filter:
    """Filter of the options `--where`, `--since` and `--until` together. Raises `UsageError`.

    `now` returns the reference of `5m` and `14:00`, and is called only if needed; see `counted_from`.
    """
    return counted_from(now, lambda moment: _chosen(where, since, until, moment))


def _chosen(where: str, since: str | None, until: str | None, now: datetime) -> Filter:
    parts = [parse(where, now=now).condition]
    if since not in (None, "oldest"):
        parts.append(edge("since", since, "; or oldest", now=now).condition)
    if until is not None:
        parts.append(edge("until", until, now=now).condition)
    return Filter(_joined(And, [part for part in parts if part != And()]))


# ── The fields ───────────────────────────────────────────────────────────────────────────────────────────────────────

_IS: Final = (":", "=", "!=")
_ORDERED: Final = (*_IS, ">", ">=", "<", "<=")


@dataclass(frozen=True, slots=True)
class Field:
    """Field of the language, for the help and for completion."""

    name: str
    meaning: str
    example: str
    """Example of a complete filter."""
    operators: tuple[str, ...] = _IS
    aliases: tuple[str, ...] = ()


FIELDS: Final = (
    Field("table", "the table, with or without its schema; of a schema event the object", "table:orders|shop.stock"),
    Field(
        "op",
        "I, U, D, T for data, S for schema, E for event; or insert, update, delete, truncate, ddl, event",
        "op:U,D",
    ),
    Field("is", "ddl, data, event (the application's own), or extension: the objects of one", "-is:extension"),
    Field("event", "an event of the application, by its name", "event:order.*"),
    Field("col", "an UPDATE that changed the column; an INSERT or DELETE of a row that has it", "col:status"),
    Field("new", "a column of the row after, or a path into it; without a column, any", "new.total>100", _ORDERED),
    Field("old", "a column of the row before", "old.address.city:Berlin", _ORDERED),
    Field("pk", "the row's key: its column id, or else its first column", "pk:42", _ORDERED),
    Field("id", "the event's number", "id:1200..1300", _ORDERED),
    Field("xid", "the transaction's number", "tx:99120", _ORDERED, aliases=("tx",)),
    Field(
        "ctx",
        "a key of the context, or a path into it, or a tag of the statement's sqlcommenter comment",
        "ctx.user:42",
        _ORDERED,
    ),
    Field("user", "the database user", "-user:etl"),
    Field("app", "the application's name", "app:checkout*"),
    Field("since", "from that moment on: ago (s m h d w), a time of day, or a date and time", "since:5m", (":", "=")),
    Field("until", "before that moment", "until:2026-08-22T14:00", (":", "=")),
    Field("at", "in that second, minute or day, or from one through the other", "at:14:01..14:03", _ORDERED),
    Field("tag", "the command of a schema event", 'tag:"ALTER TABLE"'),
    Field("query", "the client's statement contains it", 'query:"insert into"'),
)
"""All fields of the language.

Besides them there are `"free text"` (ignoring case) and `/regex/`, which search the rows, the DDL, the context, the
statement and the table's name.
"""

_WITH_PATH: Final = ("new", "old", "ctx")

_FIELD_OF: Final = {name: known for known in FIELDS for name in (known.name, *known.aliases)}


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

MAX_DEPTH: Final = 50
"""Maximum depth of parentheses; more would be an attack on the stack."""

# The start of a condition on a field: its name, for new, old and ctx a path, and the operator.
_FIELD = re.compile(r"""([^\W\d]\w*)((?:\.(?:"(?:[^"\\]|\\.)*"|[^\s.:=<>!"'()|,]+))*)(!=|>=|<=|[:=<>])""", re.DOTALL)
_STEP = re.compile(r"""\.("(?:[^"\\]|\\.)*"|[^\s.:=<>!"'()|,]+)""", re.DOTALL)
_WORD = re.compile(r"""[^\s()"]+""")
_BARE_VALUE = re.compile(r"""[^\s()"|,]+""")
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/(i?)", re.DOTALL)
_QUOTED = re.compile(r"""(["'])(?:(?!\1)[^\\]|\\.)*\1""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class _Operand:
    """Alternative as it was written."""

    text: str
    quoted: bool
    position: int


_T = TypeVar("_T")


class _Parser:
    """Recursive descent parser: `either` of `every` of `negatable`. Every method starts at `position` and advances it."""

    def __init__(self, text: str, now: datetime) -> None:
        self.text = text
        self.now = now
        self.position = 0
        self.depth = 0

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        raise FilterError(message, self.text, self.position if position is None else position)

    def filter(self) -> Condition:
        self.skip_space()
        if self.position == len(self.text):
            return And()
        condition = self.either()
        if self.position < len(self.text):
            self.fail("this parenthesis was never opened")
        return condition

    def either(self) -> Condition:
        parts = [self.every()]
        while self.take_word("or"):
            parts.append(self.every())
        return _joined(Or, parts)

    def every(self) -> Condition:
        parts = [self.negatable()]
        while self.take_word("and") or not (self.at_end() or self.sees_word("or")):
            parts.append(self.negatable())
        return _joined(And, parts)

    def negatable(self) -> Condition:
        negated = False
        while (minus := self.sees("-")) or self.sees_word("not"):
            negated = not negated
            self.position += 1 if minus else 3
            if not minus:
                self.skip_space()
        condition = self.single()
        self.skip_space()
        return _negated(condition) if negated else condition

    def single(self) -> Condition:
        if self.at_end() or self.text[self.position].isspace() or self.sees_word("or") or self.sees_word("and"):
            self.fail("a condition is missing here")
        if self.sees("("):
            return self.group()
        start = self.position
        if self.sees("/"):
            condition = self.regex()
        elif match := _FIELD.match(self.text, start):
            condition = self.field(match)
        elif self.sees('"') or self.sees("'"):
            condition = Text(self.quoted() or self.fail("nothing to look for", start))
        else:
            condition = self.word()
        if not (self.at_end() or self.sees("(") or self.text[self.position].isspace()):
            self.fail("a space is missing here; free text with such signs goes in quotes")
        return condition

    def group(self) -> Condition:
        opened = self.position
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"parentheses are nested deeper than {MAX_DEPTH}")
        self.position += 1
        self.skip_space()
        condition = self.either()
        if not self.sees(")"):
            self.fail("this parenthesis is never closed", opened)
        self.position += 1
        self.depth -= 1
        return condition

    # ── One condition ──

    def word(self) -> Text:
        match = _WORD.match(self.text, self.position)
        if match is None or match[0][0] in ":=<>!|,":
            self.fail("a field's name is missing before this; free text with such signs goes in quotes")
        self.position = match.end()
        return Text(match[0])

    def regex(self) -> Regex:
        start = self.position
        match = _REGEX.match(self.text, start)
        if match is None:
            self.fail("this regular expression is never closed; a slash inside is written \\/")
        if not match[1]:
            self.fail("nothing to look for")
        condition = Regex(match[1], ignore_case=bool(match[2]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # for expressions whose meaning may change in a future release
                condition.test()
        except re.error as error:
            self.fail(f"invalid regular expression: {error.msg}", start + 1 + (error.pos or 0))
        except (OverflowError, RecursionError, ValueError) as error:
            self.fail(f"invalid regular expression: {error}")
        self.position = match.end()
        return condition

    def field(self, match: re.Match[str]) -> Condition:
        name, path, sign = match[1].lower(), match[2], match[3]
        known = _FIELD_OF.get(name)
        if known is None or (path and known.name not in _WITH_PATH):
            fields, column = ", ".join(_FIELD_OF), path or f".{match[1]}"
            self.fail(f"there is no field {match[1]}{path}; there are {fields}; a column is new{column} or old{column}")
        if sign not in known.operators:
            self.fail(f"{name} goes with {' '.join(known.operators)}", match.start(3))
        steps = self.steps(match.start(2), match.end(2))
        self.position = match.end()
        operands = self.operands()
        if sign not in _IS and len(operands) > 1:
            self.fail(f"{sign} takes one value", operands[1].position)
        return self.condition(known.name, steps, cast("Operator", "=" if sign == ":" else sign), operands)

    def condition(self, name: str, path: tuple[str, ...], operator: Operator, operands: list[_Operand]) -> Condition:
        match name:
            case "new" | "old" | "ctx":
                return Column(name, path, operator, self.values(operator, operands))
            case "pk":
                return Key(operator, self.values(operator, operands))
            case "id" | "xid":
                ranges = self.each(operands, lambda operand: _range(operand.text, operator))
                condition = Numbers(name, ranges)
            case "since" | "until" | "at":
                condition = _joined(Or, self.each(operands, lambda operand: self.time(name, operator, operand.text)))
            case "op" | "is":
                letters = "".join(self.each(operands, _OPERATIONS[name]))
                kinds = "".join(kind for kind in KINDS if kind in letters)
                parts: list[Condition] = [Kinds(kinds)] if kinds else []
                if _EXTENSION in letters:
                    parts.append(OfExtension())
                condition = _joined(Or, parts)
            case "table" | "event" | "user" | "app":
                condition = Names(name, self.each(operands, _name))
            case "col":
                condition = Changed(self.each(operands, _name))
            case "tag":
                condition = Tag(self.each(operands, _name))
            case _:
                condition = Query(self.each(operands, _name))
        return _negated(condition) if operator == "!=" else condition

    def values(self, operator: Operator, operands: list[_Operand]) -> tuple[Value, ...]:
        def value(operand: _Operand) -> Value:
            found = Value.of(operand.text, quoted=operand.quoted)
            if operator not in ("=", "!=") and found.form in ("glob", "word", "range"):
                raise ValueError(f"{operator} takes a number or a text, not {operand.text}; in quotes it is a text")
            for number in found.limits if found.form == "range" else (found,):
                _check_size(number)
            return found

        return self.each(operands, value)

    def each(self, operands: list[_Operand], read: Callable[[_Operand], _T]) -> tuple[_T, ...]:
        """Parse every operand; an invalid one is an error at its position."""
        results: list[_T] = []
        for operand in operands:
            try:
                results.append(read(operand))
            except ValueError as error:
                self.fail(str(error), operand.position)
        return tuple(results)

    def time(self, name: str, operator: Operator, text: str) -> Condition:
        if name != "at":
            start = span(text, self.now, latest_passed=name == "since")[0]
            return Time("since" if name == "since" else "until", start)
        match operator:
            case ">":
                return Time("since", span(text, self.now, latest_passed=True)[1])
            case ">=":
                return Time("since", span(text, self.now, latest_passed=True)[0])
            case "<":
                return Time("until", span(text, self.now)[0])
            case "<=":
                return Time("until", span(text, self.now)[1])
            case _:
                start, end = time_range(text, self.now)
                edges = Time("since", start) if start else None, Time("until", end) if end else None
                return _joined(And, [edge for edge in edges if edge])

    # ── Signs, words and quotes ──

    def steps(self, start: int, end: int) -> tuple[str, ...]:
        steps: list[str] = []
        while start < end and (match := _STEP.match(self.text, start, end)):
            self.position = match.start(1)
            if self.sees('"'):
                steps.append(self.quoted())
            elif "*" in match[1] or "?" in match[1]:
                self.fail("a column's name must not be a pattern; in quotes it may hold any character")
            else:
                steps.append(match[1])
            start = match.end()
        return tuple(steps)

    def operands(self) -> list[_Operand]:
        operands = [self.operand()]
        while self.sees("|") or self.sees(","):
            self.position += 1
            operands.append(self.operand())
        return operands

    def operand(self) -> _Operand:
        start = self.position
        if self.sees('"') or self.sees("'"):
            return _Operand(self.quoted(), quoted=True, position=start)
        match = _BARE_VALUE.match(self.text, start)
        if match is None:
            self.fail('a value is missing here; an empty one is written ""')
        self.position = match.end()
        return _Operand(match[0], quoted=False, position=start)

    def quoted(self) -> str:
        match = _QUOTED.match(self.text, self.position)
        if match is None:
            self.fail("this quote is never closed")
        for escape in _ESCAPE.finditer(self.text, self.position + 1, match.end() - 1):
            if escape[1] not in _ESCAPED:
                self.fail("a backslash in quotes is written \\\\", escape.start())
        self.position = match.end()
        return _ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], match[0][1:-1])

    def skip_space(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def at_end(self) -> bool:
        return self.position == len(self.text) or self.text[self.position] == ")"

    def sees(self, sign: str) -> bool:
        return self.text.startswith(sign, self.position)

    def sees_word(self, word: str) -> bool:
        end = self.position + len(word)
        after = self.text[end : end + 1]
        return self.text[self.position : end].lower() == word and (not after or after.isspace() or after in "()")

    def take_word(self, word: str) -> bool:
        if not self.sees_word(word):
            return False
        self.position += len(word)
        self.skip_space()
        return True


def _joined(kind: type[And] | type[Or], parts: Iterable[Condition]) -> Condition:
    """Join the parts into one condition: a single one unchanged, those of equal kind flattened."""
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else [part])
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def _negated(condition: Condition) -> Condition:
    return condition.part if isinstance(condition, Not) else Not(condition)


# ── Values of the fields; each raises `ValueError` with what is wrong ────────────────────────────────────────────────


def _name(operand: _Operand) -> Value:
    return Value.name(operand.text, quoted=operand.quoted)


def _operation(operand: _Operand) -> str:
    words = {word.upper(): letter for letter, word in METHODS.items()} | {"DDL": "S", "SCHEMA": "S", "EVENT": "E"}
    word = operand.text.upper()
    if word not in words and word not in words.values():
        raise ValueError(f"op is one of {', '.join(KINDS)}, {', '.join(words).lower()}; not {operand.text}")
    return words.get(word, word)


def _is(operand: _Operand) -> str:
    letters = {"ddl": "S", "data": "IUDT", "event": "E", "extension": _EXTENSION}.get(operand.text.lower())
    if letters is None:
        raise ValueError(f"is goes with ddl, data, event or extension, not with {operand.text}")
    return letters


_EXTENSION: Final = "x"
"""Letter for `is:extension` among those of kinds."""


_OPERATIONS: Final = {"op": _operation, "is": _is}

_INTEGER = re.compile(r"\d{1,19}", re.ASCII)
_BIGGEST: Final = 2**63 - 1


def _range(text: str, operator: Operator) -> tuple[int | None, int | None]:
    match operator:
        case ">":
            return _integer(text, below=_BIGGEST) + 1, None
        case ">=":
            return _integer(text), None
        case "<":
            return None, _integer(text, above=0) - 1
        case "<=":
            return None, _integer(text)
        case _:
            low, dots, high = text.partition("..")
    if not dots or text == "..":
        return _integer(text), _integer(text)
    limits = _integer(low) if low else None, _integer(high) if high else None
    if limits[0] is not None and limits[1] is not None and limits[0] > limits[1]:
        raise ValueError(f"{text} is empty: the smaller number goes first")
    return limits


def _integer(text: str, *, above: int = -1, below: int = _BIGGEST + 1) -> int:
    if not _INTEGER.fullmatch(text) or not above < int(text) < below:
        raise ValueError(f"{text} is not a valid id of an event or a transaction")
    return int(text)


def _check_size(value: Value) -> None:
    try:
        _ = Decimal(value.text) if value.form == "number" else None
    except DecimalException:
        raise ValueError(f"{value.text} is too large a number") from None
