"""Queries to the database besides events: each runs in a thread, with the result at a later tick."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from textual.app import App

from pg_events.text import one_line
from pg_events.triggers.catalog import Table
from pg_events_tui.model.backend import Backend, DatabaseHealth, problem_line
from pg_events_tui.services.notices import Notices


class Database:
    """Knows the coverage and the state of the pipeline, and retries and discards failed events."""

    def __init__(self, app: App[Any], notices: Notices, backend: Backend, *, read_only: bool = False) -> None:
        self._app = app
        self._notices = notices
        self._must_be_read_only = read_only
        self.read_only = read_only
        self.backend = backend
        self.coverage: tuple[Sequence[Table] | None, str] = (None, backend.absent)
        """Tables, None while unknown, and the reason if the query failed."""
        self.health: tuple[DatabaseHealth | None, str] = (None, backend.absent)
        """State of the pipeline according to the database, and the reason if the query failed."""

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def absent(self) -> str:
        """Reason why there is no database; empty if there is one."""
        return self.backend.absent

    def set_read_only(self, on: bool) -> None:
        """Allow or forbid changes to the database; always forbidden if the console was started read-only."""
        if self._must_be_read_only and not on:
            self._notices.say("this console was started read-only, and stays so", "warning")
            return
        self.read_only = on
        self._notices.say("read-only: nothing is changed from here" if on else "changes are allowed again")

    def load_coverage(self) -> None:
        """Reload the coverage; the result arrives at a later tick."""
        self._run(self._load_coverage, "coverage", exclusive=True)

    def load_health(self) -> None:
        """Reload the state of the pipeline; the result arrives at a later tick."""
        self._run(self._load_health, "health", exclusive=True)

    def discard(self, consumer: str, event_id: int) -> None:
        """Discard a failed event, and show the result."""
        self._run(partial(self._change_failed, self.backend.discard, consumer, event_id, "is forgotten"), "discard")

    def retry(self, consumer: str, event_id: int) -> None:
        """Have a failed event delivered again by its consumer's worker."""
        done = "will be delivered again by its worker"
        self._run(partial(self._change_failed, self.backend.retry, consumer, event_id, done), "discard")

    def set_paused(self, consumer: str, is_paused: bool) -> None:
        """Pause or resume a consumer, and show the result."""
        self._run(partial(self._set_paused, consumer, is_paused), "discard")

    def _run(self, work: Callable[[], None], group: str, *, exclusive: bool = False) -> None:
        self._app.run_worker(work, thread=True, group=group, exclusive=exclusive, exit_on_error=False)

    def _load_coverage(self) -> None:
        try:
            tables = self.backend.coverage()
        except Exception as error:  # noqa: BLE001 - a bug in a backend must not look like a slow database
            found = (self.coverage[0], problem_line(error))
        else:
            found = (tables, "")
        self._app.call_from_thread(setattr, self, "coverage", found)

    def _load_health(self) -> None:
        try:
            health = self.backend.health()
        except Exception as error:  # noqa: BLE001 - as above
            found = (self.health[0], problem_line(error))
        else:
            found = (health, "")
        self._app.call_from_thread(setattr, self, "health", found)

    def _set_paused(self, consumer: str, is_paused: bool) -> None:
        try:
            self.backend.set_paused(consumer, is_paused)
        except Exception as error:  # noqa: BLE001
            self._notices.say_from_thread(problem_line(error), "error")
        else:
            done = "is paused; its workers finish their current calls" if is_paused else "is resumed"
            self._notices.say_from_thread(f"consumer {one_line(consumer)} {done}")
        self._app.call_from_thread(self.load_health)

    def _change_failed(self, change: Callable[[str, int], None], consumer: str, event_id: int, done: str) -> None:
        try:
            change(consumer, event_id)
        except Exception as error:  # noqa: BLE001
            self._notices.say_from_thread(problem_line(error), "error")
        else:
            self._notices.say_from_thread(f"event {event_id} of {consumer} {done}")
        self._app.call_from_thread(self.load_health)
