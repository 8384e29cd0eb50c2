"""`consumers`: list, pause, resume and drop consumers."""

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
        consumer = _find(connection, name)
        if consumer["is_running"]:
            raise PgEventsError(
                f"consumer {clean(name)} has a running worker ({clean(consumer['holder'])}); stop it first"
            )
        with RawCursor(connection) as cursor:
            cursor.execute(sql.text("consumer_drop.sql"), (name,))
    say(f"dropped consumer {clean(name)}")
    return 0


def pause(settings: str | None, database_url: str | None, name: str) -> int:
    """Pause the consumer NAME: its workers finish their current calls, save the cursor and wait."""
    is_running = _change(settings, database_url, name, "consumer_pause.sql")
    say(f"paused consumer {clean(name)}" + ("; its workers notice within a second" if is_running else ""))
    return 0


def resume(settings: str | None, database_url: str | None, name: str) -> int:
    """Resume the consumer NAME."""
    is_running = _change(settings, database_url, name, "consumer_resume.sql")
    say(f"resumed consumer {clean(name)}" + ("" if is_running else "; no worker of it is running"))
    return 0


def _change(settings: str | None, database_url: str | None, name: str, question: str) -> bool:
    """Change the consumer; return True if a worker of it is running."""
    with connected(load(settings, database_url), "consumers") as connection:
        consumer = _find(connection, name)
        with RawCursor(connection) as cursor:
            cursor.execute(sql.text(question), (name,))
    return consumer["is_running"]


def _find(connection: Connection, name: str) -> dict[str, Any]:
    """Row of the consumer. Raises `UsageError` if there is none of that name."""
    consumers = {row["name"]: row for row in _ask(connection)}
    if name not in consumers:
        names = ", ".join(map(clean, consumers)) or "none"
        raise UsageError(f"there is no consumer {clean(name)!r}; there are: {names}")
    return consumers[name]


def _ask(connection: Connection) -> list[dict[str, Any]]:
    check_log(connection)
    with RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(sql.text("consumers.sql")).fetchall()
