"""Origins of a replay's events: selected, marked or shown ones, a file, the log, failed events. Independent of Textual."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from pg_events.config.settings import Settings
from pg_events.db.connection import connect, describe
from pg_events.event import Record, record
from pg_events.filter.parser import Filter, parse
from pg_events.playback import runs
from pg_events.playback.job import Job, given_up, resumed
from pg_events.playback.runs import Run
from pg_events.playback.source import LOG, Item, item_of
from pg_events_tui.model.store import NOTE, Store
from pg_events_tui.model.view import View
from pg_events_tui.replay.callback_names import known_callbacks
from pg_events_tui.replay.loading import Origin
from pg_events_tui.replay.queue import MAX_QUEUED, ids_words

ALL: Final = parse("")
FindOrigin = Callable[[], Origin | None]
"""Returns the events to replay; None if the user is still to be asked."""


class Origins:
    """Origins that the console offers, by what it shows."""

    def __init__(self, settings: Settings, store: Store, log: Path | None) -> None:
        """`log` is the saved log that is shown, None for a database."""
        self._settings = settings
        self._store = store
        self._log = log

    @property
    def callbacks(self) -> Sequence[str]:
        """Names of the callbacks in the settings."""
        return known_callbacks(self._settings)

    def event(self, row: int) -> Origin:
        return self._of_rows(f"event #{self._store.id(row)}", [row])

    def transaction(self, row: int) -> Origin:
        xid, store = self._store.xid(row), self._store
        words = f"transaction {xid}"
        if self._log is not None:
            return Origin(words, Job(self._settings, str(self._log), parse(f"tx:{xid}")))
        return self._given(words, lambda: (one for one in range(store.first, store.end) if _xid(store, one) == xid))

    def marked(self, rows: Iterable[int]) -> Origin:
        chosen = sorted(rows)
        return self._of_rows(f"{len(chosen):,} marked", chosen)

    def shown(self, view: View, wanted: Filter | None) -> Origin:
        """Return the currently shown events of a view.

        `wanted` is the filter that describes exactly these within their range; None if only the events themselves do.
        """
        count = min(len(view), MAX_QUEUED)
        rows = [view.row(index) for index in range(count)]
        origin = self._of_rows(f"{len(view):,} shown", rows)
        if wanted is not None and rows:
            ids = [self._store.id(row) for row in rows]
            exact = parse(f"id:{min(ids)}..{max(ids)} ({wanted})")
            origin = replace(origin, job=replace(origin.job, wanted=exact))
        return replace(origin, left_out=len(view) - count)

    def kept(self) -> Origin:
        """Return all events that the console keeps."""
        if self._log is not None:
            return self.file(self._log)
        rows = range(self._store.first, self._store.end)
        origin = self._of_rows(f"{self._store.event_count:,} kept here", rows[:MAX_QUEUED])
        return replace(origin, left_out=len(rows[MAX_QUEUED:]))

    def file(self, path: Path) -> Origin:
        return Origin(path.name, Job(self._settings, str(path.absolute()), ALL))

    def log(self) -> Origin:
        return Origin("the whole log", Job(self._settings, LOG, ALL))

    def failed(self) -> Origin:
        """Return the events that workers gave up, without duplicates."""
        return Origin(
            "failed events", Job(self._settings, LOG, ALL), lambda: _failed(self._settings.database_url or "")
        )

    def run(self, run: Run) -> Origin:
        """Return the events of a stored run. Raises `UsageError` if it is of another database."""
        return Origin(f"run {run.run}", resumed(run, self._settings), past=run)

    def edited_ids(self) -> frozenset[int]:
        """Return the ids of this place's events of which an edited copy was replayed, by the stored runs. Blocks."""
        return frozenset(one for run in runs.kept() if self._is_of(run) for one in run.edited_ids())

    def _is_of(self, run: Run) -> bool:
        """Return True if the run has events of this place."""
        if self._log is not None:
            return run.asked.source == str(self._log.absolute())
        url = self._settings.database_url
        return run.asked.source == LOG and run.asked.database == (None if url is None else describe(url))

    def _of_rows(self, words: str, rows: Sequence[int]) -> Origin:
        if self._log is not None:
            ids = [self._store.id(row) for row in rows]
            return Origin(words, Job(self._settings, str(self._log), parse(ids_words(ids))))
        return self._given(words, lambda: rows)

    def _given(self, words: str, rows: Callable[[], Iterable[int]]) -> Origin:
        store = self._store

        def items() -> list[Item]:
            return sorted((item_of(one) for one in _records(store, rows())), key=lambda item: item.position)

        return Origin(words, Job(self._settings, LOG, ALL), items)


def into(origin: Origin, callback: str | None) -> Origin:
    """Return the same events for another callback; None for those of the settings."""
    return replace(origin, job=replace(origin.job, callback=callback))


def filtered(origin: Origin, wanted: Filter) -> Origin:
    """Return only the matching events."""
    before, items = str(origin.job.wanted), origin.items
    job = replace(origin.job, wanted=parse(f"({before}) ({wanted})") if before else wanted)
    if items is None:
        return replace(origin, job=job, where=str(wanted))
    if not before:  # its run names the events themselves
        job = origin.job
    return replace(
        origin,
        job=job,
        where=str(wanted),
        items=lambda: (item for item in items() if wanted.matches(record(item.payload))),
    )


def _records(store: Store, rows: Iterable[int]) -> Iterator[Record]:
    for row in rows:
        with suppress(IndexError):  # dropped meanwhile
            if store.kind(row) != NOTE:
                yield store.record(row)


def _xid(store: Store, row: int) -> int | None:
    with suppress(IndexError):
        return store.xid(row)
    return None


def _failed(database_url: str) -> Iterator[Item]:
    with closing(connect(database_url, application_name="pg_events tui")) as connection:
        found = {one.id: one.payload for one in given_up(connection)}
    for _, payload in sorted(found.items()):
        with suppress(ValueError, RecursionError):
            yield item_of(record(payload))
