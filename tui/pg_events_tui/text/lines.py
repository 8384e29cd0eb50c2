"""Lines of text with roles, independent of drawing.

A role (`key`, `added`, `null`, …) is a word that a widget turns into a colour. Text from a database may contain anything;
it is made harmless here, when a span is made, and is never parsed as markup.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from pg_events.text import clean

MAX_LINE: Final = 2_000
"""Maximum length of a shown line."""
MAX_TEXT: Final = 200_000
"""Maximum number of shown characters in total."""


class Span(NamedTuple):
    """Part of a line."""

    text: str
    role: str = ""


Line = tuple[Span, ...]

Item = tuple[object, Line | Callable[[], Line]]
"""Row of a list: its key, and its line; in long lists a function that makes the line when it comes in sight."""

HANG: Final = Span("", "hang")
"""Marker of the indentation for the rows below when a line is wrapped."""


def span(text: object, role: str = "") -> Span:
    """Create a span of safe text: control and direction characters are visible, without line breaks."""
    return Span(clean(str(text)), role)


def line(*parts: Span | str) -> Line:
    return tuple(part if isinstance(part, Span) else span(part) for part in parts)


def width(parts: Iterable[Span]) -> int:
    """Width in cells of the terminal."""
    return sum(cell_len(part.text) for part in parts)


def fit(text: str, cells: int) -> str:
    """Fit the text to an exact width: padded, or shortened with `…`."""
    if cells <= 0:
        return ""
    if cell_len(text) <= cells:
        return set_cell_size(text, cells)
    return set_cell_size(set_cell_size(text, cells - 1).rstrip() + "…", cells)


def fit_right(text: str, cells: int) -> str:
    """Fit the text to an exact width, padded on the left."""
    short = fit(text, cells).rstrip() if cell_len(text) > cells else text
    return " " * (cells - cell_len(short)) + short


def shorten(text: str, cells: int) -> str:
    """Shorten the text with `…` to a maximum width."""
    return fit(text, cells).rstrip() if cell_len(text) > cells else text


def justify(left: Line, right: Line, cells: int) -> Line:
    """Align `left` and `right` to both ends of a row; the left one is shortened if necessary."""
    room = cells - width(right)
    if room <= 0:
        return crop(right, cells)
    left = crop(left, room)
    return (*left, Span(" " * (room - width(left))), *right)


def crop(parts: Line, cells: int) -> Line:
    """Shorten the line with `…` to a maximum width."""
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
"""Characters after which a row can be broken."""


def wrap(parts: Line, cells: int, indent: int = 0) -> list[Line]:
    """Wrap the line into rows of a maximum width, between words unless a row would be too short.

    All rows but the first begin at `HANG`, or are indented.
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
    """Return the end of the row that begins at `start`."""
    piece = _first_piece(text[start : start + cells * 4 + 4], cells) or text[start : start + 1]
    end = start + len(piece)
    if end == len(text) or text[end] == " " or text[end - 1] in _BREAKS:
        return end
    whole = start + 1 + max(piece.rfind(sign) for sign in _BREAKS)
    return whole if whole - start > len(piece) // 3 else end


def _cut_out(parts: Line, start: int, end: int) -> Line:
    """Return the characters from `start` to `end` with their roles."""
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
    # Only the first piece is needed: more than four characters per cell are stacked combining marks.
    pieces = chop_cells(text[: cells * 4 + 4], cells)
    return pieces[0] if pieces else text


def text_lines(text: str, role: str = "") -> list[Line]:
    """Split text of any size into lines, shortened to a readable length; the last line says so."""
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
    """Align the cells of rows in columns; the last column has any width."""
    if not rows:
        return []
    widths = [max((cell_len(row[column].text) for row in rows if column < len(row)), default=0) for column in range(9)]
    lines: list[Line] = []
    for row in rows:
        cells = [Span(set_cell_size(cell.text, widths[n] + gap), cell.role) for n, cell in enumerate(row[:-1])]
        lines.append((*cells, row[-1]))
    return lines


def sparkline(values: Sequence[float]) -> str:
    """Draw one character per value, the largest at full height; a space for zero."""
    top = max(values, default=0)
    return "".join(" " if value <= 0 else "▁▂▃▄▅▆▇█"[min(7, int(value / top * 7.999))] for value in values)


def plot(values: Sequence[float], rows: int) -> list[str]:
    """Draw bars of one character's width over several rows, the largest at full height; the top row first."""
    top = max(values, default=0)
    eighths = [0 if value <= 0 else max(1, round(value / top * rows * 8)) for value in values]
    return [
        "".join(" ▁▂▃▄▅▆▇█"[max(0, min(8, height - row * 8))] for height in eighths) for row in range(rows - 1, -1, -1)
    ]
