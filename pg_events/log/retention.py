"""Retention: deletes events that every consumer has received, by age and by the size of the log."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Literal

from pg_events import sql
from pg_events.db.blockers import watched
from pg_events.db.link import RawCursor
from pg_events.errors import PgEventsError
from pg_events.triggers.catalog import Connection

BATCH_ROWS: Final = 10_000
"""Maximum rows of the log per transaction, so that none is long."""
_SAMPLED_BYTES: Final = 16_000_000
"""Bytes of each table that are sampled to estimate the size of its rows."""

# A lock that only the log's owner can take, and that conflicts only with the same lock: on a table that vacuum rarely
# processes.
_WAIT: Final = "set local lock_timeout = '60s'; lock table pgevents.consumer in share update exclusive mode"
_TRY: Final = "lock table pgevents.consumer in share update exclusive mode nowait"
_BY_INDEX: Final = (
    # The order of the ids comes from their index, however stale the statistics are: a plan that sorts reads the whole log
    # for each batch.
    "select pg_catalog.set_config(name, 'off', true)"
    " from pg_catalog.unnest(array['enable_seqscan', 'enable_bitmapscan']) name"
)


class Unread(NamedTuple):
    """Events beyond the limit that a consumer has not received."""

    events: int
    first_id: int
    last_id: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """Result of a pruning."""

    deleted: int = 0
    """Number of deleted events."""
    rows: int = 0
    """Rows of the log that held the deleted events."""
    kept: int = 0
    """Number of kept events beyond the limit that a consumer has not received."""
    unread: Mapping[str, Unread] = field(default_factory=dict[str, Unread])
    """Unread events beyond the limit, by consumer: kept, or deleted if that was requested."""

    def __add__(self, other: "Pruned") -> "Pruned":
        unread = {**self.unread}
        for consumer, more in other.unread.items():
            events, first_id, last_id = unread.get(consumer, more._replace(events=0))
            unread[consumer] = Unread(events + more.events, min(first_id, more.first_id), max(last_id, more.last_id))
        return Pruned(self.deleted + other.deleted, self.rows + other.rows, self.kept + other.kept, unread)


@dataclass(frozen=True, slots=True)
class Limit:
    """Maximum age and size of the log."""

    age: timedelta | None = None
    size_bytes: int | None = None
    """Maximum size of the events with their indexes. The files are larger: free space is reused, not returned."""
    unread: bool = False
    """True to also delete events that some consumer has not received."""

    @property
    def is_one(self) -> bool:
        return self.age is not None or self.size_bytes is not None


def prune(connection: Connection, limit: Limit, *, batch_rows: int = BATCH_ROWS) -> Pruned:
    """Delete all events beyond the limit that every consumer has received.

    Failed events are kept, because a retry needs them. Requires an autocommit connection and the privileges of the
    schema's owner. Blocks, and reads the whole log; each batch is a transaction. If interrupted, run it again.
    """
    done = sum((batch.pruned for batch in _Walk(connection, limit, batch_rows).batches(0)), Pruned())
    if done.deleted:
        vacuum(connection)
    return done


def vacuum(connection: Connection) -> None:
    """Make the space of deleted rows reusable. Takes some time, but blocks no one."""
    connection.alone("vacuum (skip_locked) pgevents.event, pgevents.statement")


class Pruner:
    """Prunes periodically, in small batches, while a worker runs."""

    def __init__(self, limit: Limit, *, batch_rows: int = BATCH_ROWS // 4) -> None:
        self._limit = limit
        self._batch_rows = batch_rows
        self._position = 0
        self.dead = 0
        """Number of rows deleted since the last `vacuum()` of this pruner."""

    def prune(self, connection: Connection, pause: Callable[[float], bool]) -> Pruned | None:
        """Delete events beyond the limit; returns None while another process prunes.

        Between batches it calls `pause` with the seconds that the last one took, and ends if that returns True.

        Events beyond the limit are at the beginning of the log, with exceptions: those of a long statement are after
        younger ones, and a clock may have been wrong. So it reads from the beginning while events are deleted, and then
        one more batch, a different one each time: eventually it has read the whole log.
        """
        walk = _Walk(connection, self._limit, self._batch_rows)
        done, position = Pruned(), 0
        for batch in walk.batches(0, waits=False):
            done, position = done + batch.pruned, batch.last_id
            if pause(batch.seconds) or not batch.pruned.deleted:
                break
        if walk.is_somebody_elses:
            return None
        if self._limit.age is not None:
            done += self._look_further(walk, max(position, self._position), pause)
        self.dead += done.rows
        return done

    def _look_further(self, walk: "_Walk", position: int, pause: Callable[[float], bool]) -> Pruned:
        done, self._position = Pruned(), 0
        for batch in walk.batches(position, waits=False):
            done, self._position = done + batch.pruned, batch.last_id
            if pause(batch.seconds) or not batch.pruned.deleted:
                break
        return done

    def vacuum(self, connection: Connection) -> None:
        vacuum(connection)
        self.dead = 0


# --- batches ------------------------------------------------------------------------------------------------------


class _Batch(NamedTuple):
    last_id: int
    pruned: Pruned
    seconds: float


class _Walk:
    """Pass through the log in the order of the ids that deletes events beyond the limit."""

    def __init__(self, connection: Connection, limit: Limit, batch_rows: int) -> None:
        self._connection = connection
        self._limit = limit
        self._batch_rows = batch_rows
        self.is_somebody_elses = False
        """True if the pass ended because another process prunes."""
        row = connection.execute("select clock_timestamp()").fetchone()  # the clock that wrote the times
        assert row is not None
        self._before: datetime | None = None if limit.age is None else row[0] - limit.age
        self._excess = None if limit.size_bytes is None else max(0, live_bytes(connection) - limit.size_bytes)

    def batches(self, position: int, *, waits: bool = True) -> Iterator[_Batch]:
        """Process batches above the id. Only one process prunes at a time: `waits` for the other one, or ends."""
        while self._before is not None or self._excess:
            begin = monotonic()
            # Only within the transaction: behind a pooler, locks of a session are shared with other clients.
            with self._connection.transaction(), RawCursor(self._connection) as cursor:
                if not self._is_alone(waits):
                    self.is_somebody_elses = True
                    return
                cursor.execute(_BY_INDEX)
                row = cursor.execute(self._question(position)).fetchone()
                assert row is not None
                last_id, deleted, rows, size_bytes, statements, kept, unread = row
                if statements:
                    cursor.execute(sql.text("prune_statements.sql"), (statements,))
                if rows:
                    cursor.execute(sql.text("prune_shapes.sql"), (position, last_id))
            if last_id is None:
                return
            if self._excess is not None:
                self._excess = max(0, self._excess - size_bytes)
            told = {consumer: Unread(*values) for consumer, values in json.loads(unread).items()}
            yield _Batch(last_id, Pruned(deleted, rows, kept, told), monotonic() - begin)
            position = last_id

    def _is_alone(self, waits: bool) -> bool:
        """Lock out other pruners until the end of the transaction; return False if one is running."""
        try:
            with self._connection.transaction():
                self._connection.execute(_TRY)
                return True
        except psycopg.errors.LockNotAvailable:
            if not waits:
                return False
        with watched(self._connection) as watch:
            try:
                self._connection.execute(_WAIT)
                return True
            except psycopg.errors.LockNotAvailable as error:
                raise PgEventsError(
                    f"the log is being pruned by {watch.words}; run it again once that has ended"
                ) from error

    def _question(self, position: int) -> Composed:
        excess = SQL("null::bigint") if self._excess is None else Literal(self._excess)
        return SQL(sql.text("prune.sql")).format(
            after=Literal(position),
            rows=Literal(self._batch_rows),
            before=SQL("null") if self._before is None else Literal(self._before),
            excess=excess,
            unread=Literal(self._limit.unread),
            bytes=_event_bytes(),
        )


def live_bytes(connection: Connection) -> int:
    """Approximate size of the events and statement texts, without the space of deleted ones."""
    question = SQL(sql.text("log_live.sql")).format(sampled=Literal(_SAMPLED_BYTES), bytes=_event_bytes())
    row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def live_rows(connection: Connection) -> int:
    """Approximate number of rows of the log, from the statistics."""
    with RawCursor(connection) as cursor:
        row = cursor.execute(sql.text("doctor_log.sql")).fetchone()
    assert row is not None
    return row[1]


@cache
def _event_bytes() -> SQL:
    return SQL(sql.text("event_bytes.sql"))
