"""`failed`: events whose callback gave up."""

import json
from typing import Any

import click
import psycopg
from psycopg import RawCursor
from psycopg.rows import dict_row

from pg_events import sql
from pg_events.cli import database_options, say
from pg_events.connection import connect, translate
from pg_events.errors import PgEventsError
from pg_events.listener import check_log
from pg_events.settings import load
from pg_events.text import clean, one_line, shorten


@click.group()
def failed() -> None:
    """Events whose callback gave up: list them, look at one, discard."""


@failed.command("list")
@database_options
@click.option("--name", metavar="NAME", help="Only this consumer's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_failed(settings: str | None, database_url: str | None, name: str | None, as_json: bool) -> int:
    """List failed events, oldest first."""
    rows = _ask(settings, database_url, "failed_list.sql", (name, None))
    for row in rows:
        if as_json:
            click.echo(json.dumps(row, default=str))
        else:
            at = f"{row['failed_at'].astimezone():%Y-%m-%d %H:%M:%S}"
            line = f"#{row['event_id']} {row['consumer']} {at} {row['attempts']}× {one_line(row['error'])}"
            click.echo(shorten(clean(line), 200))
    if not rows:
        say("no failed events")
    return 0


@failed.command()
@database_options
@click.argument("event_id", type=int)
@click.option("--name", metavar="NAME", help="Only this consumer's.")
def show(settings: str | None, database_url: str | None, event_id: int, name: str | None) -> int:
    """Show one failed event: its payload and the traceback."""
    for row in _one(settings, database_url, "failed_list.sql", name, event_id):
        click.echo(clean(f"consumer {row['consumer']}, {row['attempts']} attempts, {row['failed_at']}"))
        click.echo(clean(row["payload"]))
        click.echo(clean(row["traceback"], keep_newlines=True))
    return 0


@failed.command()
@database_options
@click.argument("event_id", type=int)
@click.option("--name", metavar="NAME", help="Only this consumer's.")
def discard(settings: str | None, database_url: str | None, event_id: int, name: str | None) -> int:
    """Forget one failed event. It stays in the log; it will not be delivered again."""
    rows = _one(settings, database_url, "failed_discard.sql", name, event_id)
    say(f"discarded event {event_id} of {', '.join(clean(row['consumer']) for row in rows)}")
    return 0


def _one(
    settings: str | None, database_url: str | None, question: str, name: str | None, event_id: int
) -> list[dict[str, Any]]:
    rows = _ask(settings, database_url, question, (name, event_id))
    if not rows:
        raise PgEventsError(f"event {event_id} is not among the failed ones; see: pg_events failed list")
    return rows


def _ask(
    settings: str | None, database_url: str | None, question: str, parameters: tuple[object, ...]
) -> list[dict[str, Any]]:
    chosen = load(settings, database_url)
    assert chosen.database_url is not None
    with connect(chosen.database_url, application_name="pg_events failed") as connection:
        check_log(connection)
        try:
            with RawCursor(connection, row_factory=dict_row) as cursor:
                return cursor.execute(sql.text(question), parameters).fetchall()
        except psycopg.Error as error:
            raise translate(error, chosen.database_url) from error
