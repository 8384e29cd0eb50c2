"""Live and Schema: events in a list, the selected one beside it."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from pg_events.errors import FilterError
from pg_events.event import Record
from pg_events.filter import Filter, parse
from pg_events.filter_condition import And
from pg_events.text import counted
from pg_events_tui import describe, keys, scan
from pg_events_tui.lines import Line, crop, line, size_words, span
from pg_events_tui.replay import NoTarget
from pg_events_tui.scan import Passing
from pg_events_tui.screens.base import EXTRA_WIDE, ConsoleScreen
from pg_events_tui.summary import GIANT_BYTES, LETTERS, summary
from pg_events_tui.view import Mode, View
from pg_events_tui.widgets.event_list import EventList
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import LineList
from pg_events_tui.widgets.rows import FilterRow, Row
from pg_events_tui.widgets.text_pane import TextPane

SEARCH_SECONDS = 0.008


class EventsScreen(ConsoleScreen):
    """A view of the store, with filter, follow, marks and the faces of an event."""

    EMPTY: ClassVar[Sequence[str]] = ()

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.filter_text = ""
        """What is applied; kept while the filter is off."""
        self.filter_on = False
        self._filter_before = ("", False)
        self._filter_error: FilterError | None = None
        self._face = 0
        self._unfolded = False
        self._detail_of: tuple[object, ...] | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield EventList(self.view, self.app.zone, dates=self.MODE == "schema", id="events")
            yield TextPane(id="detail")
        yield Row(id="preview")

    def on_mount(self) -> None:
        self.query_one("#events").add_class("pane")
        self.query_one("#detail").add_class("pane")
        self.query_one("#events").focus()

    @property
    def events(self) -> EventList:
        return self.query_one("#events", EventList)

    # ---- the tick

    def tick(self, health: Health) -> None:
        found = self.events
        found.narrow, found.extra = not self.is_wide, self.app.size.width >= EXTRA_WIDE
        found.empty = self._empty_words()
        found.change(self.view.sync)
        if self.view.searching is not None:
            self.run_worker(self._search(), group="search", exclusive=False) if not self._is_searching() else None
        new = self.view.new
        where = f"+{new:,} new · G follow" if new else ""
        self.titled(found, self.list_title(), where)
        self._show_filter()
        self._show_detail()
        super().tick(health)

    def list_title(self) -> str:
        return "Events"

    def _empty_words(self) -> Sequence[str]:
        if self.view.filtered and len(self.view.store):
            return (
                ("searching …",)
                if self.view.searching is not None
                else ("nothing matches the filter", "F takes it off · / edits it")
            )
        link = self.app.link
        if link.state in ("down", "connecting") and not link.received:
            return ("not connected yet",)
        return self.EMPTY

    def state_words(self) -> tuple[Line, Line]:
        view = self.view
        index = view.selected_index
        place = f"row {index + 1:,} of {len(view):,}" if index is not None else "no rows"
        marks = f" · {len(view.marks)} marked" if view.marks else ""
        words, role, remedy = {
            Mode.FOLLOW: ("FOLLOWING the newest", "good", "space pauses"),
            Mode.FROZEN: ("HOLDING your place (new events are added below)", "warning", "G follows"),
            Mode.PAUSED: ("PAUSED view (still taking events in)", "warning", "space resumes"),
        }[view.mode]
        if view.newest_first and view.mode is Mode.FROZEN:
            words = "HOLDING your place (new events are added above)"
        if not self.is_wide:
            words = words.partition(" (")[0]
        return line(span(f" {words}", role), span(f" · {place}{marks}", "note")), line(span(f"{remedy} ", "note"))

    # ---- the filter

    def passing(self, wanted: Filter | None) -> Passing | None:
        """How the view finds what passes."""
        return None if wanted is None else scan.passing(self.view.store, wanted)

    def action_filter(self) -> None:
        self._filter_before = (self.filter_text, self.filter_on)
        self._filter_error = None
        self.query_one(FilterRow).edit(self.filter_text)

    def on_filter_row_changed(self, event: FilterRow.Changed) -> None:
        self._apply(event.text, bool(event.text.strip()))

    def on_filter_row_closed(self, event: FilterRow.Closed) -> None:
        if not event.kept:
            self._apply(*self._filter_before)
        self._filter_error = None
        self.events.focus()

    def _apply(self, text: str, on: bool) -> None:
        """Show what matches; a text that cannot be read leaves the last one that could in force."""
        try:
            wanted = parse(text) if on else None
        except FilterError as error:
            self._filter_error = error
            self._show_filter()
            return
        self._filter_error = None
        self.filter_text, self.filter_on = text, on
        self.events.change(lambda: self.view.set_filter(self.passing(wanted)))
        self.events.show_cursor()
        self.events.redraw()
        if self.view.searching is not None and not self._is_searching():
            self.run_worker(self._search(), group="search")
        self._show_filter()

    def _is_searching(self) -> bool:
        return any(worker.group == "search" and worker.is_running for worker in self.workers if worker.node is self)

    async def _search(self) -> None:
        """Look at older events in slices, so that keys are answered between them."""
        import asyncio

        while self.view.search(SEARCH_SECONDS):
            await asyncio.sleep(0)

    def action_toggle_filter(self) -> None:
        if not self.filter_text:
            self.say("there is no filter; / makes one", "warning")
            return
        self._apply(self.filter_text, not self.filter_on)

    def filter_by(self, text: str) -> None:
        """Show what matches this text, as if it had been typed."""
        self._apply(text, True)

    def action_transaction(self) -> None:
        row = self._taken()
        if row is None:
            return
        text = f"tx:{self.view.store.xid(row)}"
        if self.filter_on and self.filter_text == text:
            self._apply("", False)
        else:
            self._apply(text, True)

    def _show_filter(self) -> None:
        row = self.query_one(FilterRow)
        total = len(self.view.store)
        count = f"{len(self.view):,} of {total:,} match" if self.view.filtered else counted(total, "event")
        if self.view.searching is not None:
            count = f"{len(self.view):,} match · searching {self.view.searching:.0%}"
        right = line(span(f"{count} ", "note"))
        if row.editing:
            error = self._filter_error
            if error is None:
                row.hint(line(span("   ⏎ keeps it · esc takes it back", "note")), right)
            else:
                caret = " " * (error.position + 3) + "^ "
                row.hint(line(span(caret, "bad"), span(error.message, "bad")))
            return
        if not self.filter_text:
            row.words(line(span(" /", "key"), span(" filter", "note")), right)
        else:
            off = "" if self.filter_on else "  (off, F puts it back)"
            row.words(
                line(
                    span(" / ", "key"),
                    span(self.filter_text, "strong" if self.filter_on else "note"),
                    span(off, "note"),
                ),
                right,
            )

    # ---- the detail

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

    def _show_detail(self) -> None:
        row = self.view.selected
        pane = self.query_one("#detail", TextPane)
        wanted = (row, self._face, self._unfolded, self.view.mode is Mode.FOLLOW, self.is_wide, pane.size.width)
        if wanted == self._detail_of:
            return
        same_text = self._detail_of is not None and wanted[:3] == self._detail_of[:3]
        self._detail_of = wanted
        self._show_preview(row)
        if row is None:
            self.titled(pane, "No event", "")
            pane.show([])
            return
        try:
            size = self.view.store.line_bytes(row)
            if size > GIANT_BYTES and self.view.mode is Mode.FOLLOW:
                self.titled(pane, f"#{self.view.store.id(row)}", "")
                pane.show([line(span(f"{size_words(size)}: select it to look inside", "note"))])
                return
            record = self.view.store.record(row)
        except IndexError:
            return
        self.titled(pane, crop(line(span(describe.title(record))), 60)[0].text, "d next face · z zoom · y copy")
        fixed = [*describe.head(record, self.app.zone), line(), self._faces(pane.size.width)]
        name, unfolded = describe.FACES[self._face], self._unfolded
        pane.show(
            lambda cells: describe.face(record, name, cells, unfolded=unfolded), fixed=fixed, keep_place=same_text
        )

    def _faces(self, cells: int) -> Line:
        parts = [
            span(f"[{name}]" if number == self._face else f" {name} ", "tab" if number == self._face else "note")
            for number, name in enumerate(describe.FACES)
        ]
        return crop(tuple(parts), max(1, cells))

    def _show_preview(self, row: int | None) -> None:
        """Where there is no room for the detail: the selected event in one line."""
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
        self._face = (self._face + 1) % len(describe.FACES)
        self._show_detail()

    def action_fold(self) -> None:
        self._unfolded = not self._unfolded
        self._show_detail()

    def action_open(self) -> None:
        """The detail in full: beside the list it is focused, without room it takes the list's place."""
        if self.view.selected is None:
            self.say("nothing is selected", "warning")
            return
        self.events.change(self.view.hold)
        self._show_detail()
        pane = self.query_one("#detail", TextPane)
        if not self.is_wide:
            self.set_class(True, "-zoomed")
            for one in self.query(".pane"):
                one.set_class(one is pane, "-front")
        pane.focus()

    def action_step(self, by: int) -> None:
        self.events.action_move(by)

    def leave_zoom(self) -> bool:
        was = super().leave_zoom()
        if was:
            self.events.focus()
        return was

    def action_leave(self) -> None:
        if self.leave_zoom():
            return
        if not self.events.has_focus:
            self.events.focus()
        elif self.filter_on:
            self._apply(self.filter_text, False)
        elif self.view.mode is Mode.PAUSED:
            self.action_pause()

    # ---- keys

    def why_not(self, action: str) -> str:
        if action == "replay":
            if self.app.read_only:
                return "replay is off: the console was started with --read-only"
            return self._no_target()
        if action in ("open", "mark", "transaction", "copy") and self.view.selected is None:
            return "nothing is selected"
        return ""

    def _no_target(self) -> str:
        row = self.view.selected
        if row is None:
            return "nothing is selected"
        try:
            self.app.target(self.view.store.kind(row))
        except NoTarget as reason:
            return str(reason)
        except IndexError:
            return "nothing is selected"
        return ""

    def _taken(self) -> int | None:
        """The selected row, held still: what a key acts on must be what the user saw."""
        if self.view.selected is None:
            self.say("nothing is selected", "warning")
            return None
        self.events.change(self.view.hold)
        return self.view.selected

    def action_last(self) -> None:
        self.events.action_last()

    def action_pause(self) -> None:
        self.events.change(self.view.toggle_pause)
        self.events.redraw()

    def action_mark(self) -> None:
        if self._taken() is not None:
            self.view.toggle_mark()
            self.events.redraw()

    def action_replay(self) -> None:
        if self.refused("replay") or self._taken() is None:
            return
        record = self.selected_record()
        if record is not None:
            self.app.ask_to_replay(record)

    def copied(self) -> tuple[str, str] | None:
        if self.view.selected is None:
            return None
        self.events.change(self.view.hold)
        record = self.selected_record()
        return None if record is None else (f"event #{record.id}", record.payload)


class LiveScreen(EventsScreen):
    """Every event, as it happens."""

    MODE: ClassVar[str] = "live"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("live")]
    EMPTY: ClassVar[Sequence[str]] = (
        "no events yet",
        "as soon as a covered table changes, it shows here",
        "2 shows which tables are covered",
    )


class SchemaScreen(EventsScreen):
    """What DDL ran, the newest on top."""

    MODE: ClassVar[str] = "schema"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("schema")]
    EMPTY: ClassVar[Sequence[str]] = ("no schema events yet", "CREATE, ALTER and DROP show here")

    def on_mount(self) -> None:
        self._apply("", False)

    def list_title(self) -> str:
        return "DDL, newest first"

    def passing(self, wanted: Filter | None) -> Passing:
        ddl = parse("is:ddl")
        both = ddl if wanted is None else Filter(And((ddl.condition, wanted.condition)))
        return scan.passing(self.view.store, both)

    def _show_filter(self) -> None:
        super()._show_filter()
        row = self.query_one(FilterRow)
        if not row.editing and not self.filter_text:
            row.words(
                line(span(" /", "key"), span(" filter", "note")),
                line(span(f"{counted(len(self.view), 'schema event')} ", "note")),
            )

    def action_show_in_live(self) -> None:
        row = self._taken()
        if row is not None:
            self.app.show_in_live(row)
