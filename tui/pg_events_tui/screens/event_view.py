"""List of events with the selected one beside it."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal

from pg_events.event import Record
from pg_events_tui.model.store import NOTE
from pg_events_tui.model.summary import LETTERS, summary
from pg_events_tui.model.view import Mode, View
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.text import copying
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets.event_detail import EventDetail
from pg_events_tui.widgets.event_list import EventList
from pg_events_tui.widgets.line_list import LineList
from pg_events_tui.widgets.rows import Row


class EventView(ConsoleScreen):
    """View of the store as a list, with the details of its selected event."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield EventList(self.view, self.app.zone, dates=self.MODE == "schema", today=self.app.today, id="events")
            yield EventDetail(self.view.store, self.app.zone, id="detail")
        yield Row(id="preview")

    def on_mount(self) -> None:
        self.events.add_class("pane")
        self.detail.add_class("pane")
        self.events.focus()

    @property
    def events(self) -> EventList:
        return self.query_one("#events", EventList)

    @property
    def detail(self) -> EventDetail:
        return self.query_one("#detail", EventDetail)

    def action_pause(self) -> None:
        self.events.change(self.view.toggle_pause)
        self.events.redraw()

    # ---- the selected event

    def _taken(self) -> int | None:
        """Return the selected row and stop following, so that a key acts on the row that the user saw."""
        if self.view.selected is None:
            self.say("nothing is selected", "warning")
            return None
        self.events.change(self.view.hold)
        return self.view.selected

    def _taken_record(self) -> Record | None:
        if self._taken() is None:
            return None
        record = self.selected_record()
        if record is not None and record.kind == NOTE:
            self.say("this row is no event", "warning")
            return None
        return record

    def selected_record(self) -> Record | None:
        row = self.view.selected
        if row is None:
            return None
        try:
            return self.view.store.record(row)
        except IndexError:
            return None

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self._show_detail()

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    def detail_notes(self) -> Sequence[Line]:
        """Return notes about the selected event that are not part of it."""
        return ()

    def _show_detail(self) -> None:
        row = self.view.selected
        self._show_preview(row)
        pane = self.detail
        pane.show_event(row, passing_by=self.view.mode is Mode.FOLLOW, notes=self.detail_notes())
        self.titled(pane, pane.heading, "d next face · z zoom · y copy" if row is not None else "")

    def _show_preview(self, row: int | None) -> None:
        """Show the selected event in one line if there is no room for the detail."""
        preview = self.query_one("#preview", Row)
        if row is None:
            preview.show(())
            return
        try:
            found = summary(self.view.store, row)
        except IndexError:
            return
        changed = ", ".join(found.names) or found.changed
        who = f"{found.user} {found.application}"
        text = f"#{found.seq} {LETTERS.get(found.kind, '')} {found.table} {found.key}  {changed}  {who}"
        preview.show(line(span(" "), span(text)), line(span(" ⏎ detail ", "note")))

    def action_face(self) -> None:
        self.detail.face = (self.detail.face + 1) % len(copying.FACES)
        self._show_detail()

    def action_fold(self) -> None:
        self.detail.unfolded = not self.detail.unfolded
        self._show_detail()

    def action_open(self) -> None:
        """Focus the detail beside the list; without room, it replaces the list."""
        if self.view.selected is None:
            self.say("nothing is selected", "warning")
            return
        self.events.change(self.view.hold)
        self._show_detail()
        self.open_detail()

    def action_step(self, by: int) -> None:
        self.events.action_move(by)

    def leave_zoom(self) -> bool:
        was = super().leave_zoom()
        if was:
            self.events.focus()
        return was
