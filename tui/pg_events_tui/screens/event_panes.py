"""List of events with the selected one beside it."""

from collections.abc import Iterator

from textual.containers import Horizontal
from textual.widget import Widget

from pg_events.event import Record
from pg_events_tui.model.store import NOTE
from pg_events_tui.model.summary import LETTERS, summary
from pg_events_tui.model.view import Mode, View
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.listing import Listing
from pg_events_tui.text import copying
from pg_events_tui.text.lines import line, span
from pg_events_tui.widgets.event_detail import EventDetail
from pg_events_tui.widgets.event_list import EventList
from pg_events_tui.widgets.rows import Row


class EventPanes:
    """View of the store as a list, with the details of its selected event."""

    def __init__(self, screen: ConsoleScreen, host: Host, view: View, listing: Listing) -> None:
        self.screen = screen
        self.host = host
        self.view = view
        self.listing = listing

    def compose(self) -> Iterator[Widget]:
        zone, dates = self.host.clock.zone, self.listing.dates
        with Horizontal(id="body"):
            yield EventList(self.view, zone, dates=dates, today=self.host.stream.today, id="events")
            yield EventDetail(self.view.store, zone, id="detail")
        yield Row(id="preview")

    @property
    def events(self) -> EventList:
        return self.screen.query_one("#events", EventList)

    @property
    def detail(self) -> EventDetail:
        return self.screen.query_one("#detail", EventDetail)

    def toggle_pause(self) -> None:
        self.events.change(self.view.toggle_pause)
        self.events.redraw()

    # ---- the selected event

    def taken(self) -> int | None:
        """Return the selected row and stop following, so that a key acts on the row that the user saw."""
        if self.view.selected is None:
            self.host.notices.say("nothing is selected", "warning")
            return None
        self.events.change(self.view.hold)
        return self.view.selected

    def taken_record(self) -> Record | None:
        if self.taken() is None:
            return None
        record = self.selected_record()
        if record is not None and record.kind == NOTE:
            self.host.notices.say("this row is no event", "warning")
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

    # ---- the detail

    def show_detail(self) -> None:
        row = self.view.selected
        self._show_preview(row)
        pane = self.detail
        record = self.selected_record() if self.listing.only is not None else None
        notes = self.listing.notes(self.host, record) if record is not None else ()
        pane.show_event(row, passing_by=self.view.mode is Mode.FOLLOW, notes=notes)
        self.screen.titled(pane, pane.heading, "d next face · z zoom · y copy" if row is not None else "")

    def _show_preview(self, row: int | None) -> None:
        """Show the selected event in one line if there is no room for the detail."""
        preview = self.screen.query_one("#preview", Row)
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

    def show_next_tab(self) -> None:
        self.detail.face = (self.detail.face + 1) % len(copying.FACES)
        self.show_detail()

    def toggle_fold(self) -> None:
        self.detail.unfolded = not self.detail.unfolded
        self.show_detail()

    def open(self) -> None:
        """Focus the detail beside the list; without room, it replaces the list."""
        if self.taken() is not None:
            self.show_detail()
            self.screen.open_detail()
