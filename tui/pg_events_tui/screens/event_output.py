"""Events of a list that leave it: copied, written to a file, or replayed."""

from collections.abc import Sequence

from pg_events.errors import UsageError
from pg_events.filter.parser import parse
from pg_events_tui.dialogs.questions import Choice, Option
from pg_events_tui.model import scan
from pg_events_tui.model.store import NOTE
from pg_events_tui.replay.loading import Origin
from pg_events_tui.screens.event_panes import EventPanes
from pg_events_tui.text import copying


class EventOutput:
    """Finds the rows of a selector such as `@shown`, and asks where they should go."""

    def __init__(self, panes: EventPanes) -> None:
        self._panes = panes
        self._view = panes.view
        self._host = panes.host

    def ask_to_copy(self) -> None:
        record = self._panes.taken_record()
        if record is None:
            return
        options = [Option(form.key, form.label, form, why_not=form.why_not(record)) for form in copying.FORMS]

        def chosen(form: copying.Form | None) -> None:
            text = form.text(record) if form else None
            if form and text is not None:
                self._host.notices.copy(f"{form.label} of #{record.id}", text)

        self._panes.screen.app.push_screen(Choice(f"Copy of #{record.id}", options), chosen)

    def ask_to_write(self) -> None:
        if self._panes.taken() is None:
            return
        view = self._view
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
                self._host.files.ask_to_write(what, self.rows_of(what))

        self._panes.screen.app.push_screen(Choice("Write which events?", options), chosen)

    def rows_of(self, selector: str) -> Sequence[int]:
        """Return the rows of a selector, ascending. Raises `UsageError` if there are none."""
        view, store = self._view, self._view.store
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
        rows, origins = self.rows_of(selector), self._host.replays.origins
        if not rows:
            raise UsageError("nothing is shown" if selector == "@shown" else "there is no event")
        if selector in ("@focus", "@tx") and self._view.store.kind(rows[0]) == NOTE:
            raise UsageError("this row is no event")
        return {
            "@focus": lambda: origins.event(rows[0]),
            "@tx": lambda: origins.transaction(rows[0]),
            "@marked": lambda: origins.marked(rows),
            "@shown": lambda: origins.shown(self._view, self._view.exact_filter),
            "@all": origins.kept,
        }[selector]()
