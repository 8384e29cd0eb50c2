"""Field above a list of events, and navigation to a target by text, time, number or row."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from pg_events.errors import FilterError
from pg_events_tui.commands import filter_completion
from pg_events_tui.commands.completion import Completion
from pg_events_tui.dialogs.questions import Ask
from pg_events_tui.model import goto, scan, vocabulary
from pg_events_tui.model.view import Mode, View
from pg_events_tui.screens.filtered_view import SEARCH_SECONDS, TOO_SLOW, FilteredView
from pg_events_tui.text.lines import line, span
from pg_events_tui.widgets.rows import FilterRow

FIND_BLOCK: Final = 4_096


class SearchedView(FilteredView):
    """List whose field takes a filter, or a text to find without hiding other events."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.find_text = ""
        """Text of the last search that does not hide other events."""
        self.find_history: list[str] = []
        self._finding = False
        """True while the field edits the search, not the filter."""
        self._find_error: FilterError | None = None

    # ---- the field

    def action_filter(self) -> None:
        self._finding = False
        self.filtering.begin()
        self.query_one(FilterRow).edit(self.filtering.text, self.filtering.history, self._complete)

    def _complete(self, text: str) -> Completion:
        return filter_completion.completion(text, partial(vocabulary.names, self.view.store))

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

    def _show_filter(self) -> None:
        row = self.query_one(FilterRow)
        if not row.editing:
            super()._show_filter()
            return
        error = self._find_error if self._finding else self.filtering.error
        if len(row.candidates) > 1:
            row.hint(line(span("   " + " · ".join(row.candidates), "note")), self._count())
        elif error is not None:
            row.hint(line(span(" " * (error.position + 3) + "^ ", "bad"), span(error.message, "bad")))
        elif self._finding:
            row.hint(
                line(span("   find without hiding · ⏎ goes to the next match, then n and N · esc leaves it", "note"))
            )
        else:
            row.hint(
                line(span("   ⏎ keeps it · esc takes it back · tab completes · ↑ ↓ earlier ones", "note")),
                self._count(),
            )

    # ---- searching without hiding

    def action_find(self) -> None:
        self._finding = True
        self._find_error = None
        self.query_one(FilterRow).edit(self.find_text, self.find_history, self._complete)

    def _read_find(self, text: str) -> None:
        try:
            wanted = self.read_filter(text) if text.strip() else None
        except FilterError as error:
            self._find_error = error
            return
        self._find_error = None
        self.find_text = text if wanted else ""
        found = None if wanted is None else scan.passing(self.view.store, wanted, too_slow=self._find_gives_up)
        self.events.matches = None if found is None else lambda row: bool(found(row, row + 1))
        self.events.redraw()

    def _find_gives_up(self) -> None:
        """Stop the search immediately, because it is evaluated for each drawn row."""
        text, self.find_text, self.events.matches = self.find_text, "", None
        self._find_error = FilterError(TOO_SLOW, text, 0)
        self.say(f"nothing is looked for: {TOO_SLOW}", "warning")

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
        if self.find_text:
            self.say(f"no more match {'below' if direction > 0 else 'above'}: {self.find_text}")

    async def _matches(self, direction: int) -> AsyncIterator[int]:
        """Yield matching rows after the selected one, nearest first; yields to the event loop between slices."""
        view, wanted = self.view, self.read_filter(self.find_text)
        passing = scan.passing(view.store, wanted, too_slow=self._find_gives_up)
        index, row = view.selected_index, view.selected
        if index is None or row is None:
            return
        if view.sorted_by:
            for place in range(index + direction, len(view) if direction > 0 else -1, direction):
                if not self.find_text:
                    return
                if passing(view.row(place), view.row(place) + 1):
                    yield view.row(place)
            return
        if view.newest_first:
            direction = -direction
        start, stop = (row + 1, view.store.end) if direction > 0 else (view.store.first, row)
        while start < stop and self.find_text:
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

    # ---- going to a place

    def action_goto(self) -> None:
        if not len(self.view.store):
            self.say("there is no event to go to", "warning")
            return
        text = [line(span("a time: 14:01:07, 2026-08-22T14:01, 5m (ago); or an event's number: #184220"))]

        def answered(text: str | None) -> None:
            if text:
                self.go_to(goto.row(self.view.store, text, self.read_filter))

        self.app.push_screen(
            Ask("Go to", text, check=lambda text: goto.problem(self.view.store, text, self.read_filter)), answered
        )

    def go_to(self, row: int | None) -> None:
        """Select a row; a filter that hides it is turned off."""
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
