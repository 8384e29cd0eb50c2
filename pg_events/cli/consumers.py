"""`consumers`: list the consumers, or drop one."""

import json
from typing import Any

import click
from psycopg.rows import dict_row

from pg_events import sql
from pg_events.cli.database import connected
from pg_events.cli.page import Page
from pg_events.cli.status import consumers_table
from pg_events.cli.terminal import say
from pg_events.config.settings import load
from pg_events.db.link import RawCursor
from pg_events.errors import PgEventsError, UsageError
from pg_events.log.listener import check_log
from pg_events.text import clean
from pg_events.triggers.catalog import Connection


def list_consumers(settings: str | None, database_url: str | None, as_json: bool) -> int:
    """List consumers: running workers, lag, failed events."""
    with connected(load(settings, database_url), "consumers") as connection:
        rows = _ask(connection)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    elif rows:
        Page().print(consumers_table(rows))
    else:
        say("no consumer yet: start a worker")
    return 0


def drop(settings: str | None, database_url: str | None, name: str) -> int:
    """Delete the consumer NAME: its cursor and its failed events."""
    with connected(load(settings, database_url), "consumers") as connection:
        found = {row["name"]: row for row in _ask(connection)}
        if name not in found:
            names = ", ".join(map(clean, found)) or "none"
            raise UsageError(f"there is no consumer {clean(name)!r}; there are: {names}")
        if found[name]["is_running"]:
            raise PgEventsError(
                f"consumer {clean(name)} has a running worker ({clean(found[name]['holder'])}); stop it first"
            )
        with RawCursor(connection) as cursor:
            cursor.execute(sql.text("consumer_drop.sql"), (name,))
    say(f"dropped consumer {clean(name)}")
    return 0


def _ask(connection: Connection) -> list[dict[str, Any]]:
    check_log(connection)
    with RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(sql.text("consumers.sql")).fetchall()
