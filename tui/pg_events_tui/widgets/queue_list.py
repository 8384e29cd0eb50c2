"""Queue of a replay as a list that reads only the visible rows."""

from collections.abc import Sequence
from datetime import tzinfo

from pg_events_tui.replay import lines
from pg_events_tui.replay.session import Replay
from pg_events_tui.text.lines import Line
from pg_events_tui.widgets.line_list import LineList


class QueueList(LineList):
    """List of the given rows, controlled by the screen."""

    def __init__(self, zone: tzinfo | None, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._zone = zone
        self._replay: Replay | None = None
        self._rows: Sequence[int] = range(0)
        self._selected = 0

    def show(self, replay: Replay | None, rows: Sequence[int]) -> None:
        """Show these rows of the queue; the selected one keeps its position among them."""
        chosen = self.selected_row if replay is self._replay else None
        self._replay, self._rows = replay, rows
        if chosen is not None and self.selected_row != chosen:
            self._selected = next((place for place, row in enumerate(rows) if row >= chosen), len(rows) - 1)
        self._selected = max(0, min(self._selected, len(rows) - 1))
        self.update_size()
        self.redraw()

    @property
    def selected_row(self) -> int | None:
        return self._rows[self._selected] if self._selected < len(self._rows) else None

    def select_row(self, row: int) -> None:
        """Select a row without a message, because playing has reached it."""
        place = (
            row if isinstance(self._rows, range) else next((n for n, one in enumerate(self._rows) if one == row), -1)
        )
        if 0 <= place < len(self._rows):
            self._selected = place
            self.show_cursor()
            self.redraw()

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def cursor(self) -> int | None:
        return self._selected if self._rows else None

    def select(self, index: int) -> None:
        self._selected = index

    def heading(self, width: int) -> Line:
        return lines.queue_heading(width) if self._rows else ()

    def row_line(self, index: int, width: int) -> Line:
        assert self._replay is not None
        return lines.queue_row(self._replay, self._rows[index], width, self._zone)

    def row_key(self, index: int) -> object | None:  # noqa: ARG002 - results come at any time
        return None
