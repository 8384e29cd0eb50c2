"""Queries of the app to the database besides events: each runs in a thread, with the result at a later tick."""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from textual import work

from pg_events.triggers.catalog import Table
from pg_events_tui.app.notices import WordsApp
from pg_events_tui.model.backend import Backend, DatabaseHealth, problem_line


class AskingApp(WordsApp):
    """App that knows the coverage and the state of the pipeline, and handles failed events."""

    def __init__(
        self, backend: Backend, clock: Callable[[], datetime], zone: tzinfo | None, copy_path: Path | None
    ) -> None:
        super().__init__(clock, zone, copy_path)
        self.backend = backend
        self.coverage: tuple[Sequence[Table] | None, str] = (None, backend.absent)
        """Tables, None while unknown, and the reason if the query failed."""
        self.told: tuple[DatabaseHealth | None, str] = (None, backend.absent)
        """State of the pipeline according to the database, and the reason if the query failed."""

    @work(thread=True, exclusive=True, group="coverage", exit_on_error=False)
    def load_coverage(self) -> None:
        """Reload the coverage; the result arrives at a later tick."""
        try:
            tables = self.backend.coverage()
        except Exception as error:  # noqa: BLE001 - a bug in a backend must not look like a slow database
            found = (self.coverage[0], problem_line(error))
        else:
            found = (tables, "")
        self.call_from_thread(setattr, self, "coverage", found)

    @work(thread=True, exclusive=True, group="health", exit_on_error=False)
    def load_health(self) -> None:
        """Reload the state of the pipeline; the result arrives at a later tick."""
        try:
            told = self.backend.health()
        except Exception as error:  # noqa: BLE001 - as above
            found = (self.told[0], problem_line(error))
        else:
            found = (told, "")
        self.call_from_thread(setattr, self, "told", found)

    @work(thread=True, group="discard", exit_on_error=False)
    def discard(self, consumer: str, event_id: int) -> None:
        """Discard a failed event, and show the result."""
        self._change_failed(self.backend.discard, consumer, event_id, "is forgotten")

    @work(thread=True, group="discard", exit_on_error=False)
    def retry(self, consumer: str, event_id: int) -> None:
        """Have a failed event delivered again by its consumer's worker."""
        self._change_failed(self.backend.retry, consumer, event_id, "will be delivered again by its worker")

    def _change_failed(self, change: Callable[[str, int], None], consumer: str, event_id: int, done: str) -> None:
        try:
            change(consumer, event_id)
        except Exception as error:  # noqa: BLE001
            self.call_from_thread(self.say, problem_line(error), "error")
        else:
            self.call_from_thread(self.say, f"event {event_id} of {consumer} {done}")
        self.call_from_thread(self.load_health)
