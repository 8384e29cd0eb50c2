"""Changes of an event: compares the old row with the new one, down into JSON values. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from difflib import SequenceMatcher
from typing import Any, Final, Literal, NamedTuple, cast

from pg_events.text import TooDeep, counted

Sign = Literal["+", "-", "~", " "]
"""Sign of a change: added, removed, changed, unchanged."""

MISSING: Final = object()
"""Marker of a missing column or key, in contrast to NULL."""

MAX_NESTED: Final = 200
"""Maximum changes inside one column that are listed."""
MAX_COUNTED: Final = 5_000
"""Maximum changes inside one column that are counted."""
MAX_DEPTH: Final = 100
"""Maximum depth; deeper values are compared as a whole."""
MAX_ALIGNED: Final = 4_096
"""Maximum product of the lengths of two arrays for which moved elements are detected."""
_EXACT: Final = Context(prec=60, traps=[InvalidOperation, Overflow, Inexact])
_PLAIN: Final = re.compile(r"[^\W\d]\w*")
_AMBIGUOUS: Final = re.compile(
    r"""\s|["'\[{]|(-?\d[\d.]*(e[+-]?\d+)?|null|true|false|nan|[+-]?infinity|—)$""", re.IGNORECASE
)

Step = str | int
"""Step of a path: a column or a key of an object, or the position in an array."""


class Change(NamedTuple):
    """Change of a column, or of one place inside its JSON value."""

    sign: Sign
    path: tuple[Step, ...]
    """Path: the column, then keys and positions in the new value, or in the old one for removed values."""
    old: Any
    new: Any
    note: str = ""
    """Difference of two numbers, or the JSON types if they differ."""

    @property
    def name(self) -> str:
        """Path as text: `details.items[2].sku`."""
        return path_words(self.path)

    @property
    def nested(self) -> bool:
        return len(self.path) > 1

    @property
    def is_rest(self) -> bool:
        """True for a remark about the changes of the column that are not listed."""
        return self.old is MISSING and self.new is MISSING


class Member(NamedTuple):
    """Key or position of two JSON values of the same shape."""

    at_old: Step
    at_new: Step
    old: Any
    new: Any


def row_of(text: str | None) -> Mapping[str, Any] | None:
    """Parse a row from JSON, with exact numbers. Raises `ValueError` or `RecursionError`."""
    if text is None:
        return None
    try:
        row = _read(text)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None
    if not isinstance(row, dict):
        raise ValueError("a row is a JSON object")  # noqa: TRY004 - bad input, not a bug
    return cast("Mapping[str, Any]", row)


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number longer than Python turns into `int`; asking for each would take four times as long
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def difference(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[Change]:
    """Changes of all columns in the table's order; for a changed JSON value, the changed places inside it."""
    changes: list[Change] = []
    for name in _names(new or {}, old or {}):
        before = MISSING if old is None else old.get(name, MISSING)
        after = MISSING if new is None else new.get(name, MISSING)
        if same(before, after):
            changes.append(Change(" ", (name,), before, after))
            continue
        found: list[Change] = []
        _collect((name,), before, after, found)
        changes += found[:MAX_NESTED]
        if len(found) > MAX_NESTED:
            changes.append(Change("~", (name,), MISSING, MISSING, _rest_words(len(found))))
    return changes


def _rest_words(found: int) -> str:
    left = min(found, MAX_COUNTED) - MAX_NESTED
    return f"{'over ' if found > MAX_COUNTED else ''}{counted(left, 'more place')}"


def _names(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, None]:
    return dict.fromkeys([*first, *second])


def changed_columns(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names of the columns whose value differs, in the table's order."""
    return [name for name in _names(new, old) if not same(old.get(name, MISSING), new.get(name, MISSING))]


def _collect(path: tuple[Step, ...], old: Any, new: Any, found: list[Change]) -> None:
    """Collect the changed places, as deep as both values have the same shape."""
    if len(path) < MAX_DEPTH and alike(old, new):
        for member in members(old, new):
            if len(found) > MAX_COUNTED:
                return
            if not same(member.old, member.new):
                step = member.at_old if member.new is MISSING else member.at_new
                _collect((*path, step), member.old, member.new, found)
    else:
        found.append(Change(sign(old, new), path, old, new, note(old, new)))


def alike(old: Any, new: Any) -> bool:
    """Return True if both are objects or both arrays, so that their members can be compared."""
    return (isinstance(old, dict) and isinstance(new, dict)) or (isinstance(old, list) and isinstance(new, list))


def members(old: Any, new: Any) -> Iterator[Member]:
    """Pairs of members of two values that are `alike`; `MISSING` if only one has it."""
    if isinstance(new, dict):
        left, right = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for key in _names(right, left):
            yield Member(key, key, left.get(key, MISSING), right.get(key, MISSING))
        return
    before, after = cast("list[Any]", old), cast("list[Any]", new)
    for (old_start, old_end), (new_start, new_end) in _blocks(before, after):
        for number in range(max(old_end - old_start, new_end - new_start)):
            at_old, at_new = old_start + number, new_start + number
            yield Member(
                at_old,
                at_new,
                before[at_old] if at_old < old_end else MISSING,
                after[at_new] if at_new < new_end else MISSING,
            )


_Range = tuple[int, int]


def _blocks(old: list[Any], new: list[Any]) -> Iterator[tuple[_Range, _Range]]:
    """Matching parts of two arrays, so that added or removed elements do not shift the others."""
    shorter = min(len(old), len(new))
    first = next((at for at in range(shorter) if not same(old[at], new[at])), shorter)
    rest = shorter - first
    last = next((at for at in range(rest) if not same(old[-1 - at], new[-1 - at])), rest)
    old_end, new_end = len(old) - last, len(new) - last
    yield (0, first), (0, first)
    if 0 < (old_end - first) * (new_end - first) <= MAX_ALIGNED:
        texts = [repr(one) for one in old[first:old_end]], [repr(one) for one in new[first:new_end]]
        for _, i, j, k, m in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
            yield (first + i, first + j), (first + k, first + m)
    else:
        yield (first, old_end), (first, new_end)
    yield (old_end, len(old)), (new_end, len(new))


def same(old: Any, new: Any) -> bool:
    """Return True for equal values of equal types at every depth: `[1] == [True]` in Python, but not in a database."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if not bool(old == new):
        return False
    return not alike(old, new) or repr(old) == repr(new) or _same_members(old, new)


def _same_members(old: Any, new: Any) -> bool:
    """Return True if the members of two equal values have equal types."""
    if isinstance(old, dict):
        return all(same(value, new[key]) for key, value in cast("dict[str, Any]", old).items())
    return all(same(*pair) for pair in zip(old, new, strict=True))


def sign(old: Any, new: Any) -> Sign:
    """Sign of the change; NULL counts as missing."""
    if old is MISSING or new is MISSING:
        return "+" if old is MISSING else "-"
    if old is None or new is None:
        return "+" if old is None else "-"
    return "~"


def note(old: Any, new: Any) -> str:
    """Difference of two numbers, or the types if they differ: `+14.50`, `string → number`; else empty."""
    if MISSING in (old, new) or old is None or new is None:
        return ""
    types = kind(old), kind(new)
    return delta(old, new) if types[0] == types[1] else f"{types[0]} → {types[1]}"


def kind(value: Any) -> str:
    """JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "number"


def delta(old: Any, new: Any) -> str:
    """Difference of two numbers: `+14.50`; empty for other values."""
    if kind(old) != "number" or kind(new) != "number":
        return ""
    try:
        grown = _EXACT.subtract(Decimal(new), Decimal(old))
    except ArithmeticError:
        return ""
    return f"{grown:+f}" if abs(grown.adjusted()) < 30 and len(grown.as_tuple().digits) < 30 else ""


def path_words(path: Sequence[Step]) -> str:
    """Path as text: `details.items[2].sku`; other names than plain words are quoted, so that it is unambiguous."""
    return "".join(step_words(step) if not number else _further(step) for number, step in enumerate(path))


def step_words(step: Step) -> str:
    """Step as text: `items`, `"content-type"`, `[2]`."""
    if isinstance(step, int):
        return f"[{step}]"
    return step if _PLAIN.fullmatch(step) else json.dumps(step, ensure_ascii=False)


def _further(step: Step) -> str:
    return step_words(step) if isinstance(step, int) else f".{step_words(step)}"


def spelled(value: Any, *, nested: bool = False, most: int | None = None) -> str:
    """Text of a value for display. The text of a column is unquoted unless it is ambiguous.

    So NULL differs from the text "NULL", 1 from the text "1", and an empty text is visible. Inside JSON (`nested`) a text
    is always quoted. `most`: as for `pretty`.
    """
    if value is MISSING:
        return "—"
    if value is None:
        return "null" if nested else "NULL"
    if isinstance(value, TooDeep):
        return f"(nested too deeply to be shown, {counted(len(value), 'character')})"
    if isinstance(value, str):
        return _encoded(value) if nested or _is_ambiguous(value) else value
    return pretty(value, indent=None, most=most)


def _is_ambiguous(text: str) -> bool:
    return not text or text[-1].isspace() or _AMBIGUOUS.match(text) is not None


def pretty(value: Any, indent: int | None = 2, *, most: int | None = None) -> str:
    """Readable JSON with exact numbers, cut off soon after `most` characters."""
    pieces: list[str] = []
    size = 0
    for piece in _written(value, indent):
        pieces.append(piece)
        size += len(piece)
        if most is not None and size > most:
            break
    return "".join(pieces)


_encoded: Final = json.JSONEncoder(ensure_ascii=False).encode


class _Inner(NamedTuple):
    """Value that is written between fragments of text."""

    value: Any


def _written(value: Any, indent: int | None) -> Iterator[str]:
    """Write a value without recursion, whatever its depth."""
    open_values = [_pieces(value, indent, 0)]
    while open_values:
        for piece in open_values[-1]:
            if isinstance(piece, _Inner):
                open_values.append(_pieces(piece.value, indent, len(open_values)))
                break
            yield piece
        else:
            open_values.pop()


def _atom(value: Any) -> str:
    """JSON of a value without members."""
    return str(value) if isinstance(value, Decimal | TooDeep) else _encoded(value)


def _pieces(value: Any, indent: int | None, depth: int) -> Iterator[str | _Inner]:
    if not isinstance(value, dict | list) or not value:
        yield _atom(value)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    inside = "" if indent is None else "\n" + " " * (indent * (depth + 1))
    between = ", " if indent is None else "," + inside
    items: Iterable[tuple[str, Any]] = (
        ((_encoded(key) + ": ", item) for key, item in cast("dict[str, Any]", value).items())
        if isinstance(value, dict)
        else (("", item) for item in cast("list[Any]", value))
    )
    start = opening + inside
    for key, item in items:
        if isinstance(item, dict | list) and item:
            yield start + key
            yield _Inner(item)
        else:
            yield start + key + _atom(item)
        start = between
    yield ("" if indent is None else "\n" + " " * (indent * depth)) + closing
