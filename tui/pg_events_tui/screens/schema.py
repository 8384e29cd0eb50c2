"""Schema: DDL commands, their changes, and their effect on the capture."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from pg_events.event import SCHEMA
from pg_events.filter.conditions import And
from pg_events.filter.parser import Filter, parse
from pg_events.text import counted
from pg_events_tui.model import scan
from pg_events_tui.model.scan import Passing
from pg_events_tui.screens.events import EventsScreen
from pg_events_tui.text import describe
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets import keys

_DDL = parse("is:ddl")


class SchemaScreen(EventsScreen):
    """DDL commands, the newest on top."""

    MODE: ClassVar[str] = "schema"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("schema")]
    EMPTY: ClassVar[Sequence[str]] = ("no schema events yet", "CREATE, ALTER and DROP show here")

    def list_title(self) -> str:
        return "DDL, newest first"

    def _matching(self, wanted: Filter | None) -> Passing:
        both = _DDL if wanted is None else Filter(And((_DDL.condition, wanted.condition)))
        return scan.passing(self.view.store, both, also=self._also(), too_slow=self._gives_up)

    def _count_words(self) -> str:
        if not self.filtering.on and not self.only_marked:
            return counted(len(self.view), "schema event")
        return f"{counted(len(self.view), 'schema event')} match"

    def detail_notes(self) -> Sequence[Line]:
        """Return the command's effect on the capture, by the current coverage."""
        record = self.selected_record()
        if record is None or record.kind != SCHEMA:
            return ()
        return [line(span("capture", "heading")), *describe.impact(record, self.app.coverage[0])]

    def action_show_in_live(self) -> None:
        row = self._taken()
        if row is not None:
            self.app.show_in_live(row)
