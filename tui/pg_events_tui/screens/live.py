"""Live: all events as they happen."""

from typing import ClassVar, Final

from textual.binding import BindingType

from pg_events_tui.model.view import View
from pg_events_tui.screens.events import EventsScreen
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.listing import Listing
from pg_events_tui.widgets import keys

ALL: Final = Listing(
    title="Events",
    empty=(
        "no events yet",
        "as soon as a covered table changes, it shows here",
        "2 shows which tables are covered",
    ),
)


class LiveScreen(EventsScreen):
    """All events as they happen."""

    MODE: ClassVar[str] = "live"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("live")]

    def __init__(self, host: Host, view: View) -> None:
        super().__init__(host, view, ALL)
