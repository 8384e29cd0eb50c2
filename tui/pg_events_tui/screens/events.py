"""Common parts of Live and Schema: a list of events, the selected one beside it, filter, search, marks and copying."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from textual.app import ComposeResult

from pg_events.text import one_line
from pg_events_tui.commands import filter_completion
from pg_events_tui.commands.completion import Completion
from pg_events_tui.dialogs.columns import ColumnsDialog
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model import state, vocabulary
from pg_events_tui.model.filtering import MAX_HISTORY
from pg_events_tui.model.view import MAX_SORTED, Mode, View
from pg_events_tui.screens.base import EXTRA_WIDE, ConsoleScreen
from pg_events_tui.screens.event_output import EventOutput
from pg_events_tui.screens.event_panes import EventPanes
from pg_events_tui.screens.filter_bar import NUMBERS, FilterBar
from pg_events_tui.screens.finder import Finder
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.listing import Listing
from pg_events_tui.text import copying
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets.event_detail import EventDetail
from pg_events_tui.widgets.event_list import COLUMNS, EventList
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import LineList
from pg_events_tui.widgets.rows import FilterRow


class EventsScreen(ConsoleScreen):
    """View of the store, with filter, search, following, marks and the faces of an event."""

    def __init__(self, host: Host, view: View, listing: Listing) -> None:
        super().__init__(host)
        self.view = view
        self.panes = EventPanes(self, host, view, listing)
        self.filter_bar = FilterBar(self.panes, self._show_filter)
        self.finder = Finder(self.panes, self.filter_bar)
        self.output = EventOutput(self.panes)
        self.filter_by = self.filter_bar.filter_by
        self.read_filter_again = self.filter_bar.read_again
        self.go_to = self.finder.go_to

    def compose_body(self) -> ComposeResult:
        yield from self.panes.compose()

    def on_mount(self) -> None:
        self.events.add_class("pane")
        self.detail.add_class("pane")
        self.events.focus()

    @property
    def events(self) -> EventList:
        return self.panes.events

    @property
    def detail(self) -> EventDetail:
        return self.panes.detail

    def to_remember(self) -> Mapping[str, Any]:
        filtering = self.filter_bar.filtering
        return {
            "filter": filtering.text,
            "on": filtering.on,
            "history": filtering.history,
            "find": self.finder.text,
            "columns": list(self.events.chosen),
            "face": self.detail.face_name,
            "unfolded": self.detail.unfolded,
        }

    def remember(self, values: Mapping[str, Any]) -> None:
        self.filter_bar.filtering.history = state.texts(values, "history")[-MAX_HISTORY:]
        self.events.chosen = tuple(name for name in state.texts(values, "columns") if name in COLUMNS)
        face = state.text(values, "face")
        if face in copying.FACES:
            self.detail.face = copying.FACES.index(face)
        self.detail.unfolded = state.flag(values, "unfolded")
        self.finder.read(state.text(values, "find"))
        self.filter_bar.restore(state.text(values, "filter"), state.flag(values, "on"))

    # ---- the tick

    def tick(self, health: Health) -> None:
        found = self.events
        found.narrow, found.extra = not self.is_wide, self.app.size.width >= EXTRA_WIDE
        found.empty = self._empty_words()
        self.filter_bar.keep_up()
        found.change(self.view.sync)
        self.filter_bar.search()
        self.titled(found, self._list_title(), self._where())
        self._show_filter()
        self.panes.show_detail()
        super().tick(health)

    def _list_title(self) -> str:
        by = f", by {self.view.sorted_by}" if self.view.sorted_by and self.panes.listing.only is None else ""
        return self.panes.listing.title + by

    def _where(self) -> str:
        new = self.view.new
        return f"+{new:,} new · G follow" if new else ""

    def _empty_words(self) -> Sequence[str]:
        if self.view.filtered and len(self.view.store):
            if self.view.searching is not None:
                return ("searching …",)
            if self.filter_bar.only_marked:
                return ("nothing is marked", "m marks the selected event · M shows all again")
            return ("nothing matches the filter", "F takes it off · / edits it")
        link = self.host.stream.link
        if link.state == "reading":
            return ("reading the log …",)
        if link.state == "saved":
            return ("there is no event in this log", link.reason)
        if link.state in ("down", "connecting") and not link.received:
            return ("not connected yet",)
        return self.panes.listing.empty

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
        elif self.host.stream.link.state == "saved":
            words, role, remedy = (
                ("AT THE END of the log", "good", "") if view.mode is Mode.FOLLOW else ("", "", "G to the end")
            )
        if not self.is_wide:
            words = words.partition(" (")[0]
        found = f" · n N: {self.finder.text}" if self.finder.text else ""
        first = f" {words} · {place}" if words else f" {place}"
        return line(span(first, role), span(f"{marks}{found}", "note")), line(span(f"{remedy} ", "note"))

    # ---- the field above the list

    def action_filter(self) -> None:
        self.finder.is_typing = False
        filtering = self.filter_bar.filtering
        filtering.begin()
        self.query_one(FilterRow).edit(filtering.text, filtering.history, self._complete)

    def action_find(self) -> None:
        self.finder.begin()
        self.query_one(FilterRow).edit(self.finder.text, self.finder.history, self._complete)

    def _complete(self, text: str) -> Completion:
        return filter_completion.completion(text, partial(vocabulary.names, self.view.store))

    def on_filter_row_changed(self, event: FilterRow.Changed) -> None:
        if self.finder.is_typing:
            self.finder.read(event.text)
        else:
            self.filter_bar.apply(event.text, bool(event.text.strip()))

    def on_filter_row_closed(self, event: FilterRow.Closed) -> None:
        if self.finder.is_typing:
            self.finder.close(kept=event.kept)
        else:
            self.filter_bar.close(kept=event.kept)
        self.events.focus()

    def _show_filter(self) -> None:
        row, bar, finder = self.query_one(FilterRow), self.filter_bar, self.finder
        if not row.editing:
            row.words(bar.words(), bar.count())
            return
        error = finder.error if finder.is_typing else bar.filtering.error
        if len(row.candidates) > 1:
            row.hint(line(span("   " + " · ".join(row.candidates), "note")), bar.count())
        elif error is not None:
            row.hint(line(span(" " * (error.position + 3) + "^ ", "bad"), span(error.message, "bad")))
        elif finder.is_typing:
            row.hint(
                line(span("   find without hiding · ⏎ goes to the next match, then n and N · esc leaves it", "note"))
            )
        else:
            row.hint(
                line(span("   ⏎ keeps it · esc takes it back · tab completes · ↑ ↓ earlier ones", "note")),
                bar.count(),
            )

    # ---- events of the panes

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self.panes.show_detail()

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    # ---- keys

    def why_not(self, action: str) -> str:
        name = action.partition("(")[0]
        if name in ("find_next",) and not self.finder.text:
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
        if name in needs and self.view.selected is None:
            return "nothing is selected"
        return super().why_not(action)

    def leave_zoom(self) -> bool:
        was = super().leave_zoom()
        if was:
            self.events.focus()
        return was

    def action_leave(self) -> None:
        bar = self.filter_bar
        if self.leave_zoom():
            return
        if not self.events.has_focus:
            self.events.focus()
        elif bar.cleared:
            bar.clear(False)
        elif bar.only_marked:
            bar.toggle_marked()
        elif self.finder.text:
            self.finder.read("")
        elif bar.filtering.on:
            bar.apply(bar.filtering.text, False)
        elif self.view.mode is Mode.PAUSED:
            self.panes.toggle_pause()

    def action_pause(self) -> None:
        self.panes.toggle_pause()

    def action_face(self) -> None:
        self.panes.show_next_tab()

    def action_fold(self) -> None:
        self.panes.toggle_fold()

    def action_open(self) -> None:
        self.panes.open()

    def action_step(self, by: int) -> None:
        self.events.action_move(by)

    def action_last(self) -> None:
        self.events.action_last()

    def action_toggle_filter(self) -> None:
        self.filter_bar.toggle()

    def action_transaction(self) -> None:
        self.filter_bar.toggle_transaction()

    def action_by_value(self, include: bool) -> None:
        self.filter_bar.ask_for_value(include)

    def action_marked(self) -> None:
        self.filter_bar.toggle_marked()

    def action_find_next(self, direction: int) -> None:
        self.finder.find_next(direction)

    def action_goto(self) -> None:
        self.finder.ask_for_place()

    def action_row_history(self, direction: int) -> None:
        self.finder.go_in_history(direction)

    def action_mark(self) -> None:
        if self.panes.taken() is None:
            return
        self.view.toggle_mark()
        if self.filter_bar.depends_on_marks():
            self.filter_bar.refresh()
        self.events.redraw()

    def action_copy(self) -> None:
        self.output.ask_to_copy()

    def action_write(self) -> None:
        self.output.ask_to_write()

    def action_replay(self) -> None:
        if not self.refused("replay") and self.panes.taken_record() is not None:
            self.host.replays.ask(self.view)

    def action_coverage(self) -> None:
        record = self.panes.taken_record()
        if record is not None and not self.refused("coverage"):
            self.host.navigation.show_coverage_of(record)

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
            self.filter_bar.refresh()
        self.events.redraw()

    def action_columns(self) -> None:
        def chosen(names: Sequence[str] | None) -> None:
            if names is not None:
                self.show_columns(names)

        self.app.push_screen(ColumnsDialog(COLUMNS, self.events.shown_columns), chosen)

    def show_columns(self, names: Sequence[str]) -> None:
        """Show these columns in this order; if empty, those that fit."""
        self.events.chosen = tuple(names)
        self.events.redraw()


def _by_table(store: Any, row: int) -> str:
    return one_line(store.table(row))


_SORT_KEYS: Final[dict[str, tuple[Callable[[Any, int], Any], bool]]] = {
    "table": (_by_table, False),
    "op": (lambda store, row: store.kind(row), False),
    "time": (lambda store, row: store.at(row), True),
    "size": (lambda store, row: store.line_bytes(row), True),
    "tx": (lambda store, row: store.xid(row), False),
}
"""Sort key by column, and whether the largest comes first."""
