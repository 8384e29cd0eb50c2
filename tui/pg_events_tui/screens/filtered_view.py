"""Filtered list of events: those that match the filter, and optionally only marked ones."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from pg_events.errors import FilterError
from pg_events.filter.parser import Filter
from pg_events.text import counted
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model import scan
from pg_events_tui.model.filtering import Filtering, narrowed
from pg_events_tui.model.scan import Passing
from pg_events_tui.model.store import NOTE
from pg_events_tui.model.view import View
from pg_events_tui.screens.event_view import EventView
from pg_events_tui.text import copying
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets.rows import FilterRow

SEARCH_SECONDS: Final = 0.008
TOO_SLOW: Final = "its regular expression takes too long"
NUMBERS: Final = "1234567890abcdefhilmoprtuvwxz"
"""Keys of a choice whose options have no letters of their own."""


class FilteredView(EventView):
    """List that is narrowed by a filter while older events are still searched."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.filtering = Filtering(self.read_filter)
        self.only_marked = False
        self.cleared = 0
        """First visible row; earlier ones are hidden."""
        self._known: Mapping[str, frozenset[int]] = {}
        """Ids by the console's conditions, as of when the filter was applied."""

    def read_filter(self, text: str) -> Filter:
        """Parse a filter. Raises `FilterError`."""
        return self.app.read_filter(text)

    def passing(self, wanted: Filter | None) -> Passing | None:
        """Return the search for matching rows; None if all match."""
        found = self._matching(wanted)
        if self.cleared:
            return scan.behind(self.cleared, found or scan.passing(self.view.store, None))
        return found

    def _matching(self, wanted: Filter | None) -> Passing | None:
        also = self._also()
        if wanted is None and also is None:
            return None
        return scan.passing(self.view.store, wanted, also=also, too_slow=self._gives_up)

    def _gives_up(self) -> None:
        """Turn off the filter, once its current evaluation has finished."""
        text = self.filtering.text
        self.call_later(self._taken_off, text)

    def _taken_off(self, text: str) -> None:
        if self.filtering.on and self.filtering.text == text:
            self._apply(text, False)
            self.filtering.error = FilterError(TOO_SLOW, text, 0)
            self.say(f"the filter was taken off: {TOO_SLOW}", "warning")
            self._show_filter()

    def _also(self) -> Callable[[int], bool] | None:
        """Return a test of marks, edited and failed events, and gaps, which only the console knows; None if it is not needed."""
        store, marks = self.view.store, self.view.marks
        self._known = self._known_ids()
        edited, failed = (self._known.get(word, frozenset[int]()) for word in ("edited", "failed"))
        known: dict[str, Callable[[int], bool]] = {
            "marked": lambda row: row in marks,
            "edited": lambda row: store.id(row) in edited and store.kind(row) != NOTE,
            "failed": lambda row: store.id(row) in failed and store.kind(row) != NOTE,
            "gap": lambda row: store.kind(row) == NOTE,
        }
        tests = [(known[one.word], one.holds) for one in self.filtering.console_words]
        if self.only_marked:
            tests.append((known["marked"], True))
        return (lambda row: all(test(row) is holds for test, holds in tests)) if tests else None

    def _known_ids(self) -> Mapping[str, frozenset[int]]:
        """Return the ids of matching events by each of the console's words in the filter."""
        found: dict[str, frozenset[int]] = {}
        for one in self.filtering.console_words:
            if one.word == "edited":
                found[one.word] = self.app.edited_ids
            elif one.word == "failed":
                told = self.app.told[0]
                found[one.word] = frozenset(event.event_id for event in told.failed) if told else frozenset()
        return found

    def keep_up(self) -> None:
        """Apply the filter again if the ids that it depends on have changed."""
        if self._known != self._known_ids():
            self.refresh_filter()

    @property
    def exact_filter(self) -> Filter | None:
        """Filter that exactly describes the shown events; None if there is none, or it depends on the console's state."""
        return None if self.only_marked or self.filtering.console_words else self.filtering.wanted

    def depends_on_marks(self) -> bool:
        return self.only_marked or any(one.word == "marked" for one in self.filtering.console_words)

    def clear(self, on: bool = True) -> None:
        """Hide the current events, or show them again."""
        self.cleared = self.view.store.end if on else 0
        self.refresh_filter()

    def _apply(self, text: str, on: bool) -> None:
        """Show matching events; after an invalid text, the last valid one remains in force."""
        if self.filtering.apply(text, on):
            self.refresh_filter()
        self._show_filter()

    def read_filter_again(self) -> None:
        """Parse the filter again, because its reference time (the end of a saved log) has changed."""
        if self.filtering.on:
            self._apply(self.filtering.text, True)

    def refresh_filter(self) -> None:
        """Show matching events after a change of the filter or of the marks."""
        asked = "edited" in self._known
        self.events.change(lambda: self.view.set_filter(self.passing(self.filtering.wanted)))
        if "edited" in self._known and not asked:
            self.app.load_edited()
        self.events.show_cursor()
        self.events.redraw()
        if self.view.searching is not None and not self._is_searching():
            self.run_worker(self._search(), group="search")

    def _is_searching(self) -> bool:
        return any(worker.group == "search" and worker.is_running for worker in self.workers if worker.node is self)

    async def _search(self) -> None:
        """Search older events in slices, so that keys are handled in between."""
        while self.view.search(SEARCH_SECONDS):
            await asyncio.sleep(0)

    def action_toggle_filter(self) -> None:
        if not self.filtering.text:
            self.say("there is no filter; / makes one", "warning")
            return
        self._apply(self.filtering.text, not self.filtering.on)

    def filter_by(self, text: str) -> None:
        """Apply a filter as if it had been typed."""
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
        """Show the filter in the top row."""
        self.query_one(FilterRow).words(self._filter_words(), self._count())

    def _count(self) -> Line:
        return line(span(f"{self._count_words()} ", "note"))

    def _count_words(self) -> str:
        total = self.view.store.event_count
        if self.view.searching is not None:
            return f"{len(self.view):,} match · searching {self.view.searching:.0%}"
        return f"{len(self.view):,} of {total:,} match" if self.view.filtered else counted(total, "event")

    def _filter_words(self) -> Line:
        text = self.filtering.text
        marked = [span(" marked only (M shows all)", "warning")] if self.only_marked else []
        marked += [span(" cleared (esc shows all)", "warning")] if self.cleared else []
        if not text:
            return line(span(" /", "key"), span(" filter", "note"), *marked)
        off = "" if self.filtering.on else "  (off, F puts it back)"
        role = "strong" if self.filtering.on else "note"
        return line(span(" / ", "key"), span(text, role), span(off, "note"), *marked)
