"""List of events: a `View` drawn row by row."""

from collections.abc import Callable, Sequence
from datetime import date, tzinfo
from typing import Final, NamedTuple

from rich.cells import cell_len
from textual import events

from pg_events.text.formatting import format_bytes
from pg_events_tui.model.store import NOTE
from pg_events_tui.model.summary import LETTERS, Summary, clock, day, summary
from pg_events_tui.model.view import Mode, View
from pg_events_tui.text.lines import Line, Span, fit, span
from pg_events_tui.widgets.line_list import LineList

KIND_ROLES: Final = {"I": "added", "U": "changed", "D": "removed", "T": "removed", "S": "schema", "E": "key"}


COLUMNS: Final = ("seq", "time", "op", "table", "key", "changed", "tx", "user", "application", "size", "query")
"""All columns."""


class Column(NamedTuple):
    """Column of the list and its width."""

    name: str
    cells: int


def fit_names(names: Sequence[str], cells: int) -> str:
    """Fit names into the width, with the number of those left out: `status,total,+2`."""
    for count in range(len(names), 0, -1):
        text = ",".join([*names[:count], *([f"+{len(names) - count}"] if count < len(names) else [])])
        if cell_len(span(text).text) <= cells:
            return text
    return names[0]


class EventList(LineList):
    """Events in the order of the log."""

    def __init__(
        self,
        view: View,
        zone: tzinfo | None = None,
        *,
        dates: bool = False,
        today: Callable[[], date] | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.view = view
        self.zone = zone
        self.narrow = False
        """True if there is no room for the numbers of event and transaction."""
        self.extra = False
        """True if there is room for the user and application."""
        self.chosen: Sequence[str] = ()
        """Columns chosen by the user, in order; if empty, those that fit are shown."""
        self.matches: Callable[[int], bool] | None = None
        """Returns True for rows that match the search."""
        self._dates = dates
        self._today = today
        self._time_cells = 18 if dates else 12
        self._table_cells = 14
        self._key_cells = 6
        self._seq_cells = 6
        self._tx_cells = 6
        self._count_was = 0
        self._cursor_was: int | None = None

    # ---- the view

    @property
    def count(self) -> int:
        return len(self.view)

    @property
    def cursor(self) -> int | None:
        return self.view.selected_index

    def select(self, index: int) -> None:
        self.view.select(index)

    def row_key(self, index: int) -> object | None:
        return (self.view.row(index), self.narrow, self.extra, *self.chosen, *self._cells())

    def change(self, change: Callable[[], object]) -> None:
        """Change the view by a function that may add, drop or hide rows; the selected row keeps its position on screen."""
        change()
        self.settle()

    def settle(self) -> None:
        """Draw the changes of the view since the last call."""
        self.update_size()
        count, count_was = self.count, self._count_was
        cursor, cursor_was = self.cursor, self._cursor_was
        self._count_was, self._cursor_was = count, cursor
        if self.view.mode is Mode.FOLLOW:
            self.jump(0 if self.view.newest_first else max(0, count - self.body_height))
            if count != count_was or cursor != cursor_was:
                self.refresh()
            return
        top = round(self.scroll_y)
        if cursor is not None and cursor_was is not None and cursor != cursor_was:
            top = max(0, top + cursor - cursor_was)
            self.jump(top)
        if cursor != cursor_was or (count != count_was and top + self.body_height >= min(count, count_was)):
            self.refresh()

    def choose(self, index: int) -> None:
        super().choose(index)
        self._cursor_was, self._count_was = self.cursor, self.count

    def action_last(self) -> None:
        """Resume following."""
        self.change(self.view.follow)
        self.post_message(self.Moved(self))

    def action_first(self) -> None:
        self.choose(0)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:  # noqa: ARG002 - the base class scrolls
        self.view.hold()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:  # noqa: ARG002
        if self.view.newest_first:
            self.view.hold()

    # ---- drawing

    def _cells(self) -> tuple[int, int, int, int, int]:
        return self._time_cells, self._seq_cells, self._table_cells, self._key_cells, self._tx_cells

    def _columns(self, width: int) -> list[Column]:
        wanted = list(self.chosen) or self._fitting()
        narrow = self.narrow and not self.chosen
        cells = {
            "seq": self._seq_cells,
            "time": self._time_cells,
            "op": 2,
            "table": min(self._table_cells, width // (4 if narrow else 3)),
            "key": min(self._key_cells, width // 7 if narrow else 12),
            "tx": self._tx_cells,
            "user": 12,
            "application": 16,
            "size": 8,
            "query": max(20, width // 4),
        }
        fixed = sum(cells.get(name, 0) + 1 for name in wanted)
        return [Column(name, cells.get(name, max(6, width - fixed - 1))) for name in wanted]

    def _fitting(self) -> list[str]:
        """Return the columns that fit, in their order."""
        if self._dates:
            # DDL has no row key, and its statement needs the room; the detail has the transaction.
            return ["time", "op", "table", "changed", *(["user", "application"] if self.extra else [])]
        if self.narrow:
            return ["time", "op", "table", "key", "changed"]
        extra = ["user", "application"] if self.extra else []
        return ["seq", "time", "op", "table", "key", "changed", "tx", *extra]

    @property
    def shown_columns(self) -> Sequence[str]:
        return self.chosen or self._fitting()

    def heading(self, width: int) -> Line:
        self._measure()
        titles = {"changed": "statement"} if self._dates else {}
        return tuple(Span(fit(titles.get(name, name), cells) + " ", "heading") for name, cells in self._columns(width))

    def _measure(self) -> None:
        """Widen columns for the visible rows; they never shrink, so that the layout is stable."""
        top = round(self.scroll_y)
        before = self._cells()
        for index in range(top, min(top + self.body_height, self.count)):
            try:
                row = self.view.row(index)
                store = self.view.store
                self._table_cells = max(self._table_cells, min(32, cell_len(self._table(store.table(row)))))
                if self._time_cells == 12 and self._is_of_another_day(store.at(row)):
                    self._time_cells = 14
                self._seq_cells = max(self._seq_cells, len(str(store.id(row))))
                self._tx_cells = max(self._tx_cells, len(str(store.xid(row))))
            except IndexError:
                continue
        if self._cells() != before:
            self.refresh()

    def _is_of_another_day(self, at: float) -> bool:
        return self._today is not None and day(at, self.zone) != self._today()

    def _time(self, at: float) -> str:
        """Format the time of day; on another day with the date, to the second."""
        if self._dates or not self._is_of_another_day(at):
            return clock(at, self.zone, date=self._dates)
        return clock(at, self.zone, date=True)[:14]

    def row_line(self, index: int, width: int) -> Line:
        try:
            found = summary(self.view.store, self.view.row(index))
        except IndexError:  # trimmed since the tick
            return (span("…", "note"),)
        if found.kind == NOTE:
            return self._note(found, width)
        if self._key_cells < 12 and not self._dates:
            self._key_cells = max(self._key_cells, min(12, cell_len(span(found.key).text)))
        return tuple(self._cell(found, name, cells) for name, cells in self._columns(width))

    def _note(self, found: Summary, width: int) -> Line:
        """Format a note about the link, across all columns."""
        words = span(f"── {clock(found.at, self.zone)} {found.changed} ").text
        return (Span(fit(words + "─" * max(0, width - cell_len(words)), width), "noted"),)

    def row_mark(self, index: int) -> str:
        row = self.view.row(index)
        if row in self.view.marks:
            return "m"
        return "/" if self.matches is not None and self.matches(row) else " "

    def _table(self, name: str) -> str:
        return name.removeprefix("public.")

    def _cell(self, found: Summary, name: str, cells: int) -> Span:
        kind_role = KIND_ROLES.get(found.kind, "")
        text, role = {
            "seq": (found.seq, "quiet"),
            "time": (self._time(found.at), "quiet"),
            "op": (LETTERS.get(found.kind, found.kind), kind_role),
            "table": (self._table(found.table), ""),
            "key": (found.key, "key"),
            "changed": (
                fit_names(found.names, cells) if found.names else found.changed,
                "schema" if found.kind == "S" else "" if found.names else "note",
            ),
            "tx": (found.tx, "quiet"),
            "user": (found.user, "quiet"),
            "application": (found.application, "quiet"),
            "size": (format_bytes(found.size), "quiet"),
            "query": (found.query, "note"),
        }[name]
        return Span(fit(span(text).text, cells) + " ", role)
