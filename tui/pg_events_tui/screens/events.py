"""Common parts of Live and Schema: a list of events, the selected one beside it, filter, search, marks and copying."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from pg_events.errors import UsageError
from pg_events.filter.parser import parse
from pg_events.text import one_line
from pg_events_tui.dialogs.columns import ColumnsDialog
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model import scan, state
from pg_events_tui.model.filtering import MAX_HISTORY, Filtering
from pg_events_tui.model.store import NOTE
from pg_events_tui.model.view import MAX_SORTED, Mode
from pg_events_tui.replay.loading import Origin
from pg_events_tui.screens.base import EXTRA_WIDE
from pg_events_tui.screens.filtered_view import NUMBERS
from pg_events_tui.screens.searched_view import SearchedView
from pg_events_tui.text import copying
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets.event_list import COLUMNS
from pg_events_tui.widgets.header import Health


class EventsScreen(SearchedView):
    """View of the store, with filter, search, following, marks and the faces of an event."""

    EMPTY: ClassVar[Sequence[str]] = ()

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
            self.filtering = Filtering(self.read_filter)  # the filter language has changed
        self.refresh_filter()

    # ---- the tick

    def tick(self, health: Health) -> None:
        found = self.events
        found.narrow, found.extra = not self.is_wide, self.app.size.width >= EXTRA_WIDE
        found.empty = self._empty_words()
        self.keep_up()
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

    def action_leave(self) -> None:
        if self.leave_zoom():
            return
        if not self.events.has_focus:
            self.events.focus()
        elif self.cleared:
            self.clear(False)
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

    def action_last(self) -> None:
        self.events.action_last()

    def action_mark(self) -> None:
        if self._taken() is None:
            return
        self.view.toggle_mark()
        if self.depends_on_marks():
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
                self.show_columns(names)

        self.app.push_screen(ColumnsDialog(COLUMNS, self.events.shown_columns), chosen)

    def show_columns(self, names: Sequence[str]) -> None:
        """Show these columns in this order; if empty, those that fit."""
        self.events.chosen = tuple(names)
        self.events.redraw()

    # ---- copy and write

    def action_copy(self) -> None:
        record = self._taken_record()
        if record is None:
            return
        options = [Option(form.key, form.label, form, why_not=form.why_not(record)) for form in copying.FORMS]

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
            Option("s", f"@shown: {shown}", "@shown"),
            Option("m", f"@marked: {len(view.marks)}", "@marked", why_not="" if view.marks else "nothing is marked"),
            Option("o", "@focus: the selected one", "@focus"),
            Option("t", "@tx: its transaction", "@tx"),
            Option("a", f"@all: {view.store.event_count:,} kept", "@all"),
        ]

        def chosen(what: str | None) -> None:
            if what:
                self.app.ask_to_write(what, self.rows_of(what))

        self.app.push_screen(Choice("Write which events?", options), chosen)

    def rows_of(self, selector: str) -> Sequence[int]:
        """Return the rows of a selector, ascending. Raises `UsageError` if there are none."""
        view, store = self.view, self.view.store
        row = view.selected
        if selector == "@marked" and not view.marks:
            raise UsageError("nothing is marked; m marks the selected event")
        if selector in ("@focus", "@tx") and row is None:
            raise UsageError("nothing is selected")
        if selector == "@shown":
            return view.rows()
        if selector == "@marked":
            return sorted(view.marks)
        if selector == "@tx" and row is not None:
            return scan.passing(store, parse(f"tx:{store.xid(row)}"))(store.first, store.end)
        return range(store.first, store.end) if selector == "@all" or row is None else [row]

    def origin_of(self, selector: str) -> Origin:
        """Return the events of a selector, to be replayed. Raises `UsageError` if there are none."""
        rows, origins = self.rows_of(selector), self.app.origins
        if not rows:
            raise UsageError("nothing is shown" if selector == "@shown" else "there is no event")
        if selector in ("@focus", "@tx") and self.view.store.kind(rows[0]) == NOTE:
            raise UsageError("this row is no event")
        return {
            "@focus": lambda: origins.event(rows[0]),
            "@tx": lambda: origins.transaction(rows[0]),
            "@marked": lambda: origins.marked(rows),
            "@shown": lambda: origins.shown(self.view, self.exact_filter),
            "@all": origins.kept,
        }[selector]()

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
"""Sort key by column, and whether the largest comes first."""
