"""Differences between the lists of events: Live and Schema."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pg_events.event import Record
from pg_events.filter.conditions import And
from pg_events.filter.parser import Filter
from pg_events.text import counted
from pg_events_tui.screens.host import Host
from pg_events_tui.text.lines import Line


def no_notes(host: Host, record: Record) -> Sequence[Line]:  # noqa: ARG001 - same signature as others
    return ()


@dataclass(frozen=True)
class Listing:
    """Events of a list, and the words for them."""

    title: str
    empty: Sequence[str]
    """Words of the empty list."""
    only: Filter | None = None
    """Filter of the list itself, beside the user's; None lists everything."""
    unit: str = "event"
    dates: bool = False
    """True to show the date of each event."""
    notes: Callable[[Host, Record], Sequence[Line]] = no_notes
    """Returns notes about an event that are not part of it."""

    def narrowed(self, wanted: Filter | None) -> Filter | None:
        """Combine the list's own filter with the user's."""
        if self.only is None or wanted is None:
            return self.only or wanted
        return Filter(And((self.only.condition, wanted.condition)))

    def count_words(self, shown: int, total: int, *, filtered: bool, view_filtered: bool) -> str:
        """Format the number of shown events. `filtered` is True if the user has narrowed the list."""
        if self.only is not None:
            return f"{counted(shown, self.unit)}{' match' if filtered else ''}"
        return f"{shown:,} of {total:,} match" if view_filtered else counted(total, self.unit)
