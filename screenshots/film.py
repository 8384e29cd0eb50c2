"""A film of a terminal as one animated SVG: no script, no font, nothing loaded; the text stays text.

Each frame is drawn beside the one before, and a clipped window jumps from one to the next. A line that looks the same in
several frames is drawn once. Boxes and bars are shapes, so that they meet in every font.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME

CELL, LINE, FONT = 8.4, 18, 14
MARGIN, TITLE, CAPTION = 10, 32, 46
GROUND, FRAME = "#11141b", "#2a3040"
TEXT, QUIET, KEY = "#c8d0e0", "#7d879c", "#7aa2f7"
FONTS = "ui-monospace,'SF Mono','Cascadia Mono','DejaVu Sans Mono',Menlo,Consolas,monospace"
BARS = "▁▂▃▄▅▆▇█"
SHAPED = re.compile(f"[─│╭╮╰╯{BARS}▌▐▀]+")
CORNERS = {
    "╭": "M4.2 18V13Q4.2 9 8.4 9",
    "╮": "M0 9Q4.2 9 4.2 13V18",
    "╰": "M4.2 0V5Q4.2 9 8.4 9",
    "╯": "M0 9Q4.2 9 4.2 5V0",
}


@dataclass(frozen=True)
class Frame:
    """What is on the terminal for some time, and what is said about it."""

    rows: Sequence[Sequence[Segment]]
    seconds: float
    key: str
    """What was pressed; empty shows no key."""
    caption: str


@dataclass(frozen=True)
class Run:
    """Cells in one style."""

    x: int
    text: str
    style: Style


def film(frames: Sequence[Frame], columns: int, title: str, *, still: int) -> str:
    """The SVG. `still` is the number of the frame for who wants no motion."""
    rows = max(len(frame.rows) for frame in frames)
    width, height = columns * CELL + 2 * MARGIN, rows * LINE + TITLE + CAPTION
    painter = Painter()
    groups: list[str] = []
    for number, frame in enumerate(frames):
        lines = [painter.line(runs(row)) for row in frame.rows]
        uses = "".join(f'<use href="#{name}" y="{y * LINE}"/>' for y, name in enumerate(lines) if name)
        groups.append(f'<g transform="translate({number * width:g} 0)">{uses}{caption(frame, rows)}</g>')
    seconds = sum(frame.seconds for frame in frames)
    steps, begin = [], 0.0
    for number, frame in enumerate(frames):
        steps.append(f"{begin / seconds:.3%}{{transform:translateX({-number * width:g}px)}}")
        begin += frame.seconds
    lights = "".join(
        f'<circle cx="{x}" cy="16" r="5.5" fill="{colour}"/>'
        for x, colour in ((20, "#f0788c"), (39, "#e3b76a"), (58, "#8fce7a"))
    )
    strip = "\n".join(groups)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" role="img" aria-label="{escape(title)}">
<title>{escape(title)}</title>
<style>
text{{font:{FONT}px {FONTS};white-space:pre}}
.cap{{font:600 17px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:{TEXT}}}
.key{{font-weight:bold;fill:{KEY}}}
path{{fill:none;stroke-width:1.2}}
defs rect{{shape-rendering:crispEdges}}
{painter.css()}
.film{{animation:film {seconds:.2f}s step-end infinite}}
@keyframes film{{{"".join(steps)}}}
@media (prefers-reduced-motion:reduce){{.film{{animation:none;transform:translateX({-still * width:g}px)}}}}
</style>
<defs>
{painter.definitions()}
</defs>
<rect width="{width:g}" height="{height}" rx="10" fill="{GROUND}"/>
<rect x=".5" y=".5" width="{width - 1:g}" height="{height - 1}" rx="10" fill="none" stroke="{FRAME}"/>
{lights}
<text x="{width / 2:g}" y="21" text-anchor="middle" fill="{QUIET}">{escape(title)}</text>
<svg x="{MARGIN}" y="{TITLE}" width="{columns * CELL:g}" height="{rows * LINE + CAPTION}">
<g class="film">
{strip}
</g>
</svg>
</svg>
"""


def caption(frame: Frame, rows: int) -> str:
    """The line below the terminal: the key as it stands on the keyboard, and what it does."""
    y, x = rows * LINE + 28, 6.0
    drawn = ""
    if frame.key:
        wide = cell_len(frame.key) * CELL + 18
        drawn = (
            f'<rect x="{x:g}" y="{y - 19}" width="{wide:g}" height="27" rx="5" fill="#1c2130" stroke="{FRAME}"/>'
            f'<text class="key" x="{x + 9:g}" y="{y}">{escape(frame.key)}</text>'
        )
        x += wide + 12
    return f'{drawn}<text class="cap" x="{x:g}" y="{y}">{escape(frame.caption)}</text>'


def runs(row: Sequence[Segment]) -> Iterator[Run]:
    x = 0
    for text, style, control in row:
        if not control and text:
            yield Run(x, text, style or Style.null())
            x += cell_len(text)


class Painter:
    """Lines as SVG, each once, and the classes of their colours."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._classes: dict[str, str] = {}

    def line(self, found: Iterable[Run]) -> str:
        """The name of the line's drawing; empty when nothing is to be seen."""
        parts = list(found)
        drawn: list[str] = []
        for run in merged(parts, lambda style: colours(style)[1]):
            if (ground := colours(run.style)[1]) != GROUND:
                width = cell_len(run.text) * CELL
                name = self._class(f"fill:{ground}")
                drawn.append(f'<rect class="{name}" x="{run.x * CELL:g}" width="{width:.1f}" height="{LINE}"/>')
        for run in merged(parts, looks):
            drawn += self._texts(run, colours(run.style)[0])
        drawing = "".join(drawn)
        return self._names.setdefault(drawing, f"l{len(self._names)}") if drawing else ""

    def _texts(self, run: Run, colour: str) -> Iterator[str]:
        weight = ";font-weight:bold" if run.style.bold else ""
        slant = ";font-style:italic" if run.style.italic else ""
        under = ";text-decoration:underline" if run.style.underline else ""
        position = 0
        for shape in [*SHAPED.finditer(run.text), None]:
            part = run.text[position : shape.start() if shape else None]
            if stripped := part.strip():
                x = run.x + cell_len(run.text[:position]) + cell_len(part) - cell_len(part.lstrip())
                length = cell_len(stripped) * CELL
                name = self._class(f"fill:{colour}{weight}{slant}{under}")
                place = f'x="{x * CELL:.1f}" y="13.5" textLength="{length:.1f}"'
                yield f'<text class="{name}" {place}>{escape(stripped, quote=False)}</text>'
            if shape:
                yield from self._shapes(run.x + cell_len(run.text[: shape.start()]), shape[0], colour)
                position = shape.end()

    def _shapes(self, x: int, text: str, colour: str) -> Iterator[str]:
        for match in re.finditer(r"─+|█+|.", text):
            left, width, first = (x + match.start()) * CELL, len(match[0]) * CELL, match[0][0]
            if first in CORNERS or first in "│─":
                path = CORNERS.get(first) or (f"M0 9H{width:.1f}" if first == "─" else f"M4.2 0V{LINE}")
                name = self._class(f"stroke:{colour}")
                yield f'<path class="{name}" transform="translate({left:.1f} 0)" d="{path}"/>'
                continue
            top, tall = 0.0, float(LINE)
            if first in BARS:
                tall = LINE * (BARS.index(first) + 1) / 8
                top = LINE - tall
            elif first == "▀":
                tall = LINE / 2
            else:
                left, width = left + (width / 2 if first == "▐" else 0), width / 2
            name = self._class(f"fill:{colour}")
            yield f'<rect class="{name}" x="{left:.1f}" y="{top:g}" width="{width:.1f}" height="{tall:g}"/>'

    def _class(self, style: str) -> str:
        return self._classes.setdefault(style, f"s{len(self._classes)}")

    def css(self) -> str:
        return "\n".join(f".{name}{{{style}}}" for style, name in self._classes.items())

    def definitions(self) -> str:
        return "\n".join(f'<g id="{name}">{drawing}</g>' for drawing, name in self._names.items())


def merged(found: Iterable[Run], look: Callable[[Style], object]) -> Iterator[Run]:
    """Neighbours of one look as one."""
    for _, group in groupby(found, key=lambda run: look(run.style)):
        first, *rest = group
        yield Run(first.x, first.text + "".join(run.text for run in rest), first.style)


def looks(style: Style) -> tuple[object, ...]:
    return *colours(style), style.bold, style.italic, style.underline


def colours(style: Style) -> tuple[str, str]:
    """Of the text and of the ground, as #rrggbb."""
    front = style.color.get_truecolor(SVG_EXPORT_THEME).hex if style.color and not style.color.is_default else TEXT
    ground = (
        style.bgcolor.get_truecolor(SVG_EXPORT_THEME).hex if style.bgcolor and not style.bgcolor.is_default else GROUND
    )
    if style.reverse:
        front, ground = ground, front
    return front, ground
