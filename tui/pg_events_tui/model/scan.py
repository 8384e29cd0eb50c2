"""Fast filter over the store: by columns and raw texts first, and by whole events only where these do not suffice.

It finds exactly the rows for which `Filter.matches` is true. Columns (kind, number, table, user, time) are compared without
reading a text; free text is searched in many rows at a time; conditions on JSON are evaluated only for rows that can
match. Independent of Textual.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from pg_events.event import APPLICATION, SCHEMA, Record
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
    Regex,
    Subject,
    Tag,
    Test,
    Text,
    Time,
)
from pg_events.filter.parser import Filter
from pg_events_tui.model.limit import TakesTooLong, limited
from pg_events_tui.model.segment import AT_BYTES, NOTE, Block
from pg_events_tui.model.store import Store

BLOCK: Final = 16_384
"""Maximum number of rows in a block."""

Passing = Callable[[int, int], Sequence[int]]
"""Returns the store's matching rows from the first to before the second, ascending."""
Select = Callable[[Block, Sequence[int]], Sequence[int]]
"""Returns the matching rows among those given of a block (numbered from 0, ascending)."""

# Non-ASCII characters that case folding turns into ASCII letters, alone or among others: ß ŉ ſ ǰ İ ẖ…ẞ K ff…st.
# A row with one may match an ASCII text that its bytes do not contain.
_FOLDS_TO_ASCII: Final = re.compile(
    rb"\xc3\x9f|\xc4\xb0|\xc5[\x89\xbf]|\xc7\xb0|\xe1\xba[\x96-\x9e]|\xe2\x84\xaa|\xef\xac[\x80-\x86]"
)


def passing(
    store: Store,
    wanted: Filter | None,
    *,
    also: Callable[[int], bool] | None = None,
    too_slow: Callable[[], object] = lambda: None,
) -> Passing:
    """Return a function that finds the rows matching a filter. `also` is a further condition on the store's row.

    `too_slow` is called when a regular expression exceeds its time; then no row of that block matches.
    """
    select = _all if wanted is None else _select(store, wanted.condition)
    note = ord(NOTE)

    def rows(start: int, stop: int) -> list[int]:
        found: list[int] = []
        for block in store.blocks(start, stop, BLOCK):
            every: Sequence[int] = range(block.size)
            if wanted is not None and note in block.kinds:
                every = [number for number in every if block.kinds[number] != note]
            chosen = select(block, every)
            if len(chosen) == block.size:
                found.extend(range(block.row, block.row + block.size))
            else:
                found.extend([block.row + number for number in chosen])
        return found if also is None else [row for row in found if also(row)]

    def rows_in_time(start: int, stop: int) -> Sequence[int]:
        try:
            with limited():
                return rows(start, stop)
        except TakesTooLong:
            too_slow()
            return ()

    return rows_in_time if wanted is not None and _can_backtrack(wanted.condition) else rows


def _can_backtrack(condition: Condition) -> bool:
    match condition:
        case And(parts) | Or(parts):
            return any(map(_can_backtrack, parts))
        case Not(part):
            return _can_backtrack(part)
        case _:
            return isinstance(condition, Regex)


def behind(first: int, passing: Passing) -> Passing:
    """Limit a search to the rows from `first` on."""
    return lambda start, stop: passing(max(start, first), stop) if stop > first else ()


def _all(block: Block, rows: Sequence[int]) -> Sequence[int]:  # noqa: ARG001 - same signature as the others
    return rows


def _select(store: Store, condition: Condition) -> Select:
    match condition:
        case And(parts):
            return partial(_every, [_select(store, part) for part in sorted(parts, key=lambda part: part.cost)])
        case Or(parts):
            return partial(_either, [_select(store, part) for part in parts])
        case Not(part):
            return partial(_without, _select(store, part))
        case Kinds(kinds):
            wanted = frozenset(kinds.encode("ascii"))
            return lambda block, rows: _of(block.kinds, rows, wanted)
        case Numbers(field):
            holds = condition.test()
            return partial(_numbers, field == "id", condition.ranges, holds)
        case Names():
            return _names(store, condition)
        case Time(edge, at):
            return partial(_time, edge == "since", at.timestamp(), condition.test())
        case Text():
            return _text(store, condition)
        case Query() | Regex() | Column() | Key() | Changed() | Tag() | OfExtension():
            return _rest(condition)


# ── Together ──


def _every(parts: Sequence[Select], block: Block, rows: Sequence[int]) -> Sequence[int]:
    for select in parts:
        if not rows:
            break
        rows = select(block, rows)
    return rows


def _either(parts: Sequence[Select], block: Block, rows: Sequence[int]) -> Sequence[int]:
    found: set[int] = set()
    for select in parts:
        found.update(select(block, rows))
    return sorted(found)


def _without(part: Select, block: Block, rows: Sequence[int]) -> Sequence[int]:
    out = frozenset(part(block, rows))
    return [row for row in rows if row not in out]


# ── Columns ──


def _of(column: Sequence[int], rows: Sequence[int], wanted: frozenset[int]) -> list[int]:
    if len(rows) == len(column):
        return [row for row, value in enumerate(column) if value in wanted]
    return [row for row in rows if column[row] in wanted]


def _numbers(
    is_id: bool, ranges: Sequence[tuple[int | None, int | None]], holds: Test, block: Block, rows: Sequence[int]
) -> list[int]:
    column = block.ids if is_id else block.xids
    if len(ranges) == 1:
        low, high = ranges[0]
        least, most = low or 0, 2**64 if high is None else high
        return [row for row in rows if least <= column[row] <= most]
    return [row for row in rows if holds(Subject(_bare(block, row)))]


def _bare(block: Block, row: int) -> Record:
    """Event without its texts."""
    return Record(block.ids[row], block.xids[row], "", chr(block.kinds[row]), *(None,) * 8)


def _names(store: Store, condition: Names) -> Select:
    """Find the matching names once, and then compare only numbers."""
    holds = condition.test()
    known: dict[int, bool] = {}
    blank = Record(0, 0, "", "U", *(None,) * 8)

    def example(number: int) -> Record:
        if condition.field in ("table", "event"):
            schema, name, is_ddl = store.tables[number]
            kind = SCHEMA if is_ddl else APPLICATION if condition.field == "event" else "U"
            return blank._replace(kind=kind, table_schema=schema, table_name=name)
        if condition.field == "user":
            return blank._replace(session_user=store.users[number])
        return blank._replace(application_name=store.applications[number])

    def select(block: Block, rows: Sequence[int]) -> Sequence[int]:
        column = {"table": block.tables, "event": block.tables, "user": block.users, "app": block.applications}[
            condition.field
        ]
        numbers = set(column)
        for number in numbers:
            if number and number not in known:
                known[number] = holds(Subject(example(number)))
        if 0 in numbers:
            return [row for row in rows if _tested(holds, block, row)]
        wanted = frozenset(number for number in numbers if known[number])
        found = rows if len(wanted) == len(numbers) else _of(column, rows, wanted) if wanted else ()
        if condition.field not in ("table", "event") or ord(APPLICATION) not in block.kinds:
            return found if condition.field != "event" else ()
        # A table and an event of the application can have one name.
        is_event = condition.field == "event"
        return [row for row in found if (block.kinds[row] == ord(APPLICATION)) is is_event]

    return select


def _time(is_since: bool, limit: float, holds: Test, block: Block, rows: Sequence[int]) -> Sequence[int]:
    """Compare times. Floats are exact to the microsecond until the year 2100; an unreadable time is stored as 0."""
    times = block.times
    if 0.0 in times:
        return [
            row for row in rows if (_tested(holds, block, row) if not times[row] else (times[row] >= limit) is is_since)
        ]
    if is_since:
        return rows if min(times) >= limit else [row for row in rows if times[row] >= limit]
    return rows if max(times) < limit else [row for row in rows if times[row] < limit]


# ── Texts ──


def _tested(holds: Test, block: Block, row: int) -> bool:
    try:
        return holds(Subject(block.record(row)))
    except IndexError:
        return False


def _text(store: Store, condition: Text) -> Select:
    """Search free text, in the lines of many rows at a time and in the names of the tables."""
    holds = condition.test()
    text = condition.text.casefold()
    in_json = json.dumps(text, ensure_ascii=False)[1:-1]
    needle = text.encode("ascii") if text.isascii() and text == in_json and "\0" not in text else None
    in_name = _names_with(store, text)

    def select(block: Block, rows: Sequence[int]) -> Sequence[int]:
        if len(rows) * 8 < block.size or needle is None:
            may = _may_hold_foreign if needle is None and not text.isascii() else _may_hold_any
            return [
                row for row in rows if (may(block, row) or in_name(block.tables[row])) and _tested(holds, block, row)
            ]
        lines = block.text
        hits = _rows_with_in_any_case(lines, needle, block)
        tables = set(block.tables)
        named = frozenset(number for number in tables if number and in_name(number))
        all_numbered = 0 not in tables and 0 not in block.users and 0 not in block.applications
        if not named and all_numbered and len(rows) == block.size and lines.isascii():
            return hits
        found = set(hits)
        if named:
            found.update(_of(block.tables, range(block.size), named))
        unsure: set[int] = set()
        if not all_numbered:
            unsure.update(range(block.size))
            found.clear()
        elif not lines.isascii():
            unsure.update(
                bisect_right(block.edges, block.base + match.start()) - 1 for match in _FOLDS_TO_ASCII.finditer(lines)
            )
            unsure -= found
        if unsure:
            found.update(row for row in unsure if _tested(holds, block, row))
        if len(rows) == block.size:
            return sorted(found)
        return [row for row in rows if row in found]

    return select


def _may_hold_any(block: Block, row: int) -> bool:  # noqa: ARG001 - same signature
    return True


def _may_hold_foreign(block: Block, row: int) -> bool:
    """Return True if the line has non-ASCII characters or escapes, as a match of non-ASCII text requires."""
    line = block.line(row)
    return not line.isascii() or b"\\" in line


def _names_with(store: Store, text: str) -> Callable[[int], bool]:
    """Return a test of whether the table with a number has the text in its qualified name."""
    known: dict[int, bool] = {}
    holds = Text(text).test()

    def in_name(number: int) -> bool:
        if number and number not in known:
            schema, name, is_ddl = store.tables[number]
            bare = Record(0, 0, "", "S" if is_ddl else "U", schema, name, *(None,) * 6)
            known[number] = holds(Subject(bare))
        return known.get(number, True)

    return in_name


SAMPLE: Final = 16
"""Number of sampled rows of a block, to decide whether most of them have a text."""


def rows_with(lines: bytes, needle: bytes, block: Block, skip: int = 0) -> list[int]:
    """Return the rows of the block whose line has the bytes, after its first `skip` bytes."""
    sample = min(SAMPLE, block.size)
    found = _look_into_each(lines, needle, block, skip, 0, sample)
    # A rare text is searched in all rows at once, a common one row by row.
    look = _look_into_each if len(found) * 4 > sample else _look_ahead
    return found + look(lines, needle, block, skip, sample, block.size)


def _rows_with_in_any_case(lines: bytes, needle: bytes, block: Block) -> Sequence[int]:
    """Return the rows whose texts have the bytes in any case; `needle` is in lower case."""
    if needle.upper() == needle:
        return rows_with(lines, needle, block, skip=AT_BYTES)
    sample = min(SAMPLE, block.size)
    if len(_look_into_each(lines, needle, block, AT_BYTES, 0, sample)) * 4 <= sample:
        return rows_with(lines.lower(), needle, block, skip=AT_BYTES)
    # Most rows have it in this case: converting everything to lower case would cost more than the search.
    found = _look_into_each(lines, needle, block, AT_BYTES, 0, block.size)
    if len(found) == block.size:
        return found
    known = set(found)
    others = [row for row in range(block.size) if row not in known and needle in block.line(row)[AT_BYTES:].lower()]
    return sorted(found + others) if others else found


def _look_into_each(lines: bytes, needle: bytes, block: Block, skip: int, first: int, last: int) -> list[int]:
    find, shift = lines.find, skip - block.base
    begins = [edge + shift for edge in block.edges[first:last]]
    ends = [edge - block.base for edge in block.edges[first + 1 : last + 1]]
    return [
        row for row, begin, end in zip(range(first, last), begins, ends, strict=True) if find(needle, begin, end) >= 0
    ]


def _look_ahead(lines: bytes, needle: bytes, block: Block, skip: int, first: int, last: int) -> list[int]:
    found: list[int] = []
    find, edges, base, size = lines.find, block.edges, block.base, len(needle)
    row = first
    place = find(needle, edges[row] - base + skip) if row < last else -1
    while place >= 0:
        end = edges[row + 1] - base
        if place >= end:
            row = bisect_right(edges, place + base, row) - 1
            end = edges[row + 1] - base
        begin = edges[row] - base + skip
        if place < begin:
            place = find(needle, begin)
            continue
        if place + size <= end:
            found.append(row)
        row += 1
        place = find(needle, end + skip)
    return found


# ── Conditions on the event itself ──


def _rest(condition: Query | Regex | Column | Key | Changed | Tag | OfExtension) -> Select:
    holds = condition.test()
    needle, folded = _needle(condition)

    def select(block: Block, rows: Sequence[int]) -> Sequence[int]:
        if isinstance(condition, Tag | OfExtension):
            rows = _of(block.kinds, rows, frozenset(b"S"))
        elif needle and len(rows) * 8 >= block.size:
            lines = block.text.lower() if folded else block.text
            may = set(rows_with(lines, needle, block))
            may.update(rows_with(lines, b"\\", block))  # A backslash may escape any character.
            if isinstance(condition, Column) and condition.side == "ctx":
                may.update(rows_with(lines, b"*/", block))  # A tag of a comment is spelled in another way.
            if folded and not lines.isascii():
                may.update(range(block.size))
            rows = [row for row in rows if row in may]
        return [row for row in rows if _tested(holds, block, row)]

    return select


def _needle(condition: Any) -> tuple[bytes, bool]:
    """Return bytes that a line must contain, and whether case is ignored; empty if there are none."""
    if isinstance(condition, Column | Key) and condition.operator == "=" and len(condition.values) == 1:
        value = condition.values[0]
        if value.form in ("text", "word") and value.text.isascii():
            return value.text.encode("ascii"), False
    if (
        isinstance(condition, Column)
        and condition.path
        and not condition.path[0].isdigit()
        and condition.path[0].isascii()
    ):
        return f'"{condition.path[0]}"'.encode("ascii"), False
    if isinstance(condition, Changed | Query) and len(condition.values) == 1:
        value = condition.values[0]
        text = value.text.casefold()
        if value.form != "glob" and text.isascii() and "\\" not in text:
            return (f'"{text}"' if isinstance(condition, Changed) else text).encode("ascii"), True
    return b"", False
