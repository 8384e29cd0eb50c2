"""Saved log as the console's source: read to the store by a thread, in bounded memory, without a database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic, time
from typing import Final

from pg_events.errors import PgEventsError
from pg_events.event import Record, record
from pg_events.files import journal
from pg_events.text import counted, one_line
from pg_events_tui.model.feed import Link
from pg_events_tui.model.store import Store

PAGE: Final = 1_000


class SavedLog:
    """Reads the file once; the counterpart of `Intake` for a database."""

    def __init__(self, path: str | Path, store: Store) -> None:
        """Raises `UsageError` if the file does not exist or cannot be opened."""
        self.path = Path(path)
        self.link = Link(state="reading", since=time())
        self._reader = journal.read(path)
        self._store = store
        self._newest: datetime | None = None
        self._stopping = Event()
        self._thread: Thread | None = None

    @property
    def database(self) -> str:
        """Database of the events according to the file; known once reading has begun."""
        header = self._reader.header
        return header.database if header else ""

    def start(self) -> None:
        self._thread = Thread(target=self._run, name="pg_events saved log", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> bool:
        """Stop the thread; return False if it did not stop in time."""
        self._stopping.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def ends_at(self) -> datetime | None:
        """Time at which the newest event read so far was captured."""
        return self._newest

    def reconnect_now(self) -> None:
        """Do nothing, because there is no connection."""

    def _run(self) -> None:
        problem = ""
        try:
            for page in self._pages():
                self._store.append(page)
                self.link = replace(self.link, received=self.link.received + len(page), heard=monotonic())
        except PgEventsError as error:
            problem = one_line(str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not look like an empty file
            problem = one_line(f"{type(error).__name__}: {error}")
        self.link = replace(self.link, state="saved", reason="; ".join(filter(None, [problem, self._words()])))

    def _pages(self) -> Iterator[list[Record]]:
        page: list[Record] = []
        for found in self._reader:
            self._newest = max(self._newest or found.event.at, found.event.at)
            page.append(record(found.payload))
            if len(page) >= PAGE:
                yield page
                page = []
            if self._stopping.is_set():
                return
        if page:
            yield page

    def _words(self) -> str:
        """Describe lines that were unreadable, or are not kept; empty if there are none."""
        words: list[str] = []
        if self._reader.bad_lines:
            first = self._reader.problems[0]
            words.append(
                f"{counted(self._reader.bad_lines, 'line')} could not be read, the first is line {first.line}: "
                f"{one_line(first.reason)}"
            )
        if self._store.first:
            words.append(f"only the newest {len(self._store):,} of {counted(self._store.end, 'event')} are kept")
        return "; ".join(words)
