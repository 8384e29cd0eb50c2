"""Details of an event: its head, one of its faces, and other events of the same row."""

from collections.abc import Sequence
from datetime import tzinfo
from time import monotonic
from typing import Final

from rich.cells import cell_len

from pg_events.event import Record
from pg_events.text.formatting import format_bytes
from pg_events_tui.model.history import RowHistory
from pg_events_tui.model.store import Store
from pg_events_tui.model.summary import GIANT_BYTES, LETTERS, clock, summary
from pg_events_tui.text import describe
from pg_events_tui.text.lines import Line, crop, fit, line, span
from pg_events_tui.widgets.event_list import KIND_ROLES, fit_names
from pg_events_tui.widgets.text_pane import TextPane

HISTORY_SECONDS: Final = 0.004
"""Time per tick of the search for other events of the row."""
SETTLE_SECONDS: Final = 0.15
"""Age from which a selection is drawn in full; younger ones are only passing by."""
SHOWN_EACH_WAY: Final = 4


class EventDetail(TextPane):
    """Detail of the event that the screen sets."""

    def __init__(self, store: Store, zone: tzinfo | None, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.face = 0
        self.unfolded = False
        self.history: RowHistory | None = None
        self._store = store
        self._zone = zone
        self._row: int | None = None
        self._since = 0.0
        self._drawn: tuple[object, ...] | None = None
        self.heading = "No event"

    @property
    def face_name(self) -> str:
        return describe.FACES[self.face]

    def show_event(self, row: int | None, *, passing_by: bool, notes: Sequence[Line] = ()) -> None:
        """Draw the event, if it has changed. `passing_by`: the list is following, so very large events are skipped."""
        if row != self._row:
            self._row, self._since, self.history = row, monotonic(), None
        self._look_into_history(passing_by)
        found = self.history
        others = (len(found.older), len(found.newer), found.complete) if found else ()
        wanted = (row, self.face, self.unfolded, passing_by, self.size.width, others, tuple(notes))
        if wanted == self._drawn:
            return
        same_text = self._drawn is not None and wanted[:3] == self._drawn[:3]
        self._drawn = wanted
        if row is None:
            self.heading = "No event"
            self.show([])
            return
        try:
            size = self._store.line_bytes(row)
            if size > GIANT_BYTES and passing_by:
                self.heading = f"#{self._store.id(row)}"
                self.show([line(span(f"{format_bytes(size)}: select it to look inside", "note"))])
                return
            record = self._store.record(row)
        except IndexError:
            return
        self._show_record(record, notes, keep_place=same_text)

    def _show_record(self, record: Record, notes: Sequence[Line], *, keep_place: bool) -> None:
        self.heading = crop(line(span(describe.title(record))), 60)[0].text
        fixed = [*describe.head(record, self._zone), line(), self._faces(self.size.width)]
        name, unfolded = self.face_name, self.unfolded
        self.show(
            lambda cells: [
                *describe.face(record, name, cells, unfolded=unfolded),
                *self._history_lines(cells),
                *([line(), *notes] if notes else []),
            ],
            fixed=fixed,
            keep_place=keep_place,
        )

    def _faces(self, cells: int) -> Line:
        parts = [
            span(f"[{name}]" if number == self.face else f" {name} ", "tab" if number == self.face else "note")
            for number, name in enumerate(describe.FACES)
        ]
        return crop(tuple(parts), max(1, cells))

    # ---- other events of the row

    def _look_into_history(self, passing_by: bool) -> None:
        if self._row is None or passing_by or monotonic() - self._since < SETTLE_SECONDS:
            return
        self.load_history()
        if self.history is not None:
            self.history.search(HISTORY_SECONDS)

    def load_history(self) -> RowHistory | None:
        """Begin the search for other events of the row, if necessary; returns None if there is no such event."""
        if self.history is None and self._row is not None:
            try:
                if self._store.line_bytes(self._row) <= GIANT_BYTES:
                    self.history = RowHistory(self._store, self._row)
            except IndexError:
                return None
        return self.history

    def _history_lines(self, cells: int) -> list[Line]:
        found = self.history
        if found is not None and found.is_keyless:
            return [line(), crop(line(span("no history: the table has no key", "note")), max(1, cells))]
        if found is None or not (found.older or found.newer):
            return []
        what = found.key.words if found.key else found.table
        more = "" if found.complete else " …"
        head = line(span("history of ", "heading"), span(what, "heading"), span(f"{more}   [ ] go", "note"))
        rows = [*reversed(found.newer[:SHOWN_EACH_WAY]), found.row, *found.older[:SHOWN_EACH_WAY]]
        lines = [line(), crop(head, max(1, cells))]
        left = len(found.newer) - SHOWN_EACH_WAY
        if left > 0:
            lines.append(line(span(f"  {left} newer", "note")))
        lines += [one for row in rows if (one := self._history_line(row, row == found.row, cells))]
        left = len(found.older) - SHOWN_EACH_WAY
        if left > 0:
            lines.append(line(span(f"  {left} older", "note")))
        return lines

    def _history_line(self, row: int, is_this: bool, cells: int) -> Line:
        try:
            one = summary(self._store, row)
        except IndexError:
            return ()
        head = f"{'>' if is_this else ' '} {clock(one.at, self._zone)} "
        room = max(4, cells - cell_len(head) - 3)
        words = fit_names(one.names, room) if one.names else one.changed
        return line(
            span(head, "accent" if is_this else "note"),
            span(f"{LETTERS.get(one.kind, one.kind)} ", KIND_ROLES.get(one.kind, "")),
            span(fit(span(words).text, room).rstrip(), "" if is_this else "note"),
        )
