"""Filter of a list of events: those that match it, and optionally only marked ones."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from pg_events.errors import FilterError
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model import scan
from pg_events_tui.model.filtering import Filtering, narrowed
from pg_events_tui.model.scan import Passing
from pg_events_tui.model.store import NOTE
from pg_events_tui.screens.event_panes import EventPanes
from pg_events_tui.text import copying
from pg_events_tui.text.lines import Line, line, span

SEARCH_SECONDS: Final = 0.008
TOO_SLOW: Final = "its regular expression takes too long"
NUMBERS: Final = "1234567890abcdefhilmoprtuvwxz"
"""Keys of a choice whose options have no letters of their own."""


class FilterBar:
    """Narrows a list by a filter, while older events are still searched."""

    def __init__(self, panes: EventPanes, on_change: Callable[[], None]) -> None:
        """`on_change` is called to show the filter."""
        self._panes = panes
        self._host = panes.host
        self._view = panes.view
        self._on_change = on_change
        self.filtering = Filtering(self._host.stream.read_filter)
        self.only_marked = False
        self.cleared = 0
        """First visible row; earlier ones are hidden."""
        self._known: Mapping[str, frozenset[int]] = {}
        """Ids by the console's conditions, as of when the filter was applied."""

    def restore(self, text: str, on: bool) -> None:
        """Apply a filter of an earlier console, unless the filter language has changed."""
        if text and not self.filtering.apply(text, on):
            history = self.filtering.history
            self.filtering = Filtering(self._host.stream.read_filter)
            self.filtering.history = history
        self.refresh()

    def apply(self, text: str, on: bool) -> None:
        """Show matching events; after an invalid text, the last valid one remains in force."""
        if self.filtering.apply(text, on):
            self.refresh()
        self._on_change()

    def filter_by(self, text: str) -> None:
        """Apply a filter as if it had been typed."""
        self.apply(text, bool(text))
        self.filtering.keep()

    def read_again(self) -> None:
        """Parse the filter again, because its reference time (the end of a saved log) has changed."""
        if self.filtering.on:
            self.apply(self.filtering.text, True)

    def refresh(self) -> None:
        """Show matching events after a change of the filter or of the marks."""
        asked = "edited" in self._known
        view, events = self._view, self._panes.events
        depends = self.only_marked or bool(self.filtering.console_words)
        view.exact_filter = None if depends else self.filtering.wanted
        events.change(lambda: view.set_filter(self._passing()))
        if "edited" in self._known and not asked:
            self._host.replays.load_edited()
        events.show_cursor()
        events.redraw()
        self.search()

    def keep_up(self) -> None:
        """Apply the filter again if the ids that it depends on have changed."""
        if self._known != self._known_ids():
            self.refresh()

    def close(self, *, kept: bool) -> None:
        """End the editing of the filter; if it is not kept, restore the one before."""
        if kept:
            self.filtering.keep()
        else:
            self.filtering.take_back()
            self.refresh()

    # ---- the search

    def search(self) -> None:
        """Continue the search of older events, if it is not running."""
        screen = self._panes.screen
        is_running = any(one.group == "search" and one.is_running for one in screen.workers if one.node is screen)
        if self._view.searching is not None and not is_running:
            screen.run_worker(self._search(), group="search")

    async def _search(self) -> None:
        """Search older events in slices, so that keys are handled in between."""
        while self._view.search(SEARCH_SECONDS):
            await asyncio.sleep(0)

    def _passing(self) -> Passing | None:
        """Return the search for matching rows; None if all match."""
        wanted, also = self._panes.listing.narrowed(self.filtering.wanted), self._also()
        store = self._view.store
        found = None
        if wanted is not None or also is not None:
            found = scan.passing(store, wanted, also=also, too_slow=self._give_up)
        return scan.behind(self.cleared, found or scan.passing(store, None)) if self.cleared else found

    def _give_up(self) -> None:
        """Turn off the filter, once its current evaluation has finished."""
        self._panes.screen.call_later(self._turn_off, self.filtering.text)

    def _turn_off(self, text: str) -> None:
        if self.filtering.on and self.filtering.text == text:
            self.apply(text, False)
            self.filtering.error = FilterError(TOO_SLOW, text, 0)
            self._host.notices.say(f"the filter was taken off: {TOO_SLOW}", "warning")
            self._on_change()

    def _also(self) -> Callable[[int], bool] | None:
        """Return a test of marks, edited and failed events, and gaps, which only the console knows; None if it is not needed."""
        store, marks = self._view.store, self._view.marks
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
                found[one.word] = self._host.replays.edited_ids
            elif one.word == "failed":
                health = self._host.database.health[0]
                found[one.word] = frozenset(event.event_id for event in health.failed) if health else frozenset()
        return found

    # ---- keys

    def depends_on_marks(self) -> bool:
        return self.only_marked or any(one.word == "marked" for one in self.filtering.console_words)

    def clear(self, on: bool = True) -> None:
        """Hide the current events, or show them again."""
        self.cleared = self._view.store.end if on else 0
        self.refresh()

    def toggle(self) -> None:
        if not self.filtering.text:
            self._host.notices.say("there is no filter; / makes one", "warning")
            return
        self.apply(self.filtering.text, not self.filtering.on)

    def toggle_marked(self) -> None:
        if not self.only_marked and not self._view.marks:
            self._host.notices.say("nothing is marked; m marks the selected event", "warning")
            return
        self.only_marked = not self.only_marked
        self.refresh()

    def toggle_transaction(self) -> None:
        row = self._panes.taken()
        if row is None:
            return
        text = f"tx:{self._view.store.xid(row)}"
        if self.filtering.on and self.filtering.text == text:
            self.apply("", False)
        else:
            self.apply(text, True)

    def ask_for_value(self, include: bool) -> None:
        """Narrow the filter by a value of the selected event."""
        record = self._panes.taken_record()
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

        self._panes.screen.app.push_screen(Choice("Show only" if include else "Leave out", options), chosen)

    # ---- words

    def count(self) -> Line:
        return line(span(f"{self._count_words()} ", "note"))

    def _count_words(self) -> str:
        view, listing = self._view, self._panes.listing
        if view.searching is not None and listing.only is None:
            return f"{len(view):,} match · searching {view.searching:.0%}"
        narrowed_by_user = self.filtering.on or self.only_marked
        return listing.count_words(
            len(view), view.store.event_count, filtered=narrowed_by_user, view_filtered=view.filtered
        )

    def words(self) -> Line:
        text = self.filtering.text
        marked = [span(" marked only (M shows all)", "warning")] if self.only_marked else []
        marked += [span(" cleared (esc shows all)", "warning")] if self.cleared else []
        if not text:
            return line(span(" /", "key"), span(" filter", "note"), *marked)
        off = "" if self.filtering.on else "  (off, F puts it back)"
        role = "strong" if self.filtering.on else "note"
        return line(span(" / ", "key"), span(text, role), span(off, "note"), *marked)
