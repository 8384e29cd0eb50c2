"""What Live and Schema share: events in a list, the selected one beside it, filtered, searched, marked, copied."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.containers import Horizontal

from pg_events.errors import FilterError
from pg_events.event import Record
from pg_events.filter import Filter, parse
from pg_events.text import counted, one_line
from pg_events_tui import copying, goto, scan, state
from pg_events_tui.filtering import MAX_HISTORY, Filtering, narrowed
from pg_events_tui.lines import Line, line, span
from pg_events_tui.scan import Passing
from pg_events_tui.screens.base import EXTRA_WIDE, ConsoleScreen
from pg_events_tui.screens.dialogs import Ask, Choice, ColumnsDialog, Option
from pg_events_tui.store import NOTE
from pg_events_tui.summary import LETTERS, summary
from pg_events_tui.view import MAX_SORTED, Mode, View
from pg_events_tui.widgets.event_detail import EventDetail
from pg_events_tui.widgets.event_list import COLUMNS, EventList
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import LineList
from pg_events_tui.widgets.rows import FilterRow, Row

SEARCH_SECONDS: Final = 0.008
FIND_BLOCK: Final = 4_096
NUMBERS: Final = "1234567890abcdefhilmoprtuvwxz"
"""Keys of a choice without letters of its own."""


class EventsScreen(ConsoleScreen):
    """A view of the store, with filter, search, follow, marks and the faces of an event."""

    EMPTY: ClassVar[Sequence[str]] = ()

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.filtering = Filtering()
        self.only_marked = False
        self.find_text = ""
        """What was looked for without hiding the rest."""
        self.find_history: list[str] = []
        self._finding = False
        """The field edits what to find, not the filter."""
        self._find_error: FilterError | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield EventList(self.view, self.app.zone, dates=self.MODE == "schema", id="events")
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

    def to_remember(self) -> Mapping[str, Any]:
        return {
            "filter": self.filtering.text,
            "on": self.filtering.on,
            "history": self.filtering.history,
            "find": self.find_text,
            "columns": list(self.events.chosen),
            "face": self.detail.face_name,
            "unfolded": self.detail.unfolded,
        }

    def remember(self, values: Mapping[str, Any]) -> None:
        self.filtering.history = state.texts(values, "history")[-MAX_HISTORY:]
        self.events.chosen = tuple(name for name in state.texts(values, "columns") if name in COLUMNS)
        face = state.text(values, "face")
        if face in copying.FACES:
            self.detail.face = copying.FACES.index(face)
        self.detail.unfolded = state.flag(values, "unfolded")
        self._read_find(state.text(values, "find"))
        text = state.text(values, "filter")
        if text and not self.filtering.apply(text, state.flag(values, "on")):
            self.filtering = Filtering()  # the language has moved on
        self.refresh_filter()

    # ---- the tick

    def tick(self, health: Health) -> None:
        found = self.events
        found.narrow, found.extra = not self.is_wide, self.app.size.width >= EXTRA_WIDE
        found.empty = self._empty_words()
        found.change(self.view.sync)
        if self.view.searching is not None and not self._is_searching():
            self.run_worker(self._search(), group="search")
        self.titled(found, self.list_title(), self._where())
        self._show_filter()
        self._show_detail()
        super().tick(health)

    def list_title(self) -> str:
        return "Events" + (f", by {self.view.sorted_by}" if self.view.sorted_by else "")

    def _where(self) -> str:
        new = self.view.new
        return f"+{new:,} new · G follow" if new else ""

    def _empty_words(self) -> Sequence[str]:
        if self.view.filtered and len(self.view.store):
            if self.view.searching is not None:
                return ("searching …",)
            if self.only_marked:
                return ("nothing is marked", "m marks the selected event · M shows all again")
            return ("nothing matches the filter", "F takes it off · / edits it")
        link = self.app.link
        if link.state == "reading":
            return ("reading the log …",)
        if link.state == "saved":
            return ("there is no event in this log", link.reason)
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
        if view.sorted_by:
            words, role, remedy = f"SORTED by {view.sorted_by} (nothing is added)", "warning", "G follows"
        elif self.app.link.state == "saved":
            words, role, remedy = (
                ("AT THE END of the log", "good", "") if view.mode is Mode.FOLLOW else ("", "", "G to the end")
            )
        if not self.is_wide:
            words = words.partition(" (")[0]
        found = f" · n N: {self.find_text}" if self.find_text else ""
        first = f" {words} · {place}" if words else f" {place}"
        return line(span(first, role), span(f"{marks}{found}", "note")), line(span(f"{remedy} ", "note"))

    # ---- the filter

    def passing(self, wanted: Filter | None) -> Passing | None:
        """How the view finds what passes."""
        if self.only_marked:
            return scan.passing(self.view.store, wanted, also=lambda row: row in self.view.marks)
        return None if wanted is None else scan.passing(self.view.store, wanted)

    def action_filter(self) -> None:
        self._finding = False
        self.filtering.begin()
        self.query_one(FilterRow).edit(self.filtering.text, self.filtering.history)

    def on_filter_row_changed(self, event: FilterRow.Changed) -> None:
        if self._finding:
            self._read_find(event.text)
        else:
            self._apply(event.text, bool(event.text.strip()))

    def on_filter_row_closed(self, event: FilterRow.Closed) -> None:
        if self._finding:
            self._close_find(event.kept)
        elif event.kept:
            self.filtering.keep()
        else:
            self.filtering.take_back()
            self.refresh_filter()
        self.events.focus()

    def _apply(self, text: str, on: bool) -> None:
        """Show what matches; a text that cannot be read leaves the last one that could in force."""
        if self.filtering.apply(text, on):
            self.refresh_filter()
        self._show_filter()

    def refresh_filter(self) -> None:
        """Show what passes now: the filter changed, or what is marked did."""
        self.events.change(lambda: self.view.set_filter(self.passing(self.filtering.wanted)))
        self.events.show_cursor()
        self.events.redraw()
        if self.view.searching is not None and not self._is_searching():
            self.run_worker(self._search(), group="search")

    def _is_searching(self) -> bool:
        return any(worker.group == "search" and worker.is_running for worker in self.workers if worker.node is self)

    async def _search(self) -> None:
        """Look at older events in slices, so that keys are answered between them."""
        while self.view.search(SEARCH_SECONDS):
            await asyncio.sleep(0)

    def action_toggle_filter(self) -> None:
        if not self.filtering.text:
            self.say("there is no filter; / makes one", "warning")
            return
        self._apply(self.filtering.text, not self.filtering.on)

    def filter_by(self, text: str) -> None:
        """Show what matches this text, as if it had been typed."""
        self._apply(text, bool(text))
        self.filtering.keep()

    def action_transaction(self) -> None:
        row = self._taken()
        if row is None:
            return
        text = f"tx:{self.view.store.xid(row)}"
        if self.filtering.on and self.filtering.text == text:
            self._apply("", False)
        else:
            self._apply(text, True)

    def action_by_value(self, include: bool) -> None:
        """Narrow the filter by a value of the selected event."""
        record = self._taken_record()
        if record is None:
            return
        found = copying.conditions(record)
        sign = "" if include else "-"
        options = [
            Option(NUMBERS[number], condition, f"{sign}{condition}")
            for number, condition in enumerate(found[: len(NUMBERS)])
        ]

        def chosen(condition: str | None) -> None:
            if condition:
                self.filter_by(narrowed(self.filtering.text if self.filtering.on else "", condition))

        self.app.push_screen(Choice("Show only" if include else "Leave out", options), chosen)

    def action_marked(self) -> None:
        if not self.only_marked and not self.view.marks:
            self.say("nothing is marked; m marks the selected event", "warning")
            return
        self.only_marked = not self.only_marked
        self.refresh_filter()

    def _show_filter(self) -> None:
        row = self.query_one(FilterRow)
        right = line(span(f"{self._count_words()} ", "note"))
        if row.editing:
            error = self._find_error if self._finding else self.filtering.error
            if error is not None:
                row.hint(line(span(" " * (error.position + 3) + "^ ", "bad"), span(error.message, "bad")))
            elif self._finding:
                row.hint(
                    line(
                        span("   find without hiding · ⏎ goes to the next match, then n and N · esc leaves it", "note")
                    )
                )
            else:
                row.hint(line(span("   ⏎ keeps it · esc takes it back · ↑ ↓ earlier ones", "note")), right)
            return
        row.words(self._filter_words(), right)

    def _count_words(self) -> str:
        total = self.view.store.event_count
        if self.view.searching is not None:
            return f"{len(self.view):,} match · searching {self.view.searching:.0%}"
        return f"{len(self.view):,} of {total:,} match" if self.view.filtered else counted(total, "event")

    def _filter_words(self) -> Line:
        text = self.filtering.text
        marked = [span(" marked only (M shows all)", "warning")] if self.only_marked else []
        if not text:
            return line(span(" /", "key"), span(" filter", "note"), *marked)
        off = "" if self.filtering.on else "  (off, F puts it back)"
        role = "strong" if self.filtering.on else "note"
        return line(span(" / ", "key"), span(text, role), span(off, "note"), *marked)

    # ---- searching without hiding

    def action_find(self) -> None:
        self._finding = True
        self._find_error = None
        self.query_one(FilterRow).edit(self.find_text, self.find_history)

    def _read_find(self, text: str) -> None:
        try:
            wanted = parse(text) if text.strip() else None
        except FilterError as error:
            self._find_error = error
            return
        self._find_error = None
        self.find_text = text if wanted else ""
        found = None if wanted is None else scan.passing(self.view.store, wanted)
        self.events.matches = None if found is None else lambda row: bool(found(row, row + 1))
        self.events.redraw()

    def _close_find(self, kept: bool) -> None:
        self._finding = False
        if not kept:
            self._read_find("")
        elif self.find_text:
            self.find_history.append(self.find_text)
            self.action_find_next(1)

    def action_find_next(self, direction: int) -> None:
        if not self.find_text:
            self.say("nothing to find; ctrl+f says what", "warning")
        elif self.view.selected is not None:
            self.events.change(self.view.hold)
            self.run_worker(self._find_next(direction), group="find", exclusive=True)

    async def _find_next(self, direction: int) -> None:
        async for row in self._matches(direction):
            index = self.view.index(row)
            if index is not None:
                self.events.choose(index)
                return
        self.say(f"no more match {'below' if direction > 0 else 'above'}: {self.find_text}")

    async def _matches(self, direction: int) -> AsyncIterator[int]:
        """Rows that match, from the selected one on, nearest first; gives way between slices."""
        view, passing = self.view, scan.passing(self.view.store, parse(self.find_text))
        index, row = view.selected_index, view.selected
        if index is None or row is None:
            return
        if view.sorted_by:
            for place in range(index + direction, len(view) if direction > 0 else -1, direction):
                if passing(view.row(place), view.row(place) + 1):
                    yield view.row(place)
            return
        if view.newest_first:
            direction = -direction
        start, stop = (row + 1, view.store.end) if direction > 0 else (view.store.first, row)
        while start < stop:
            if direction > 0:
                found = passing(start, start + FIND_BLOCK)
                start += FIND_BLOCK
            else:
                found = list(reversed(passing(max(start, stop - FIND_BLOCK), stop)))
                stop -= FIND_BLOCK
            for one in found:
                yield one
            await asyncio.sleep(0)

    # ---- going to a place

    def action_goto(self) -> None:
        if not len(self.view.store):
            self.say("there is no event to go to", "warning")
            return
        text = [line(span("a time: 14:01:07, 2026-08-22T14:01, 5m (ago); or an event's number: #184220"))]

        def answered(text: str | None) -> None:
            if text:
                self.go_to(goto.row(self.view.store, text))

        self.app.push_screen(Ask("Go to", text, check=lambda text: goto.problem(self.view.store, text)), answered)

    def go_to(self, row: int | None) -> None:
        """Select a row, whatever the filter hides; a filter that hides it is taken off."""
        if row is None:
            return
        self.events.change(self.view.hold)
        if self.view.index(row) is None:
            if self.only_marked or self.filtering.on:
                self.only_marked = False
                self._apply(self.filtering.text, False)
                self.say("the filter hides it and was taken off; F puts it back")
            if self.view.mode is Mode.PAUSED:
                self.action_pause()
        index = self.view.index(row)
        if index is None:
            self.view.wanted = row
            self.events.redraw()
        else:
            self.events.choose(index)

    def action_row_history(self, direction: int) -> None:
        row = self._taken()
        found = self.detail.load_history() if row is not None else None
        if found is None:
            if row is not None:
                self.say("this event tells no row", "warning")
            return
        self.run_worker(self._go_in_history(direction), group="find", exclusive=True)

    async def _go_in_history(self, direction: int) -> None:
        found = self.detail.history
        if found is None:
            return
        while not (found.newer if direction > 0 else found.older) and found.search(SEARCH_SECONDS):
            await asyncio.sleep(0)
        rows = found.newer if direction > 0 else found.older
        if rows:
            self.go_to(rows[0])
        else:
            self.say(f"no {'later' if direction > 0 else 'earlier'} event of this row is kept here")

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

    def detail_notes(self) -> Sequence[Line]:
        """What the screen knows about the selected event beside what stands in it."""
        return ()

    def _show_detail(self) -> None:
        row = self.view.selected
        self._show_preview(row)
        pane = self.detail
        pane.show_event(row, passing_by=self.view.mode is Mode.FOLLOW, notes=self.detail_notes())
        self.titled(pane, pane.heading, "d next face · z zoom · y copy" if row is not None else "")

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
        self.detail.face = (self.detail.face + 1) % len(copying.FACES)
        self._show_detail()

    def action_fold(self) -> None:
        self.detail.unfolded = not self.detail.unfolded
        self._show_detail()

    def action_open(self) -> None:
        """The detail in full: beside the list it is focused, without room it takes the list's place."""
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

    def action_leave(self) -> None:
        if self.leave_zoom():
            return
        if not self.events.has_focus:
            self.events.focus()
        elif self.only_marked:
            self.action_marked()
        elif self.find_text:
            self._read_find("")
        elif self.filtering.on:
            self._apply(self.filtering.text, False)
        elif self.view.mode is Mode.PAUSED:
            self.action_pause()

    # ---- keys

    def why_not(self, action: str) -> str:
        name = action.partition("(")[0]
        if name in ("find_next",) and not self.find_text:
            return "nothing to find; ctrl+f says what"
        needs = (
            "open",
            "replay",
            "mark",
            "transaction",
            "copy",
            "by_value",
            "row_history",
            "coverage",
            "write",
            "goto",
            "sort",
        )
        return "nothing is selected" if name in needs and self.view.selected is None else ""

    def _taken(self) -> int | None:
        """The selected row, held still: what a key acts on must be what the user saw."""
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

    def action_last(self) -> None:
        self.events.action_last()

    def action_pause(self) -> None:
        self.events.change(self.view.toggle_pause)
        self.events.redraw()

    def action_mark(self) -> None:
        if self._taken() is None:
            return
        self.view.toggle_mark()
        if self.only_marked:
            self.refresh_filter()
        self.events.redraw()

    def action_replay(self) -> None:
        if not self.refused("replay") and self._taken_record() is not None:
            self.app.ask_to_replay(self.view)

    # ---- sort and columns

    def action_sort(self) -> None:
        if self.refused("sort"):
            return
        many = f"more than {MAX_SORTED:,} rows: filter first" if len(self.view) > MAX_SORTED else ""
        options = [Option("1", "the order of the log", "")]
        options += [Option(NUMBERS[n], name, name, why_not=many) for n, name in enumerate(_SORT_KEYS, 1)]

        def chosen(name: str | None) -> None:
            if name is not None:
                self.sort_by(name)

        self.app.push_screen(Choice("Sort by", options), chosen)

    def sort_by(self, name: str) -> None:
        if name:
            key, descending = _SORT_KEYS[name]
            store = self.view.store
            self.events.change(lambda: self.view.sort(name, lambda row: key(store, row), descending=descending))
            self.events.choose(0)
        else:
            self.refresh_filter()
        self.events.redraw()

    def action_columns(self) -> None:
        def chosen(names: Sequence[str] | None) -> None:
            if names is not None:
                self.events.chosen = tuple(names)
                self.events.redraw()

        self.app.push_screen(ColumnsDialog(COLUMNS, self.events.shown_columns), chosen)

    # ---- copy and write

    def action_copy(self) -> None:
        record = self._taken_record()
        if record is None:
            return
        options = [
            Option(form.key, form.label, form, why_not="" if form.text(record) is not None else "this event has none")
            for form in copying.FORMS
        ]

        def chosen(form: copying.Form | None) -> None:
            text = form.text(record) if form else None
            if form and text is not None:
                self.app.copy(f"{form.label} of #{record.id}", text)

        self.app.push_screen(Choice(f"Copy of #{record.id}", options), chosen)

    def action_write(self) -> None:
        row = self._taken()
        if row is None:
            return
        view = self.view
        shown = f"{len(view):,}" + (" so far" if view.searching is not None else "")
        options = [
            Option("s", f"@shown: {shown}", "shown"),
            Option("m", f"@marked: {len(view.marks)}", "marked", why_not="" if view.marks else "nothing is marked"),
            Option("o", "@focus: the selected one", "focus"),
            Option("a", f"@all: {view.store.event_count:,} kept", "all"),
        ]

        def chosen(what: str | None) -> None:
            if what:
                self.app.ask_to_write(what, self._rows_of(what, row))

        self.app.push_screen(Choice("Write which events?", options), chosen)

    def _rows_of(self, what: str, row: int) -> Sequence[int]:
        view = self.view
        return {
            "shown": lambda: sorted(view.row(index) for index in range(len(view))),
            "marked": lambda: sorted(view.marks),
            "focus": lambda: [row],
            "all": lambda: range(view.store.first, view.store.end),
        }[what]()

    def action_coverage(self) -> None:
        record = self._taken_record()
        if record is not None and not self.refused("coverage"):
            self.app.show_coverage_of(record)


def _by_table(store: Any, row: int) -> str:
    return one_line(store.table(row))


_SORT_KEYS: Final[dict[str, tuple[Callable[[Any, int], Any], bool]]] = {
    "table": (_by_table, False),
    "op": (lambda store, row: store.kind(row), False),
    "time": (lambda store, row: store.at(row), True),
    "size": (lambda store, row: store.line_bytes(row), True),
    "tx": (lambda store, row: store.xid(row), False),
}
"""Column -> what to sort by, and whether the largest comes first."""
