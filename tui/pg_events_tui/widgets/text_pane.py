"""Pane of wrapped, scrolling lines: details, plans, tracebacks, help."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pg_events_tui.text.lines import Line, crop, wrap
from pg_events_tui.widgets.painted import Painted

Text = Callable[[int], Sequence[Line]]
"""Returns the lines for a pane of a width."""


class TextPane(Painted, ScrollView, can_focus=True):
    """Pane of lines; those wider than the pane continue below, indented."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_by(1)", "down", show=False),
        Binding("k,up", "scroll_by(-1)", "up", show=False),
        Binding("pagedown,ctrl+d", "scroll_page(1)", "page down", show=False),
        Binding("pageup,ctrl+u", "scroll_page(-1)", "page up", show=False),
        Binding("g,home", "scroll_edge(0)", "first", show=False),
        Binding("G,end", "scroll_edge(1)", "last", show=False),
    ]

    def __init__(self, *, id: str | None = None, indent: int = 4) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._indent = indent
        self._text: Text = lambda _: ()
        self._fixed: list[Line] = []
        self._rows: list[Line] = []

    def show(self, text: Text | Sequence[Line], *, fixed: Sequence[Line] = (), keep_place: bool = False) -> None:
        """Replace the lines; the `fixed` ones stay at the top.

        `keep_place` keeps the scroll position for an updated text.
        """
        self._text = text if callable(text) else lambda _: text
        self._fixed = list(fixed)
        self._lay_out()
        if not keep_place:
            self.scroll_to(y=0, animate=False, immediate=True, force=True)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width  # the width without the scrollbar, even if that is hidden
        self._rows = [row for one in self._text(width) for row in wrap(one, width, self._indent)] if width else []
        self.virtual_size = Size(width, len(self._rows) + len(self._fixed))
        self.refresh()

    @property
    def text(self) -> str:
        """Shown text without styles."""
        return "\n".join("".join(part.text for part in row) for row in (*self._fixed, *self._rows))

    def on_resize(self) -> None:
        self._lay_out()

    def render_line(self, y: int) -> Strip:
        if y < len(self._fixed):
            return self.strip(crop(self._fixed[y], self.size.width), self.size.width)
        index = round(self.scroll_y) + y - len(self._fixed)
        return self.strip(self._rows[index] if index < len(self._rows) else (), self.size.width)

    def action_scroll_by(self, lines: int) -> None:
        self.scroll_to(y=self.scroll_y + lines, animate=False, immediate=True)

    def action_scroll_page(self, pages: int) -> None:
        self.action_scroll_by(pages * max(1, self.size.height - 1))

    def action_scroll_edge(self, end: int) -> None:
        self.scroll_to(y=self.max_scroll_y if end else 0, animate=False, immediate=True)
