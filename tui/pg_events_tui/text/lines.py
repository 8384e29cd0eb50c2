"""Lines of text with roles: what the console says, before anything is drawn.

A role (`key`, `added`, `null`, …) is a word that a widget turns into a colour. Text from a database may hold
anything; it is made harmless here, when a span is made, and nowhere is it parsed as markup.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from pg_events.text import clean

MAX_LINE: Final = 2_000
"""Characters of one line that are shown."""
MAX_TEXT: Final = 200_000
"""Characters that are shown in all."""


class Span(NamedTuple):
    """A piece of one line."""

    text: str
    role: str = ""


Line = tuple[Span, ...]

Item = tuple[object, Line | Callable[[], Line]]
"""A row of a list: what it is known by, and its line; one of many is made when it comes in sight."""

HANG: Final = Span("", "hang")
"""Where the rows below go on when a line is wrapped."""


def span(text: object, role: str = "") -> Span:
    """Text as it may be shown: control and direction characters visible, never a line break in it."""
    return Span(clean(str(text)), role)


def line(*parts: Span | str) -> Line:
    return tuple(part if isinstance(part, Span) else span(part) for part in parts)


def width(parts: Iterable[Span]) -> int:
    """In cells of the terminal."""
    return sum(cell_len(part.text) for part in parts)


def fit(text: str, cells: int) -> str:
    """Exactly so many cells: padded, or cut with `…`."""
    if cells <= 0:
        return ""
    if cell_len(text) <= cells:
        return set_cell_size(text, cells)
    return set_cell_size(set_cell_size(text, cells - 1).rstrip() + "…", cells)


def fit_right(text: str, cells: int) -> str:
    """The same, padded on the left."""
    short = fit(text, cells).rstrip() if cell_len(text) > cells else text
    return " " * (cells - cell_len(short)) + short


def shorten(text: str, cells: int) -> str:
    """At most so many cells, cut with `…`."""
    return fit(text, cells).rstrip() if cell_len(text) > cells else text


def justify(left: Line, right: Line, cells: int) -> Line:
    """`left` and `right` at the two ends of a row; the left gives way."""
    room = cells - width(right)
    if room <= 0:
        return crop(right, cells)
    left = crop(left, room)
    return (*left, Span(" " * (room - width(left))), *right)


def crop(parts: Line, cells: int) -> Line:
    """At most so many cells; `…` shows that something was cut."""
    if width(parts) <= cells:
        return parts
    kept: list[Span] = []
    room = cells
    for text, role in parts:
        size = cell_len(text)
        if size < room:
            kept.append(Span(text, role))
            room -= size
            continue
        kept.append(Span(fit(text + " ", room) if size == room else fit(text, room), role))
        break
    return tuple(kept)


_BREAKS: Final = " ,;)]}"
"""A row can end behind one of these."""


def wrap(parts: Line, cells: int, indent: int = 0) -> list[Line]:
    """The line as rows of at most so many cells, broken between words where that leaves no row too short; all but the first
    begin at `HANG`, or are indented.
    """
    if cells <= 0:
        return []
    if width(parts) <= cells:
        return [parts]
    if HANG in parts:
        indent = width(parts[: parts.index(HANG)])
    margin = Span(" " * min(indent, cells // 2))
    text = "".join(part.text for part in parts)
    rows: list[Line] = []
    start = 0
    while start < len(text):
        room = cells - len(margin.text) if rows else cells
        end = _row_end(text, start, room)
        row = _cut_out(parts, start, end)
        rows.append((margin, *row) if rows else row)
        start = end + (text[end : end + 1] == " " and text[end - 1] not in _BREAKS)
    return rows


def _row_end(text: str, start: int, cells: int) -> int:
    """Where the row ends that begins at `start`."""
    piece = _first_piece(text[start : start + cells * 4 + 4], cells) or text[start : start + 1]
    end = start + len(piece)
    if end == len(text) or text[end] == " " or text[end - 1] in _BREAKS:
        return end
    whole = start + 1 + max(piece.rfind(sign) for sign in _BREAKS)
    return whole if whole - start > len(piece) // 3 else end


def _cut_out(parts: Line, start: int, end: int) -> Line:
    """The characters from `start` to `end`, in their roles."""
    found: list[Span] = []
    place = 0
    for text, role in parts:
        if piece := text[max(0, start - place) : max(0, end - place)]:
            found.append(Span(piece, role))
        place += len(text)
    return tuple(found)


def _first_piece(text: str, cells: int) -> str:
    if cells <= 0:
        return ""
    if cell_len(text) <= cells:
        return text
    if text.isascii():
        return text[:cells]
    # Only the first piece is wanted: more than four characters a cell is combining marks piled up.
    pieces = chop_cells(text[: cells * 4 + 4], cells)
    return pieces[0] if pieces else text


def text_lines(text: str, role: str = "") -> list[Line]:
    """Text of any size as lines, cut where a person has seen enough; the last line says so."""
    cut = text[:MAX_TEXT]
    lines: list[Line] = []
    for one in cut.split("\n"):
        shown = one.removesuffix("\r").expandtabs(4)
        if len(shown) > MAX_LINE:
            lines.append(line(span(shown[:MAX_LINE], role), span(f" … {len(shown) - MAX_LINE:,} more", "note")))
        else:
            lines.append(line(span(shown, role)))
    if len(text) > MAX_TEXT:
        lines.append(line(span(f"… {len(text) - MAX_TEXT:,} of {len(text):,} characters are not shown", "note")))
    return lines


def table(rows: Sequence[Sequence[Span]], gap: int = 2) -> list[Line]:
    """Rows of cells with the columns aligned; the last column is as wide as it likes."""
    if not rows:
        return []
    widths = [max((cell_len(row[column].text) for row in rows if column < len(row)), default=0) for column in range(9)]
    lines: list[Line] = []
    for row in rows:
        cells = [Span(set_cell_size(cell.text, widths[n] + gap), cell.role) for n, cell in enumerate(row[:-1])]
        lines.append((*cells, row[-1]))
    return lines


def sparkline(values: Sequence[float]) -> str:
    """One character a value, the largest is full height; a space where nothing was."""
    top = max(values, default=0)
    return "".join(" " if value <= 0 else "▁▂▃▄▅▆▇█"[min(7, int(value / top * 7.999))] for value in values)


def plot(values: Sequence[float], rows: int) -> list[str]:
    """Bars, a character wide each and so many rows high, the largest at full height; the top row first."""
    top = max(values, default=0)
    eighths = [0 if value <= 0 else max(1, round(value / top * rows * 8)) for value in values]
    return [
        "".join(" ▁▂▃▄▅▆▇█"[max(0, min(8, height - row * 8))] for height in eighths) for row in range(rows - 1, -1, -1)
    ]
