"""Live: all events as they happen."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from pg_events_tui.screens.events import EventsScreen
from pg_events_tui.widgets import keys


class LiveScreen(EventsScreen):
    """All events as they happen."""

    MODE: ClassVar[str] = "live"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("live")]
    EMPTY: ClassVar[Sequence[str]] = (
        "no events yet",
        "as soon as a covered table changes, it shows here",
        "2 shows which tables are covered",
    )
