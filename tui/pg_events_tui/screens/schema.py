"""Schema: DDL commands, their changes, and their effect on the capture."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.binding import BindingType

from pg_events.event import SCHEMA, Record
from pg_events.filter.parser import parse
from pg_events_tui.model.view import View
from pg_events_tui.screens.events import EventsScreen
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.listing import Listing
from pg_events_tui.text import describe
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets import keys


def _effect(host: Host, record: Record) -> Sequence[Line]:
    """Describe the command's effect on the capture, by the current coverage."""
    if record.kind != SCHEMA:
        return ()
    return [line(span("capture", "heading")), *describe.impact(record, host.database.coverage[0])]


DDL: Final = Listing(
    title="DDL, newest first",
    empty=("no schema events yet", "CREATE, ALTER and DROP show here"),
    only=parse("is:ddl"),
    unit="schema event",
    dates=True,
    notes=_effect,
)


class SchemaScreen(EventsScreen):
    """DDL commands, the newest on top."""

    MODE: ClassVar[str] = "schema"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("schema")]

    def __init__(self, host: Host, view: View) -> None:
        super().__init__(host, view, DDL)

    def action_show_in_live(self) -> None:
        row = self.panes.taken()
        if row is not None:
            self.host.navigation.show_in_live(row)
