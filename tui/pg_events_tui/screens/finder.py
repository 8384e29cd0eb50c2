"""Navigation to an event by text, time, number or row, without hiding others."""

import asyncio
from collections.abc import AsyncIterator

from pg_events.errors import FilterError
from pg_events_tui.dialogs.questions import Ask
from pg_events_tui.model import goto, scan
from pg_events_tui.model.view import Mode
from pg_events_tui.screens.event_panes import EventPanes
from pg_events_tui.screens.filter_bar import SEARCH_SECONDS, TOO_SLOW, FilterBar
from pg_events_tui.text.lines import line, span

FIND_BLOCK = 4_096


class Finder:
    """Moves the selection of a list; a filter that hides the target is turned off."""

    def __init__(self, panes: EventPanes, filter_bar: FilterBar) -> None:
        self._panes = panes
        self._filter_bar = filter_bar
        self._view = panes.view
        self._host = panes.host
        self.text = ""
        """Text of the last search."""
        self.history: list[str] = []
        self.is_typing = False
        """True while the field edits the search, not the filter."""
        self.error: FilterError | None = None

    # ---- by text

    def begin(self) -> None:
        self.is_typing = True
        self.error = None

    def read(self, text: str) -> None:
        """Highlight the events that match; after an invalid text, those of the last valid one."""
        try:
            wanted = self._host.stream.read_filter(text) if text.strip() else None
        except FilterError as error:
            self.error = error
            return
        self.error = None
        self.text = text if wanted else ""
        found = None if wanted is None else scan.passing(self._view.store, wanted, too_slow=self._give_up)
        self._panes.events.matches = None if found is None else lambda row: bool(found(row, row + 1))
        self._panes.events.redraw()

    def close(self, *, kept: bool) -> None:
        self.is_typing = False
        if not kept:
            self.read("")
        elif self.text:
            self.history.append(self.text)
            self.find_next(1)

    def find_next(self, direction: int) -> None:
        if not self.text:
            self._host.notices.say("nothing to find; ctrl+f says what", "warning")
        elif self._view.selected is not None:
            self._panes.events.change(self._view.hold)
            self._panes.screen.run_worker(self._find_next(direction), group="find", exclusive=True)

    def _give_up(self) -> None:
        """Stop the search immediately, because it is evaluated for each drawn row."""
        text, self.text, self._panes.events.matches = self.text, "", None
        self.error = FilterError(TOO_SLOW, text, 0)
        self._host.notices.say(f"nothing is looked for: {TOO_SLOW}", "warning")

    async def _find_next(self, direction: int) -> None:
        async for row in self._matches(direction):
            index = self._view.index(row)
            if index is not None:
                self._panes.events.choose(index)
                return
        if self.text:
            self._host.notices.say(f"no more match {'below' if direction > 0 else 'above'}: {self.text}")

    async def _matches(self, direction: int) -> AsyncIterator[int]:
        """Yield matching rows after the selected one, nearest first; yields to the event loop between slices."""
        view, wanted = self._view, self._host.stream.read_filter(self.text)
        passing = scan.passing(view.store, wanted, too_slow=self._give_up)
        index, row = view.selected_index, view.selected
        if index is None or row is None:
            return
        if view.sorted_by:
            for place in range(index + direction, len(view) if direction > 0 else -1, direction):
                if not self.text:
                    return
                if passing(view.row(place), view.row(place) + 1):
                    yield view.row(place)
            return
        if view.newest_first:
            direction = -direction
        start, stop = (row + 1, view.store.end) if direction > 0 else (view.store.first, row)
        while start < stop and self.text:
            if direction > 0:
                last = min(stop, view.store.reach_on(start, FIND_BLOCK))
                found = passing(start, last)
                start = last
            else:
                first = max(start, view.store.reach_back(stop, FIND_BLOCK))
                found = list(reversed(passing(first, stop)))
                stop = first
            for one in found:
                yield one
            await asyncio.sleep(0)

    # ---- by time, number or row

    def ask_for_place(self) -> None:
        store, read = self._view.store, self._host.stream.read_filter
        if not len(store):
            self._host.notices.say("there is no event to go to", "warning")
            return
        text = [line(span("a time: 14:01:07, 2026-08-22T14:01, 5m (ago); or an event's number: #184220"))]

        def answered(text: str | None) -> None:
            if text:
                self.go_to(goto.row(store, text, read))

        question = Ask("Go to", text, check=lambda text: goto.problem(store, text, read))
        self._panes.screen.app.push_screen(question, answered)

    def go_to(self, row: int | None) -> None:
        """Select a row; a filter that hides it is turned off."""
        if row is None:
            return
        view, events, bar = self._view, self._panes.events, self._filter_bar
        events.change(view.hold)
        if view.index(row) is None:
            if bar.only_marked or bar.filtering.on:
                bar.only_marked = False
                bar.apply(bar.filtering.text, False)
                self._host.notices.say("the filter hides it and was taken off; F puts it back")
            if view.mode is Mode.PAUSED:
                self._panes.toggle_pause()
        index = view.index(row)
        if index is None:
            view.wanted = row
            events.redraw()
        else:
            events.choose(index)

    # ---- by the changes of a row

    def go_in_history(self, direction: int) -> None:
        row = self._panes.taken()
        found = self._panes.detail.load_history() if row is not None else None
        if found is None:
            if row is not None:
                self._host.notices.say("this event tells no row", "warning")
            return
        self._panes.screen.run_worker(self._go_in_history(direction), group="find", exclusive=True)

    async def _go_in_history(self, direction: int) -> None:
        found = self._panes.detail.history
        if found is None:
            return
        while not (found.newer if direction > 0 else found.older) and found.search(SEARCH_SECONDS):
            await asyncio.sleep(0)
        rows = found.newer if direction > 0 else found.older
        if rows:
            self.go_to(rows[0])
        else:
            words = f"no {'later' if direction > 0 else 'earlier'} event of this row is kept here"
            self._host.notices.say(words)
