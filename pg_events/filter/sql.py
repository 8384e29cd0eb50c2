"""Translates a filter's conditions to SQL over `pgevents.event`, so that the server sends fewer events.

Some conditions differ between PostgreSQL and Python: case, digits, broken JSON. So a condition becomes two *bounds*: one
that is true wherever the condition is true, and one that is true only there. The negation of one bound is the other bound
of the negation. A query returns slightly too much, never too little; `Filter.matches` decides. Only ASCII is compared in
SQL: a text with other characters passes, and is tested in Python.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, LiteralString, NamedTuple

from psycopg.sql import SQL, Composable, Composed, Literal

from pg_events.event import APPLICATION, MAX_PACKED, METHODS, SCHEMA
from pg_events.filter.conditions import (
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
    Tag,
    Text,
    Time,
    json_text,
)
from pg_events.filter.values import Operator, Value

Part = SQL | Composed
"""Fragment of SQL."""

ALL: Final[Part] = SQL("true")
NONE: Final[Part] = SQL("false")


class Bounds(NamedTuple):
    """Bounds of a condition: two conditions in SQL on the row `e` of `pgevents.event`."""

    most: Part
    """Condition that is true wherever the filter's condition is true."""
    least: Part
    """Condition that is true only where the filter's condition is true."""


_UNKNOWN: Final = Bounds(ALL, NONE)


def where(condition: Condition) -> Part:
    """Condition on the row `e` of `pgevents.event` that all matching events satisfy."""
    return bounds(condition).most


def where_indexed(condition: Condition) -> Part:
    """Condition on ids, transactions and times alone, for a packed row `e` of the log.

    It can be evaluated without reading the data of the events.

    """
    return _bounds(condition, _OF_ROWS).most


def where_rows(condition: Condition) -> Part:
    """Condition for a packed row `e` of the log, to skip rows without unpacking them."""
    return _bounds(condition, _OF_PACKED).most


def bounds(condition: Condition) -> Bounds:
    """Bounds of a condition."""
    return _bounds(condition, _TRANSLATIONS)


_Translations = Mapping[type, Callable[..., Bounds]]


def _bounds(condition: Condition, translations: _Translations) -> Bounds:
    """Bounds of a condition; a condition without a translation is left open."""
    if isinstance(condition, And | Or):
        parts = [_bounds(part, translations) for part in condition.parts]
        join = _all if isinstance(condition, And) else _any
        return Bounds(join(part.most for part in parts), join(part.least for part in parts))
    if isinstance(condition, Not):
        inner = _bounds(condition.part, translations)
        return Bounds(_not(inner.least), _not(inner.most))
    translate = translations.get(type(condition))
    return translate(condition) if translate else _UNKNOWN


# ── SQL in pieces ────────────────────────────────────────────────────────────────────────────────────────────────────


def _all(parts: Iterable[Part]) -> Part:
    kept = [part for part in parts if part != ALL]
    return NONE if NONE in kept else _joined(" and ", kept) if kept else ALL


def _any(parts: Iterable[Part]) -> Part:
    kept = [part for part in parts if part != NONE]
    return ALL if ALL in kept else _joined(" or ", kept) if kept else NONE


def _joined(sign: LiteralString, parts: list[Part]) -> Part:
    return parts[0] if len(parts) == 1 else SQL("({})").format(SQL(sign).join(parts))


def _not(part: Part) -> Part:
    if part in (ALL, NONE):
        return NONE if part == ALL else ALL
    return SQL("not coalesce({}, false)").format(part)  # null counts as false


def _sql(template: LiteralString, /, **parts: object) -> Part:
    """Compose SQL from a text with `{name}`; a part that is not SQL becomes a value."""
    return SQL(template).format(**{name: p if isinstance(p, Composable) else Literal(p) for name, p in parts.items()})


def _exact(part: Part) -> Bounds:
    return Bounds(part, part)


_ASCII = re.compile(r"[\x01-\x7f]*")


def _is_ascii(text: str) -> bool:
    return _ASCII.fullmatch(text) is not None


def _is_foreign(text: Part) -> Part:
    """Condition that a text has a character that SQL and Python might treat differently.

    In multi-byte encodings the lengths show it, for a tenth of the cost of the pattern.
    """
    return _sql(
        "case when (select pg_encoding_max_length(pg_char_to_encoding(getdatabaseencoding())) > 1)"
        ' then octet_length({text}) <> length({text}) else ({text} collate "C") ~ {pattern} end',
        text=text,
        pattern=r"[^\u0001-\u007f]",
    )


def _folded(text: Part) -> Part:
    return _sql('lower({text} collate "C")', text=text)


def _pattern(glob: str) -> str:
    """LIKE pattern of a glob."""
    escaped = re.sub(r"([\\%_])", r"\\\1", glob)
    return escaped.replace("*", "%").replace("?", "_")


def _one_of(text: Part, values: Iterable[Value], *, fold: bool) -> Bounds:
    """Condition that a text is one of the values, which may include patterns."""
    readable = [
        Value(folded, value.form)
        for value in values
        if _is_ascii(folded := value.text.casefold() if fold else value.text)
    ]
    compared = _folded(text) if fold else _sql('({text} collate "C")', text=text)
    texts = [value.text for value in readable if value.form != "glob"]
    patterns = [_pattern(value.text) for value in readable if value.form == "glob"]
    equal = _sql("{text} = any({texts}::text[])", text=compared, texts=texts) if texts else NONE
    like = _sql("{text} like any({patterns}::text[])", text=compared, patterns=patterns) if patterns else NONE
    foreign = _is_foreign(text)
    # A text that equals one of ASCII is ASCII itself; a pattern takes others, too.
    return Bounds(_any([equal, like, foreign]), _any([equal, _all([like, _not(foreign)])]))


def _contains(text: Part, needles: Iterable[str]) -> Part:
    """Upper bound for a text that contains one of these case-folded strings."""
    found = [
        _sql("strpos({text}, {needle}) > 0", text=_folded(text), needle=needle)
        for needle in needles
        if _is_ascii(needle)
    ]
    return _any([*found, _is_foreign(text)])


# ── Conditions on the envelope ───────────────────────────────────────────────────────────────────────────────────────


def _kinds(condition: Kinds) -> Bounds:
    return _exact(_sql('e.kind = any({kinds}::"char"[])', kinds=list(condition.kinds)))


def _numbers(condition: Numbers) -> Bounds:
    return _exact(_within(condition.field, condition.ranges))


def _numbers_of_rows(condition: Numbers) -> Bounds:
    """Bounds for a packed row, whose events have consecutive ids from its own."""
    if condition.field != "id":
        return _numbers(condition)
    further = MAX_PACKED - 1
    some = [(None if low is None else low - further, high) for low, high in condition.ranges]
    all_ = [(low, None if high is None else high - further) for low, high in condition.ranges]
    return Bounds(_within("id", some), _within("id", all_))


def _within(field: str, ranges: Iterable[tuple[int | None, int | None]]) -> Part:
    column = SQL("e.id") if field == "id" else SQL("e.xid")
    kind = SQL("bigint") if field == "id" else SQL("xid8")
    found: list[Part] = []
    for low, high in ranges:
        limits = [
            _sql("{column} {sign} {limit}::{kind}", column=column, sign=sign, limit=str(limit), kind=kind)
            for sign, limit in ((SQL(">="), low), (SQL("<="), high))
            if limit is not None
        ]
        found.append(_all(limits))
    return _any(found)


def _names(condition: Names) -> Bounds:
    is_application = _sql('e.kind = {kind}::"char"', kind=APPLICATION)
    if condition.field == "event":
        found = _one_of(SQL("coalesce(e.table_name, '')"), condition.values, fold=True)
        return Bounds(_all([is_application, found.most]), _all([is_application, found.least]))
    if condition.field != "table":
        column = SQL("e.session_user_name") if condition.field == "user" else SQL("e.application_name")
        return _one_of(_sql("coalesce({column}, '')", column=column), condition.values, fold=True)
    name, schema = SQL("coalesce(e.table_name, '')"), SQL("coalesce(e.table_schema || '.', '')")
    alone = _one_of(name, condition.values, fold=True)
    # A name with its schema has a dot, so it cannot equal a value without one: most rows need one comparison.
    dotted = [value for value in condition.values if value.form == "glob" or "." in value.text]
    whole = _one_of(_sql("({schema} || {name})", schema=schema, name=name), dotted, fold=True)
    if not dotted:
        whole = Bounds(NONE, NONE)
    # The identity of a schema event's object has several spellings; such events are few.
    is_schema = _sql('e.kind = {kind}::"char"', kind=SCHEMA)
    most = _any([is_schema, _all([_not(is_application), _any([alone.most, whole.most])])])
    return Bounds(most, _all([_not(_any([is_schema, is_application])), _any([alone.least, whole.least])]))


def _time(condition: Time) -> Bounds:
    sign = SQL(">=") if condition.edge == "since" else SQL("<")
    return _exact(_sql("e.at {sign} {at}::timestamptz", sign=sign, at=condition.at.isoformat()))


# ── Conditions on text ───────────────────────────────────────────────────────────────────────────────────────────────


def _query(condition: Query) -> Bounds:
    if any(value.form == "glob" for value in condition.values):
        return Bounds(SQL("coalesce(e.query, e.statement_id::text) is not null"), NONE)
    return Bounds(_query_holds(value.text.casefold() for value in condition.values), NONE)


def _text(condition: Text) -> Bounds:
    return _text_in(condition, _NEW, _OLD)


def _text_of_packed(condition: Text) -> Bounds:
    """Bounds for a packed row, whose texts are concatenated unchanged."""
    return _text_in(
        condition, SQL("coalesce(e.new_rows, e.new_data::text)"), SQL("coalesce(e.old_rows, e.old_data::text)")
    )


def _text_in(condition: Text, new: Part, old: Part) -> Bounds:
    folded = condition.text.casefold()
    # A schema event's identity is searched without its quotes.
    name = SQL("coalesce(e.table_schema || '.', '') || coalesce(e.table_name, '')")
    is_schema = _sql('e.kind = {kind}::"char"', kind=SCHEMA)
    places = [_contains(place, [folded, json_text(folded)]) for place in (new, old, SQL("e.context"))]
    return Bounds(
        _any([is_schema, _contains(_sql("({name})", name=name), [folded]), *places, _query_holds([folded])]), NONE
    )


def _query_holds(needles: Iterable[str]) -> Part:
    """Condition on the statement text; one shared by several events is looked up once."""
    needles = [*needles]
    return _sql(
        "case when e.statement_id is null then {own}"
        " else (select {shared} from pgevents.statement s where s.id = e.statement_id) end",
        own=_contains(SQL("e.query"), needles),
        shared=_contains(SQL("s.query"), needles),
    )


# ── Conditions on the row ────────────────────────────────────────────────────────────────────────────────────────────

_NEW: Final = SQL("e.new_data::text")
_OLD: Final = SQL("e.old_data::text")


def _unescaped(row: Part, condition: Part) -> Part:
    """Apply the condition only to rows whose JSON PostgreSQL can parse: it cannot convert some escapes to text."""
    return _sql(
        "case when strpos({row}::text, {escape}) > 0 then true else {condition} end",
        row=row,
        escape=r"\u",
        condition=condition,
    )


def _context(condition: Column) -> Bounds:
    """Bounds for a value of the context, which is not necessarily JSON, or of the statement's comment."""
    held = [_contains(SQL("e.context"), [f'"{step}"'.casefold()]) for step in condition.path if not step.isdigit()]
    if condition.operator == "=" and len(condition.values) == 1:
        value = condition.values[0]
        if value.form in ("text", "word"):
            held.append(_contains(SQL("e.context"), [value.text.casefold()]))
        elif re.fullmatch(r"\d+", value.text, re.ASCII):
            # Only an exponent can spell an integer without its digits.
            digits = _contains(SQL("e.context"), [value.text])
            held.append(_any([digits, _sql("e.context ~ {exponent}", exponent="[0-9][eE]")]))
    escaped = _sql("strpos(e.context, {escape}) > 0", escape="\\")
    in_context = _all([SQL("e.context is not null"), _any([escaped, _all(held)])])
    return Bounds(_any([in_context, _query_holds(["*/"])]), NONE)


def _column(condition: Column) -> Bounds:
    if condition.side == "ctx":
        return _context(condition)
    if len(condition.path) != 1 or not _is_ascii(condition.path[0]):
        return _UNKNOWN
    row = SQL("e.new_data") if condition.side == "new" else SQL("e.old_data")
    value = _sql("{row} -> {column}", row=row, column=condition.path[0])
    found = _of_value(value, condition.operator, condition.values)
    return Bounds(_all([_sql("{row} is not null", row=row), _unescaped(row, found)]), NONE)


def _column_of_packed(condition: Column) -> Bounds:
    """Bounds for a packed row, whose events share their context."""
    return _context(condition) if condition.side == "ctx" else _UNKNOWN


def _key(condition: Key) -> Bounds:
    if condition.operator == "!=":
        return _UNKNOWN
    sides: list[Part] = []
    for row in (SQL("e.new_data"), SQL("e.old_data")):
        first = _sql("(select f.value from json_each({row}) f limit 1)", row=row)
        value = _sql("coalesce({row} -> 'id', {first})", row=row, first=first)
        found = _of_value(value, condition.operator, condition.values)
        sides.append(_all([_sql("{row} is not null", row=row), _unescaped(row, found)]))
    return Bounds(_any(sides), NONE)


def _changed(condition: Changed) -> Bounds:
    """Bounds for a changed column: its name is in the row, and the row has changed."""
    rows = _all(
        [
            _sql('e.kind = any({kinds}::"char"[])', kinds=[letter for letter in METHODS if letter != "T"]),
            SQL("e.old_data::text is distinct from e.new_data::text"),
        ]
    )
    if any(value.form == "glob" for value in condition.values):
        return Bounds(rows, NONE)
    row = SQL("coalesce(e.new_data::text, e.old_data::text)")
    names = _contains(row, [f'"{value.text.casefold()}"' for value in condition.values])
    old = _contains(_OLD, [f'"{value.text.casefold()}"' for value in condition.values])
    escaped = _sql("strpos(concat(e.new_data::text, e.old_data::text), {escape}) > 0", escape="\\")
    return Bounds(_all([rows, _any([names, old, escaped])]), NONE)


def _tag(_: Tag | OfExtension) -> Bounds:
    return Bounds(_sql('e.kind = {kind}::"char"', kind=SCHEMA), NONE)


# ── A value out of JSON ──────────────────────────────────────────────────────────────────────────────────────────────

_SIGNS: Final[dict[Operator, Part]] = {sign: SQL(sign) for sign in (">", ">=", "<", "<=")}
_DIGITS: Final = 60
"""Maximum digits of numbers compared in SQL; longer ones are left to Python."""


def _of_value(value: Part, operator: Operator, values: tuple[Value, ...]) -> Part:
    """Condition as of `_value` for an expensive value; OFFSET 0 makes PostgreSQL compute it once."""
    found = _value(SQL("v.value"), operator, values)
    return _sql("(select {found} from (select {value} as value offset 0) v)", found=found, value=value)


def _value(value: Part, operator: Operator, values: tuple[Value, ...]) -> Part:
    """Upper bound for a value that satisfies the operator. Lists always pass, because of their elements."""
    text, number = _sql("({value} #>> '{{}}')", value=value), _sql("{value}::text", value=value)
    if operator in ("=", "!="):
        strings = _string_in(text, values)
        numbers = _number_in(number, values)
        words = _exact(_word_in(text, values))
    else:
        strings = Bounds(_string_ordered(text, operator, values[0]), NONE)
        numbers = Bounds(_number_ordered(number, operator, values[0]), NONE)
        words = _exact(NONE)
    if operator == "!=":
        strings, numbers, words = (Bounds(_not(one.least), NONE) for one in (strings, numbers, words))
    return _sql(
        "case json_typeof({value}) when 'string' then {strings} when 'number' then {numbers}"
        " when 'array' then true when 'object' then {objects} when 'boolean' then {words} when 'null' then {words}"
        " else false end",
        value=value,
        strings=strings.most,
        numbers=numbers.most,
        words=words.most,
        objects=ALL if operator == "!=" else NONE,
    )


def _string_in(text: Part, values: tuple[Value, ...]) -> Bounds:
    plain = _one_of(text, [value for value in values if value.form in ("text", "number", "glob")], fold=False)
    ranges = [_string_within(text, value) for value in values if value.form == "range"]
    return Bounds(_any([plain.most, *ranges]), plain.least)


def _string_within(text: Part, value: Value) -> Part:
    low, high = value.limits
    return _all([_string_ordered(text, ">=", low), _string_ordered(text, "<=", high)])


def _string_ordered(text: Part, operator: Operator, value: Value) -> Part:
    if not _is_ascii(value.text):
        return ALL
    compared = _sql('({text} collate "C") {sign} {value}', text=text, sign=_SIGNS[operator], value=value.text)
    return _any([compared, _is_foreign(text)])


def _number_in(number: Part, values: tuple[Value, ...]) -> Bounds:
    least: list[Part] = []
    most: list[Part] = []
    for value in values:
        if value.form == "number":
            equal = _number_compared(number, SQL("="), value)
            least.append(_all([_is_plain(number), equal]) if equal != ALL else NONE)
            most.append(equal)
        elif value.form == "range":
            low, high = value.limits
            most.append(_all([_number_ordered(number, ">=", low), _number_ordered(number, "<=", high)]))
        elif value.form == "glob":
            most.append(ALL)  # of a number as written by Python
    return Bounds(_any(most), _any(least))


def _number_ordered(number: Part, operator: Operator, value: Value) -> Part:
    return _number_compared(number, _SIGNS[operator], value) if value.form == "number" else NONE


def _is_plain(number: Part) -> Part:
    return _sql("length({number}) <= {digits} and {number} !~ '[eE]'", number=number, digits=_DIGITS)


def _number_compared(number: Part, sign: Part, value: Value) -> Part:
    """Upper bound of a numeric comparison; numbers with an exponent and very long ones always pass."""
    if len(value.text) > _DIGITS or "e" in value.text.lower():
        return ALL
    return _sql(
        "case when {plain} then {number}::numeric {sign} {value}::numeric else true end",
        plain=_is_plain(number),
        number=number,
        sign=sign,
        value=str(Decimal(value.text)),
    )


def _word_in(text: Part, values: tuple[Value, ...]) -> Part:
    """Condition on null, true and false; a pattern matches true and false as text."""
    words = [value.text for value in values if value.form == "word"]
    parts: list[Part] = [
        _sql("coalesce({text}, 'null') = any({words}::text[])", text=text, words=words) if words else NONE,
        *(
            _sql("{text} like {pattern}", text=text, pattern=_pattern(value.text))
            for value in values
            if value.form == "glob"
        ),
    ]
    return _sql("coalesce({any}, false)", any=_any(parts)) if words or len(parts) > 1 else NONE


_TRANSLATIONS: Final[_Translations] = {
    Kinds: _kinds,
    Numbers: _numbers,
    Names: _names,
    Time: _time,
    Query: _query,
    Text: _text,
    Column: _column,
    Key: _key,
    Changed: _changed,
    Tag: _tag,
    OfExtension: _tag,
}
"""Translations by type of condition; regular expressions are Python's own and have none."""
_OF_ROWS: Final[_Translations] = {Numbers: _numbers_of_rows, Time: _time}
_OF_PACKED: Final[_Translations] = {
    **_OF_ROWS,
    Kinds: _kinds,
    Names: _names,
    Query: _query,
    Column: _column_of_packed,
    Text: _text_of_packed,
    Tag: _tag,
    OfExtension: _tag,
}
