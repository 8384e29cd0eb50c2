"""Top rows, the same on every screen: health, tabs, and a banner if the database is lost."""

from textual import events
from textual.message import Message
from textual.strip import Strip

from pg_events_tui.text.health import Health as Health
from pg_events_tui.text.health import banner_lines, health_line, tab_line
from pg_events_tui.text.lines import Line
from pg_events_tui.widgets.painted import Painted


class Header(Painted):
    """Health and tabs in two rows, or four if the database is lost."""

    class Chosen(Message):
        """Message that a tab was clicked."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, mode: str) -> None:
        super().__init__(id="header")
        self._mode = mode
        self._rows: list[Line] = []
        self._places: list[tuple[int, int, str]] = []
        self._health: Health | None = None

    def show(self, health: Health) -> None:
        self._health = health
        self._lay_out()

    def _lay_out(self) -> None:
        cells = self.size.width
        if self._health is None or not cells:
            return
        tabs, self._places = tab_line(self._health, self._mode, cells)
        rows = [health_line(self._health, cells), tabs, *banner_lines(self._health, cells)]
        if rows != self._rows:
            if len(rows) != len(self._rows):
                self.styles.height = len(rows)
            self._rows = rows
            self.refresh()

    def on_resize(self) -> None:
        self._lay_out()

    def render_line(self, y: int) -> Strip:
        return self.strip(self._rows[y] if y < len(self._rows) else (), self.size.width)

    def on_click(self, event: events.Click) -> None:
        for start, end, mode in self._places:
            if event.y == 1 and start <= event.x < end:
                self.post_message(self.Chosen(mode))
