"""What an event changed: the old row against the new one, down into JSON values. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple, cast

Sign = Literal["+", "-", "~", " "]
"""Came, went, changed, unchanged."""

MISSING: Final = object()
"""There is no such column or key; not the same as NULL."""

MAX_NESTED: Final = 200
"""Changed paths inside one value that are listed."""
_AMBIGUOUS: Final = re.compile(
    r"""^$|^\s|\s$|^["'\[{]|^-?\d[\d.]*(e[+-]?\d+)?$|^(null|true|false|nan|[+-]?infinity|—)$""", re.IGNORECASE
)


class Change(NamedTuple):
    """One column, or one path inside a column's JSON value."""

    sign: Sign
    name: str
    """The column; of a nested change, the path inside it: `.items[0].qty`."""
    old: Any
    new: Any
    note: str = ""
    nested: bool = False


def row_of(text: str | None) -> Mapping[str, Any] | None:
    """A row from its JSON, with every digit of a number kept. Raises `ValueError` or `RecursionError`."""
    if text is None:
        return None
    row = json.loads(text, parse_float=Decimal, parse_int=_integer)
    if not isinstance(row, dict):
        raise ValueError("a row is a JSON object")  # noqa: TRY004 - bad input, not a bug
    return cast("Mapping[str, Any]", row)


def _integer(digits: str) -> int | Decimal:
    """PostgreSQL writes numbers longer than Python turns into `int`."""
    return int(digits) if len(digits) < 1_000 else Decimal(digits)


def difference(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[Change]:
    """Every column in the table's order; what changed inside a JSON value follows it, nested."""
    changes: list[Change] = []
    for name in _names(new or {}, old or {}):
        before = MISSING if old is None else old.get(name, MISSING)
        after = MISSING if new is None else new.get(name, MISSING)
        changes.extend(_column(name, before, after))
    return changes


def _names(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, None]:
    return dict.fromkeys([*first, *second])


def changed_columns(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The names of the columns whose value differs, in the table's order."""
    return [name for name in _names(new, old) if not _same(old.get(name, MISSING), new.get(name, MISSING))]


def _column(name: str, old: Any, new: Any) -> Iterator[Change]:
    if _same(old, new):
        yield Change(" ", name, old, new)
        return
    if isinstance(old, dict | list) and isinstance(new, dict | list):
        paths = list(_paths("", old, new))
        note = f"json, {len(paths)} {'path' if len(paths) == 1 else 'paths'} changed"
        yield Change("~", name, old, new, note)
        yield from paths[:MAX_NESTED]
        if len(paths) > MAX_NESTED:
            yield Change(" ", f"… {len(paths) - MAX_NESTED} more paths", MISSING, MISSING, nested=True)
        return
    yield Change(_sign(old, new), name, old, new, delta(old, new))


def _paths(path: str, old: Any, new: Any) -> Iterator[Change]:
    """The changed leaves, deepest path first where both sides still have the same shape."""
    if isinstance(old, dict) and isinstance(new, dict):
        left, right = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for key in _names(right, left):
            yield from _paths(f"{path}.{key}", left.get(key, MISSING), right.get(key, MISSING))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = cast("list[Any]", old), cast("list[Any]", new)
        for index in range(max(len(before), len(after))):
            yield from _paths(
                f"{path}[{index}]",
                before[index] if index < len(before) else MISSING,
                after[index] if index < len(after) else MISSING,
            )
    elif not _same(old, new):
        yield Change(_sign(old, new), path or ".", old, new, delta(old, new), nested=True)


def _same(old: Any, new: Any) -> bool:
    """Equal and of one type: to Python `1 == True`, to a database they are not."""
    if isinstance(old, bool) is not isinstance(new, bool):
        return False
    return bool(old == new)


def _sign(old: Any, new: Any) -> Sign:
    if old is MISSING or new is MISSING:
        return "+" if old is MISSING else "-"
    if old is None or new is None:
        return "+" if old is None else "-"
    return "~"


def delta(old: Any, new: Any) -> str:
    """How much a number grew: `+14.50`; empty when these are not two numbers."""
    if isinstance(old, bool) or isinstance(new, bool):
        return ""
    if not isinstance(old, int | Decimal) or not isinstance(new, int | Decimal):
        return ""
    try:
        grown = Decimal(new) - Decimal(old)
    except InvalidOperation:
        return ""
    text = f"{grown:+f}"
    return text if len(text) <= 30 else ""


def spelled(value: Any, *, nested: bool = False) -> str:
    """A value as the difference shows it. Text stands bare unless it could be taken for something else.

    So NULL is not the text "NULL", 1 is not the text "1", and an empty text can be seen.
    """
    if value is MISSING:
        return "—"
    if value is None:
        return "null" if nested else "NULL"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if _AMBIGUOUS.search(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return pretty(cast("Any", value), indent=None)
    return str(value)


def pretty(value: Any, indent: int | None = 2) -> str:
    """JSON with the digits kept, for people to read."""
    return "".join(_written(value, indent, 0))


def _written(value: Any, indent: int | None, depth: int) -> Iterator[str]:
    if isinstance(value, Decimal):
        yield str(value)
        return
    if not isinstance(value, dict | list) or not value:
        yield json.dumps(value, ensure_ascii=False)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    inside = "" if indent is None else "\n" + " " * (indent * (depth + 1))
    between = ", " if indent is None else "," + inside
    items: Sequence[tuple[str, Any]] = (
        [(json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in cast("dict[str, Any]", value).items()]
        if isinstance(value, dict)
        else [("", item) for item in cast("list[Any]", value)]
    )
    yield opening + inside
    for number, (key, item) in enumerate(items):
        yield (between if number else "") + key
        yield from _written(item, indent, depth + 1)
    yield ("" if indent is None else "\n" + " " * (indent * depth)) + closing
