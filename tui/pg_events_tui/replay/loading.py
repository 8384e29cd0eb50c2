"""Where the events of a replay come from, and how they get into its queue. No Textual."""

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
    """What is to be replayed."""

    words: str
    """For people: `3 marked`, `night.jsonl`."""
    job: Job
    items: Callable[[], Iterable[Item]] | None = None
    """Gives the events, in the order of their positions, in place of the job's source. Called by a thread."""
    past: Run | None = None
    """The run that these are the events of."""
    where: str = ""
    """What they were narrowed by here."""
    left_out: int = 0
    """Events that were not taken, because there are too many."""


@dataclass(frozen=True)
class Planned:
    """What a replay would do, as far as the queue alone does not tell."""

    counts: Mapping[tuple[str, bool], int] = field(default_factory=dict[tuple[str, bool], int])
    """What (`UPDATE shop.orders`), and whether it is a schema event -> events."""
    drift: Sequence[str] = ()
    failed: Mapping[int, str] = field(default_factory=dict[int, str])
    """Ids of events that a worker gave up -> consumer and error."""
    bad_lines: int = 0


class NotWanted(Exception):
    """Nobody wants the queue any more."""


def fill(origin: Origin, queue: Queue, is_wanted: Callable[[], bool]) -> Planned:
    """Put the events into the queue. Raises `PgEventsError`, and `NotWanted` as soon as nobody wants them any more."""
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
    except UsageError:  # the results are there all the same
        source = None
    return _Given(lambda: _with_outcomes(source.items() if source else (), past))


def named(origin: Origin, queue: Queue) -> Job:
    """The job of a run over these events, so that others find them where they were."""
    if origin.items is None or origin.left_out or str(origin.job.wanted):
        return origin.job
    return replace(origin.job, wanted=parse(ids_words(queue.ids())))


class _Given:
    """Events that are at hand, as a source."""

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
    """The events of a run, and in the place of those that are gone what the run tells of them."""
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
