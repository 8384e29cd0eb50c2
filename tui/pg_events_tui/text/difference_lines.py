"""Changes of an event as lines: one below the other, or the old row beside the new one. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from rich.cells import cell_len

from pg_events.diff import changes as difference
from pg_events.diff.affixes import common
from pg_events.diff.changes import MISSING, Change, spelled, step_words
from pg_events.diff.side_by_side import INSIDE, MAX_ENTRIES, Entry, Fold, Page
from pg_events_tui.text.lines import HANG, MAX_TEXT, Line, Span, crop, line, shorten, span, text_lines, width, wrap

ROLES: Final[Mapping[str, str]] = {"+": "added", "-": "removed", "~": "changed", " ": "same"}
PAGE_CELLS: Final = 30
"""Minimum width of a page for two side by side."""
GUTTER: Final = " │ "
MAX_NAME: Final = 200
COMPACT: Final = 48
"""Maximum length of JSON on a single line."""
MAX_INDENTED: Final = 20
"""Maximum depth of indented JSON; deeper values stay on one line."""
AROUND: Final = 30
"""Number of characters shown before and after the difference of two long texts."""

Side = Literal["old", "new"]


def value_role(value: Any) -> str:
    if value is None or value is MISSING:
        return "null"
    if isinstance(value, bool | int) or not isinstance(value, str | dict | list):
        return "number"
    return ""


# ---- changes below each other


def changed_lines(changes: Sequence[Change], cells: int, *, both: bool) -> list[Line]:
    """Format a table of place, old and new; wide values follow below their place. `both`: there are two rows."""
    names = [shorten(span(change.name).text, MAX_NAME) for change in changes]
    label = min(24, max(8, cells * 2 // 5), max((cell_len(name) for name in names), default=0)) + 2
    room = max(8, (cells - label - 4) // 2) if both else max(8, cells - label - 2)
    olds = [_short(change.old, change.nested, room) for change, name in zip(changes, names, strict=True)
            if MISSING not in (change.old, change.new) and cell_len(name) + 2 <= label]  # fmt: skip
    old_cells = max((cell_len(text) for text in olds if text is not None), default=0)
    lines: list[Line] = []
    if both and any(text is not None for text in olds):
        heading = "  " + "column".ljust(label) + "old".ljust(old_cells + 2) + "new"
        lines.append(line(span(shorten(heading, cells), "heading")))
    for change, name in zip(changes, names, strict=True):
        fits = cell_len(name) + 2 <= label
        role = ROLES[change.sign]
        name_role = role if change.sign != " " else "label"
        start = line(
            span(f"{change.sign} ", role), span(name, name_role), " " * (label - cell_len(name)) if fits else ""
        )
        if change.is_rest:
            lines.append(line(*start, span(" " if not fits else ""), span(f"({change.note})", "note")))
        elif not both or MISSING in (change.old, change.new):
            lines.extend(_one(start, change, fits))
        else:
            lines.extend(_two(start, change, fits, old_cells, room, cells))
    return lines


def _one(start: Line, change: Change, fits: bool) -> list[Line]:
    value = change.old if change.new is MISSING else change.new
    role = value_role(value) if not change.nested else ROLES[change.sign]
    first, *rest = _spelled_lines(value, role, change.nested)
    if fits:
        return [line(*start, HANG, *first), *(line("    ", HANG, *one) for one in rest)]
    return [start, *(line("    ", HANG, *one) for one in (first, *rest))]


def _two(start: Line, change: Change, fits: bool, old_cells: int, room: int, cells: int) -> list[Line]:
    old, new = _short(change.old, change.nested, room), _short(change.new, change.nested, room)
    note = [span(f"  ({change.note})", "note")] if change.note else []
    if old is not None and new is not None:
        told = Span(old, value_role(change.old)), Span(new, value_role(change.new) or "new")
        if fits:
            return [line(*start, told[0], " " * (old_cells - cell_len(old) + 2), told[1], *note)]
        below = line("    ", told[0], span(" → ", "note"), told[1], *note)
        if width(below) <= cells:
            return [start, below]
    olds, news = _told_apart(change.old, change.new, change.nested)
    lines = [line(*start, *note)]
    for mark, role, texts in (("-", "removed", olds), ("+", "added", news)):
        lines.extend(line(span(f"    {mark if not n else ' '} ", role), HANG, *one) for n, one in enumerate(texts))
    return lines


def _short(value: Any, nested: bool, room: int) -> str | None:
    """Return the value as one short text; None if it needs several lines."""
    if isinstance(value, str) and len(value) > room * 2:
        return None
    text = spelled(value, nested=nested, most=room * 4)
    if "\n" in text or len(text) > room * 4:
        return None
    text = span(text).text
    return text if cell_len(text) <= room else None


# ---- two values and their common parts


def _told_apart(old: Any, new: Any, nested: bool, roles: tuple[str, str] = ("", "")) -> tuple[list[Line], list[Line]]:
    """Return the lines of both values; common parts of two long texts are dimmed and shortened."""
    if isinstance(old, str) and isinstance(new, str) and min(len(old), len(new)) > AROUND:
        return contrasted(spelled(old, nested=nested), spelled(new, nested=nested))
    return _spelled_lines(old, roles[0], nested), _spelled_lines(new, roles[1], nested)


def _spelled_lines(value: Any, role: str, nested: bool) -> list[Line]:
    return _cut(spelled(value, nested=nested, most=MAX_TEXT), role, is_json=isinstance(value, dict | list))


def json_lines(value: Any, role: str = "") -> list[Line]:
    """Format JSON of any size with indentation."""
    return _cut(difference.pretty(value, most=MAX_TEXT), role, is_json=True)


def _cut(text: str, role: str, *, is_json: bool) -> list[Line]:
    """Return the lines; JSON that is longer was already cut off."""
    if not is_json or len(text) <= MAX_TEXT:
        return text_lines(text, role)
    return [*text_lines(text[:MAX_TEXT], role), line(span("… the rest is not shown", "note"))]


def contrasted(old: str, new: str) -> tuple[list[Line], list[Line]]:
    """Return two texts of any size, shortened to the part where they differ."""
    start, end = common(old, new)
    start -= _of_a_word(old[max(0, start - AROUND) : start][::-1], old[start : start + 1] + new[start : start + 1])
    left, right = len(old) - end, len(new) - end
    end -= _of_a_word(old[left : left + AROUND], old[left - 1 : left] + new[right - 1 : right])
    return _parted(old, start, end, "removed"), _parted(new, start, end, "added")


def _of_a_word(shared: str, beside: str) -> int:
    """Count the common characters that belong to a differing word; `shared` begins where the texts differ."""
    if not any(map(str.isalnum, beside)):
        return 0
    return next((at for at, letter in enumerate(shared) if not letter.isalnum()), 0)


def _parted(text: str, start: int, end: int, role: str) -> list[Line]:
    stop = len(text) - end
    first = start - AROUND if start > AROUND * 2 else 0
    last = stop + AROUND if end > AROUND * 2 else len(text)
    return _joined([
        (f"… {first:,} the same … " if first else "", "note"),
        (text[first:start], "same"),
        (text[start:stop], role),
        (text[stop:last], "same"),
        (f" … {len(text) - last:,} the same" if last < len(text) else "", "note"),
    ])  # fmt: skip


def _joined(pieces: Iterable[tuple[str, str]]) -> list[Line]:
    """Split the pieces of one text into lines; a line may have several pieces."""
    lines: list[Line] = [()]
    for text, role in pieces:
        if text:
            first, *rest = text_lines(text, role)
            lines[-1] = (*lines[-1], *first)
            lines += rest
    return lines


# ---- old beside new


def split_lines(page: Page, cells: int) -> list[Line]:
    """Format old and new side by side if they fit, else below each other; a single row has the full width."""
    entries = [one for one in page if isinstance(one, Entry)]
    sides = [side for side in ("old", "new") if any(_of(one, side)[1] is not MISSING for one in entries)]
    blocks = [(_told(one, len(sides) == 2), one) for one in page if not (isinstance(one, Fold) and not one.depth)]
    more = [line(span(f"only the first {MAX_ENTRIES:,} lines are shown", "note"))] if len(page) >= MAX_ENTRIES else []
    if len(sides) == 1:
        return [one for told, _ in blocks for one in told[sides[0] == "new"]] + more
    wide = (cells - len(GUTTER)) // 2
    if wide < PAGE_CELLS:
        old = [one for told, _ in blocks for one in told[0]]
        new = [one for told, _ in blocks for one in told[1]]
        return [line(span("old", "heading")), *old, line(), line(span("new", "heading")), *new, *more]
    lines = _beside([line(span("  old", "heading"))], [line(span("  new", "heading"))], wide)
    for (old, new), _ in blocks:
        lines += _beside(old, new, wide)
    return lines + more


def _beside(old: Sequence[Line], new: Sequence[Line], wide: int) -> list[Line]:
    left = [row for one in old for row in wrap(one, wide)]
    right = [row for one in new for row in wrap(one, wide)]
    rows = max(len(left), len(right))
    left += [()] * (rows - len(left))
    right += [()] * (rows - len(right))
    return [
        (*crop(one, wide), Span(" " * max(0, wide - width(one))), Span(GUTTER, "note"), *other)
        for one, other in zip(left, right, strict=True)
    ]


def _of(entry: Entry, side: Side) -> tuple[difference.Step, Any]:
    return (entry.at_old, entry.old) if side == "old" else (entry.at_new, entry.new)


def _told(one: Entry | Fold, is_pair: bool) -> tuple[list[Line], list[Line]]:
    """Return the lines of an entry on each page."""
    if isinstance(one, Fold):
        words = [line("  " * (one.depth + 1), span(f"… {one.count:,} the same", "note"))]
        return words, words
    values: tuple[list[Line], list[Line]] | None = None
    nested = one.depth > 0
    if is_pair and isinstance(one.old, str) and isinstance(one.new, str) and one.sign != " ":
        values = _told_apart(one.old, one.new, nested, ("removed", "added"))
    return (
        _page_lines(one, "old", is_pair, values[0] if values else None),
        _page_lines(one, "new", is_pair, values[1] if values else None),
    )


def _page_lines(entry: Entry, side: Side, is_pair: bool, told: list[Line] | None) -> list[Line]:
    step, value = _of(entry, side)
    if value is MISSING:
        return []
    is_changed = is_pair and entry.sign != " " and value is not INSIDE
    mark, role = ("-", "removed") if side == "old" else ("+", "added")
    indent = "  " * entry.depth
    start = (
        span(f"{mark if is_changed else ' '} ", role),
        span(indent),
        span(f"{shorten(span(step_words(step)).text, MAX_NAME)}:", role if is_changed else "label"),
    )
    if value is INSIDE:
        return [start]
    role = role if is_changed else value_role(value)
    lines = told or _value_lines(value, role, entry.depth)
    if len(lines) == 1:
        return [(*start, span(" "), HANG, *lines[0])]
    return [start, *((span(f"  {indent}  "), HANG, *one) for one in lines)]


def _value_lines(value: Any, role: str, depth: int) -> list[Line]:
    """Format a value on one line, or on several for long JSON or multi-line text."""
    if isinstance(value, dict | list) and value and depth < MAX_INDENTED:
        text = difference.pretty(value, indent=None, most=COMPACT)
        return text_lines(text, role) if len(text) <= COMPACT else json_lines(value, role)
    return _spelled_lines(value, role, depth > 0)
