"""List of any length that reads only the visible rows (Textual's line API)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.cache import LRUCache
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pg_events_tui.text.lines import Item, Line, crop, line, span
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.painted import Painted

NOTHING: Final[Mapping[object, Sequence[Line]]] = MappingProxyType({})


class LineList(Painted, ScrollView, can_focus=True, inherit_bindings=False):  # ← and → are the screen's
    """List with one selected row, under a fixed heading. Subclasses provide the number of rows and their contents."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.list_bindings()]

    class Moved(Message):
        """Message that the user selected another row."""

        def __init__(self, source: "LineList") -> None:
            super().__init__()
            self.source = source

        @property
        def control(self) -> "LineList":
            return self.source

    class Opened(Message):
        """Message that the user opened the selected row."""

    def __init__(self, *, id: str | None = None, empty: str = "nothing here") -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._empty: str | Sequence[str] = empty
        self._strips: LRUCache[tuple[Any, ...], Strip] = LRUCache(2_000)
        self._top_offset: int | None = None

    @property
    def empty(self) -> str | Sequence[str]:
        """Text that is shown if there are no rows."""
        return self._empty

    @empty.setter
    def empty(self, words: str | Sequence[str]) -> None:
        if words != self._empty:
            self._empty = words
            self.refresh()

    # ---- for subclasses

    @property
    def count(self) -> int:
        raise NotImplementedError

    @property
    def cursor(self) -> int | None:
        """Position of the selected row."""
        raise NotImplementedError

    def is_selected(self, index: int) -> bool:
        """Return True if the row at this position is selected, or part of the selected one."""
        return index == self.cursor

    def select(self, index: int) -> None:
        """Select a position for the user; it is within the list."""
        raise NotImplementedError

    def heading(self, width: int) -> Line:
        raise NotImplementedError

    def row_line(self, index: int, width: int) -> Line:
        """Return the row at its exact width, without the mark in front."""
        raise NotImplementedError

    def row_key(self, index: int) -> object | None:
        """Return the state, besides the width, that the row's drawing depends on; None if it must not be cached."""
        raise NotImplementedError

    def row_mark(self, index: int) -> str:  # noqa: ARG002 - for subclasses
        """Return the character in front of the row."""
        return " "

    # ---- drawing

    @property
    def body_height(self) -> int:
        return max(0, self.size.height - 1)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return self.strip(crop((span(" "), *self.heading(width - 1)), width), width, self.role_style("heading"))
        index = round(self.scroll_y) + y - 1
        if index >= self.count:
            return self._empty_line(y, width)
        is_cursor = self.is_selected(index)
        mark = ">" if index == self.cursor and self.row_mark(index) == " " else self.row_mark(index)
        kept = self.row_key(index)
        key = (kept, width, is_cursor, mark, self.has_focus)
        strip = self._strips.get(key) if kept is not None else None
        if strip is None:
            parts = (span(mark, "accent" if mark != " " else ""), *self.row_line(index, width - 1))
            strip = self.strip(crop(parts, width), width, self._base(is_cursor))
            if kept is not None:
                self._strips[key] = strip
        return strip

    def _base(self, is_cursor: bool) -> Style:
        if not is_cursor:
            return Style.null()
        return self.role_style("cursor" if self.has_focus else "cursor-quiet")

    def _empty_line(self, y: int, width: int) -> Strip:
        words = [self._empty] if isinstance(self._empty, str) else self._empty
        number = y - 3
        if self.count or not 0 <= number < len(words):
            return self.strip((), width)
        return self.strip(crop(line(span("  " + words[number], "note")), width), width)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def redraw(self) -> None:
        """Discard everything cached."""
        self._strips.clear()
        self.refresh()

    def update_size(self) -> None:
        """Update the number of rows. Setting the size triggers a layout, so it is set only if it changed."""
        size = Size(self.size.width, self.count + 1)
        if size != self.virtual_size:
            self.virtual_size = size

    def on_resize(self) -> None:
        self.update_size()
        self.show_cursor()

    # ---- moving

    def show_cursor(self) -> None:
        """Scroll as little as possible to bring the selected row in sight."""
        index = self.cursor
        if index is None:
            return
        top = round(self.scroll_y)
        height = max(1, self.body_height)
        last = index
        while last + 1 < self.count and last - index < height - 1 and self.is_selected(last + 1):
            last += 1
        if index < top:
            self.jump(index)
        elif last >= top + height:
            self.jump(last - height + 1)

    def jump(self, top: int) -> None:
        """Scroll this position to the top."""
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)

    def choose(self, index: int) -> None:
        """Select a position for the user."""
        if self.count:
            self.select(max(0, min(index, self.count - 1)))
            self.show_cursor()
            self.refresh()
            self.post_message(self.Moved(self))

    def action_move(self, by: int) -> None:
        if self.cursor is not None:
            self.choose(self.cursor + by)

    def action_page(self, pages: float) -> None:
        self.action_move(int(pages * max(2, self.body_height - 1)))

    def action_first(self) -> None:
        self.choose(0)

    def action_last(self) -> None:
        self.choose(self.count - 1)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y == 0:
            return
        index = round(self.scroll_y) + offset.y - 1
        if index < self.count:
            was = self.cursor
            self.choose(index)
            if event.chain > 1 and was == index:
                self.post_message(self.Opened())


class ItemList(LineList):
    """Items in memory (tables, steps, attempts), identified by a key so that the selection survives a reload.

    An item has one row, and any number of rows below it.
    """

    def __init__(self, *, id: str | None = None, empty: str = "nothing here") -> None:  # noqa: A002
        super().__init__(id=id, empty=empty)
        self._keys: list[object] = []
        self._rows: list[tuple[int, Line | Callable[[], Line]]] = []
        """Item and line of each row."""
        self._first: list[int] = []
        """First row of each item."""
        self.marks: Collection[object] = ()
        """Keys of the marked items."""
        self._heading: Line = ()
        self._selected = 0

    def show(self, heading: Line, items: Sequence[Item], below: Mapping[object, Sequence[Line]] = NOTHING) -> None:
        """Replace the items, each a key and a line, and by the key the lines below it."""
        chosen = self.selected_key
        self._heading = heading
        self._keys = [key for key, _ in items]
        self._rows, self._first = [], []
        for number, (key, one) in enumerate(items):
            self._first.append(len(self._rows))
            self._rows += [(number, row) for row in (one, *below.get(key, ()))]
        places = [number for number, key in enumerate(self._keys) if key == chosen]
        self._selected = places[0] if places else max(0, min(self._selected, len(self._keys) - 1))
        self.update_size()
        self.show_cursor()
        self.redraw()

    @property
    def selected_key(self) -> object | None:
        return self._keys[self._selected] if self._keys else None

    def select_key(self, wanted: object) -> None:
        for number, key in enumerate(self._keys):
            if key == wanted:
                self.choose(self._first[number])

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def cursor(self) -> int | None:
        return self._first[self._selected] if self._keys else None

    def is_selected(self, index: int) -> bool:
        return self._rows[index][0] == self._selected

    def select(self, index: int) -> None:
        self._selected = self._rows[index][0]

    def action_move(self, by: int) -> None:
        if self._keys:
            self.choose(self._first[max(0, min(self._selected + by, len(self._keys) - 1))])

    def action_page(self, pages: float) -> None:
        if self._keys:
            self.choose(self._first[self._selected] + int(pages * max(2, self.body_height - 1)))

    def heading(self, width: int) -> Line:
        return crop(self._heading, width)

    def row_line(self, index: int, width: int) -> Line:
        found = self._rows[index][1]
        return crop(found() if callable(found) else found, width)

    def row_key(self, index: int) -> object | None:  # noqa: ARG002 - few rows, redrawn each time
        return None

    def row_mark(self, index: int) -> str:
        item = self._rows[index][0]
        return "m" if self._keys[item] in self.marks and self._first[item] == index else " "
