"""Right side of a condition: operator, values, their text, and their comparison with JSON values of a row."""

import operator as compare
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import translate
from typing import Any, Final, Literal, cast

Operator = Literal["=", "!=", ">", ">=", "<", "<="]

_ORDER: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    ">": compare.gt,
    ">=": compare.ge,
    "<": compare.lt,
    "<=": compare.le,
}

Form = Literal["text", "glob", "number", "word", "range"]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_BARE = re.compile(r"[\w@/:+.$%#-]+")
_WORDS: Final[dict[str, bool | None]] = {"null": None, "true": True, "false": False}
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


@dataclass(frozen=True, slots=True)
class Value:
    """Alternative on the right of an operator."""

    text: str
    form: Form = "text"
    """Form of the value: `text` is literal, `glob` has `*` or `?`, `word` is null, true or false, `range` is `a..b`."""

    @staticmethod
    def of(text: str, *, quoted: bool = False) -> "Value":
        """Parse a text as the value of a column. Quoted text is always literal."""
        low, _, high = text.partition("..")
        if quoted:
            return Value(text)
        if "*" in text or "?" in text:
            return Value(text, "glob")
        if text in _WORDS:
            return Value(text, "word")
        if _NUMBER.fullmatch(text):
            return Value(text, "number")
        return Value(text, "range" if low and high else "text")

    @staticmethod
    def name(text: str, *, quoted: bool = False) -> "Value":
        """Parse a text as a name: a pattern or literal."""
        return Value(text, "glob" if not quoted and ("*" in text or "?" in text) else "text")

    @property
    def limits(self) -> "tuple[Value, Value]":
        """Ends of a range."""
        low, _, high = self.text.partition("..")
        return Value.of(low), Value.of(high)

    def __str__(self) -> str:
        if self.form != "text" or (_BARE.fullmatch(self.text) and Value.of(self.text).form == "text"):
            return self.text
        return quote(self.text)


def quote(text: str) -> str:
    """Quote a text for a filter."""
    return f'"{text.translate(_ESCAPES)}"'


def joined(values: tuple[Value, ...]) -> str:
    return ",".join(map(str, values))


def glob_test(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Test that one of the patterns matches a whole text. `*` and `?` are special, `[` is not."""
    # fnmatch creates expressions that do not backtrack from one `*` into the one before.
    expression = re.compile("|".join(translate(pattern.replace("[", "[[]")) for pattern in patterns) or r"(?!)")
    return lambda text: expression.match(text) is not None


def name_test(values: tuple[Value, ...]) -> Callable[[str], bool]:
    """Test that a name is one of the values, ignoring case."""
    names = frozenset(value.text.casefold() for value in values if value.form != "glob")
    globs = [value.text.casefold() for value in values if value.form == "glob"]
    if not globs:
        return lambda name: name.casefold() in names
    matches = glob_test(globs)
    return lambda name: (folded := name.casefold()) in names or matches(folded)


def _equality_test(values: tuple[Value, ...]) -> Callable[[Any], bool]:
    """Test that a JSON value is one of the values, see `Column`."""
    texts = frozenset(value.text for value in values if value.form in ("text", "number"))
    numbers = frozenset(Decimal(value.text) for value in values if value.form == "number")
    words = frozenset(_WORDS[value.text] for value in values if value.form == "word")
    ranges = [_range_test(value) for value in values if value.form == "range"]
    matches = glob_test([value.text for value in values if value.form == "glob"])

    def test(found: Any) -> bool:
        if found is None or isinstance(found, bool):
            return found in words or (found is not None and matches(str(found).lower()))
        if isinstance(found, str):
            return found in texts or matches(found) or any(within(found) for within in ranges)
        if isinstance(found, Decimal):
            return found in numbers or matches(str(found)) or any(within(found) for within in ranges)
        return False

    return test


def _order_test(operator: Operator, value: Value) -> Callable[[Any], bool]:
    """Test the order of a JSON value relative to the value: a number with a number, a text with a text."""
    holds, text = _ORDER[operator], value.text
    number = Decimal(text) if value.form == "number" else None

    def test(found: Any) -> bool:
        if isinstance(found, str):
            return holds(found, text)
        return number is not None and isinstance(found, Decimal) and holds(found, number)

    return test


def _range_test(value: Value) -> Callable[[Any], bool]:
    low, high = value.limits
    from_low, to_high = _order_test(">=", low), _order_test("<=", high)
    return lambda found: from_low(found) and to_high(found)


def value_test(operator: Operator, values: tuple[Value, ...]) -> Callable[[list[Any]], bool]:
    """Test that one of the values found in a row satisfies the operator; for `!=`, that there are some and none is equal."""
    holds = _equality_test(values) if operator in ("=", "!=") else _order_test(operator, values[0])
    if operator == "!=":
        return lambda found: bool(found) and not any(map(holds, _scalars(found)))
    return lambda found: any(map(holds, _scalars(found)))


def _scalars(found: list[Any]) -> Iterator[Any]:
    for value in found:
        if isinstance(value, list):
            yield from _scalars(cast("list[Any]", value))
        else:
            yield value


def reach(value: Any, path: tuple[str, ...]) -> list[Any]:
    """Values at the end of the path. A list is entered at a position, or else at each of its elements."""
    if not path:
        return [value]
    if isinstance(value, dict):
        row = cast("dict[str, Any]", value)
        return reach(row[path[0]], path[1:]) if path[0] in row else []
    if not isinstance(value, list):
        return []
    items = cast("list[Any]", value)
    if path[0].isascii() and path[0].isdigit():
        position = int(path[0]) if len(path[0]) < 10 else len(items)
        return reach(items[position], path[1:]) if position < len(items) else []
    return [reached for item in items for reached in reach(item, path)]


def sign(operator: Operator) -> str:
    return ":" if operator == "=" else operator
