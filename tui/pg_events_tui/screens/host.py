"""Console as a screen sees it: a handful of parts."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pg_events.event import Record
from pg_events_tui.model.clock import Clock
from pg_events_tui.model.places import Places
from pg_events_tui.services.database import Database
from pg_events_tui.services.files import Files
from pg_events_tui.services.notices import Notices
from pg_events_tui.services.replays import Replays
from pg_events_tui.services.stream import Stream
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.keys import Key


class Navigation(Protocol):
    """Moves to other screens and places."""

    @property
    def places(self) -> Places: ...

    def show_coverage_of(self, record: Record) -> None:
        """Show the table of an event in Coverage."""

    def show_in_live(self, row: int) -> None:
        """Select a row in Live, even if its filter hides it."""

    def filter_live(self, text: str) -> None:
        """Show the events in Live that match a filter."""

    def ask_for_log(self) -> None:
        """Prompt for a saved log, and open it."""

    def ask_for_database(self) -> None:
        """Offer the databases of the settings, and open one."""

    def ask_for_command(self) -> None:
        """Prompt for a command, and run it."""

    def ask_to_quit(self) -> None: ...


class Host(Protocol):
    """Parts of the console that a screen uses. The screen has them; they know nothing of the screen."""

    @property
    def clock(self) -> Clock: ...
    @property
    def keys(self) -> Sequence[Key]: ...
    @property
    def notices(self) -> Notices: ...
    @property
    def stream(self) -> Stream: ...
    @property
    def database(self) -> Database: ...
    @property
    def files(self) -> Files: ...
    @property
    def replays(self) -> Replays: ...
    @property
    def navigation(self) -> Navigation: ...

    def remembered(self, mode: str) -> Mapping[str, Any]:
        """Return the state of a screen when the console was left, as values from JSON."""
        ...

    def header(self) -> Health:
        """Return the current contents of the header."""
        ...

    def tick_seconds(self) -> Sequence[float]:
        """Return the durations of the last ticks in the drawing thread."""
        ...
