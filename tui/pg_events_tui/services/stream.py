"""Events of the console: the store, what fills it, and the views of Live and Schema."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from time import monotonic

from pg_events.event import Record
from pg_events.filter.parser import Filter, chosen
from pg_events_tui.model.clock import Clock
from pg_events_tui.model.feed import Feed, Intake, Link, Rates
from pg_events_tui.model.rates import TableRates
from pg_events_tui.model.saved import SavedLog
from pg_events_tui.model.store import Store
from pg_events_tui.model.summary import day
from pg_events_tui.model.view import View


class Stream:
    """Events from a database or a saved log."""

    def __init__(
        self, feed: Feed | Path, store: Store, clock: Clock, on_records: Callable[[Sequence[Record]], None]
    ) -> None:
        """`feed` may be the path of a saved log. `on_records` gets each arriving page, in the thread.

        Raises `UsageError` if a saved log cannot be opened.
        """
        self._clock = clock
        self.store = store
        self.live = View(store)
        self.schema = View(store, newest_first=True)
        self.rates = TableRates()
        """Events by table since the console started."""
        if isinstance(feed, Path):
            self.intake: Intake | SavedLog = SavedLog(feed, store)
        else:
            self.intake = Intake(feed, store, now=lambda: clock.seconds, on_records=on_records)
        self._rates = Rates()
        self._counted = 0

    @property
    def link(self) -> Link:
        return self.intake.link.seen(monotonic())

    def count(self, link: Link) -> None:
        """Count the events that arrived since the last tick, in all and by table."""
        now = self._clock.seconds
        self._rates.add(link.since_start, now)
        if link.state in ("reading", "saved"):
            return
        end = self.store.end
        begin = max(self._counted, self.link.past)  # read last, so that it covers all past events that have arrived
        if end > begin:
            self.rates.add(self.store.table_counts(begin, end), now)
        self._counted = end

    def per_second(self) -> float:
        return self._rates.per_second(self._clock.seconds)

    def per_second_series(self, length: int) -> Sequence[int]:
        return self._rates.series(self._clock.seconds, length)

    def lags(self) -> Sequence[float]:
        """Recent delays of events."""
        return tuple(self.intake.lags.copy()) if isinstance(self.intake, Intake) else ()

    def read_filter(self, text: str) -> Filter:
        """Parse a filter. In a saved log, `since:5m` counts from its newest event. Raises `FilterError`."""
        return chosen(text, now=self.intake.ends_at if isinstance(self.intake, SavedLog) else None)

    def today(self) -> date:
        """Return the day that is omitted in times; in a saved log that of its newest event."""
        if isinstance(self.intake, SavedLog) and len(self.store):
            return day(self.store.at(self.store.end - 1), self._clock.zone)
        return self._clock.now().astimezone(self._clock.zone).date()
