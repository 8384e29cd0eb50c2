"""The log's old end: events that every consumer has been given, deleted by age."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import RawCursor

from pg_events import sql
from pg_events.catalog import Connection

BATCH_EVENTS: Final = 10_000
"""So many events are looked at in one transaction: none of them is long."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning did."""

    deleted: int = 0
    """Events."""
    kept: int = 0
    """Events that are old enough and that a consumer has not been given."""


def prune(
    connection: Connection,
    before: datetime,
    *,
    unread: bool = False,
    batch_events: int = BATCH_EVENTS,
) -> Pruned:
    """Delete events older than `before` (aware) that every consumer has been given; `unread` deletes the others, too.

    Failed events are not touched: they hold what is needed to try again. Needs an autocommit connection and the rights
    of the schema's owner. Blocks; a batch is a transaction. It ends at the first batch in which nothing is old enough:
    what a long statement wrote behind younger events waits until those are old, too. Interrupted, it is simply run again.
    """
    done = Pruned()
    position = 0
    with RawCursor(connection) as cursor:
        while True:
            row = cursor.execute(sql.text("prune.sql"), (before, position, batch_events, unread)).fetchone()
            assert row is not None
            last_id, deleted, kept, any_old = row
            done = Pruned(done.deleted + deleted, done.kept + kept)
            if not any_old:
                break
            position = last_id
        cursor.execute(sql.text("prune_statements.sql"), (before,))
        if done.deleted:
            # The deleted rows' room is used again only after a vacuum, and autovacuum waits for a fifth of the table.
            cursor.execute("vacuum (skip_locked) pgevents.event, pgevents.statement")
    return done
