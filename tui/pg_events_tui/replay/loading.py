"""Loads the events of a replay from their origin into its queue. Independent of Textual."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime

from pg_events.db.connection import connect
from pg_events.errors import UsageError
from pg_events.filter.parser import parse
from pg_events.playback.column_drift import Drift
from pg_events.playback.job import Job, given_up
from pg_events.playback.player import plan
from pg_events.playback.runs import Run
from pg_events.playback.source import LOG, Item, Source
from pg_events_tui.replay.queue import Queue, ids_words


@dataclass(frozen=True)
class Origin:
    """Events to replay."""

    words: str
    """Description for the user: `3 marked`, `night.jsonl`."""
    job: Job
    items: Callable[[], Iterable[Item]] | None = None
    """Returns the events in the order of their positions, instead of the job's source. Called by a thread."""
    past: Run | None = None
    """Run that the events are from."""
    where: str = ""
    """Filter by which the events were narrowed in the console."""
    left_out: int = 0
    """Number of events that were left out, because there are too many."""


@dataclass(frozen=True)
class Planned:
    """Plan of a replay, apart from its queue."""

    counts: Mapping[tuple[str, bool], int] = field(default_factory=dict[tuple[str, bool], int])
    """Number of events by description (`UPDATE shop.orders`), and whether it is a schema event."""
    drift: Sequence[str] = ()
    failed: Mapping[int, str] = field(default_factory=dict[int, str])
    """Consumer and error by id, for events that a worker gave up."""
    bad_lines: int = 0


class NotWanted(Exception):
    """The queue is no longer needed."""


def fill(origin: Origin, queue: Queue, is_wanted: Callable[[], bool]) -> Planned:
    """Load the events into the queue. Raises `PgEventsError`, and `NotWanted` as soon as they are no longer needed."""
    job = origin.job
    source = _source(origin)
    database = job.settings.database_url
    drift, drifted = Drift(source, database), list[str]()
    if drift.unknown is not None:
        drifted.append(f"tables are not compared: {drift.unknown}")
    failed: dict[int, str] = {}
    if job.source == LOG and database is not None:
        with closing(connect(database, application_name="pg_events tui")) as connection:
            failed = {one.id: f"{one.consumer}: {one.error}" for one in given_up(connection)}

    def seen(item: Item) -> None:
        if not is_wanted():
            raise NotWanted
        queue.add(item)
        if (words := drift.of(item)) is not None:
            drifted.append(words)

    found = plan(source, frozenset(failed), seen)
    queue.left_out += origin.left_out
    failed = {id: words for id, words in failed.items() if id in found.ids}  # noqa: A001
    return Planned(found.counts, drifted, failed, found.bad_lines)


def _source(origin: Origin) -> Source:
    past = origin.past
    if origin.items is not None:
        return _Given(origin.items)
    if past is None:
        return origin.job.open()
    try:
        source: Source | None = origin.job.open()
    except UsageError:  # the results are there nevertheless
        source = None
    return _Given(lambda: _with_outcomes(source.items() if source else (), past))


def named(origin: Origin, queue: Queue) -> Job:
    """Return the job of a run over these events, by which they can be found again."""
    if origin.items is None or origin.left_out or str(origin.job.wanted):
        return origin.job
    return replace(origin.job, wanted=parse(ids_words(queue.ids())))


class _Given:
    """Events in memory, as a source."""

    name = LOG
    bad_lines = 0
    problems = ()
    columns = {}  # noqa: RUF012 - never written
    fraction = 0.0

    def __init__(self, items: Callable[[], Iterable[Item]]) -> None:
        self._items = items

    def items(self, after: int = 0) -> Iterator[Item]:
        return (item for item in self._items() if item.position > after)


def _with_outcomes(items: Iterable[Item], past: Run) -> Iterator[Item]:
    """Yield the events of a run, and for missing ones the outcomes recorded in the run."""
    at = datetime.fromisoformat(past.started_at)
    told = {one.position: (one.id, one.what) for one in past.outcomes()}
    remains = (
        Item(position, id, at, "", " " not in what or what.isupper(), what, what.partition(" ")[2] or None)
        for position, (id, what) in sorted(told.items())  # noqa: A001
    )
    seen = None
    for item in heapq.merge(items, remains, key=lambda one: one.position):
        if item.position != seen:
            yield item
        seen = item.position
