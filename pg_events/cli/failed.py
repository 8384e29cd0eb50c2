"""`failed`: events whose callback gave up."""

import json
from datetime import datetime
from typing import Any

import click
from psycopg import RawCursor
from psycopg.rows import dict_row
from rich.text import Text

from pg_events import sql
from pg_events.cli import Group, database_options, help_without_command
from pg_events.cli.database import connected
from pg_events.cli.page import Page
from pg_events.cli.terminal import say
from pg_events.errors import PgEventsError
from pg_events.listener import check_log
from pg_events.settings import load
from pg_events.text import clean, counted, one_line

_consumer = click.option("--name", metavar="NAME", help="Only those of the consumer NAME.")


@click.group(cls=Group, short_help="List, show or discard events whose callback gave up.")
@click.pass_context
def failed(context: click.Context) -> None:
    """Events whose callback gave up, after all its attempts.

    They are kept for each consumer, with the payload and the traceback, until they are discarded.
    """
    help_without_command(context)


@failed.command("list", short_help="List them, oldest first.")
@database_options
@_consumer
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_failed(settings: str | None, database_url: str | None, name: str | None, as_json: bool) -> int:
    """List failed events, oldest first: number, consumer, when, attempts and error."""
    rows = _ask(settings, database_url, "failed_list.sql", (name, None))
    page = Page()
    for row in rows:
        if as_json:
            click.echo(json.dumps(row, default=_plain))
        else:
            line = f"#{row['event_id']}  {row['consumer']}  {_when(row)}  {row['attempts']}×  {one_line(row['error'])}"
            page.print(Text(clean(line)), no_wrap=True, overflow="ellipsis")
    if not rows:
        say("no failed events")
    return 0


@failed.command(short_help="Show one, with payload and traceback.")
@database_options
@click.argument("event_id", type=int)
@_consumer
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show(settings: str | None, database_url: str | None, event_id: int, name: str | None, as_json: bool) -> int:
    """Show one failed event, its payload and the traceback; for each consumer in which it failed."""
    for row in _one(settings, database_url, "failed_list.sql", name, event_id):
        if as_json:
            click.echo(json.dumps(row, default=_plain))
            continue
        attempts = counted(row["attempts"], "attempt")
        click.echo(clean(f"event {event_id}, consumer {row['consumer']}, {_when(row)}, {attempts}"))
        click.echo(clean(row["payload"]))
        click.echo(clean(row["traceback"], keep_newlines=True).rstrip())
    return 0


@failed.command(short_help="Forget one.")
@database_options
@click.argument("event_id", type=int)
@_consumer
def discard(settings: str | None, database_url: str | None, event_id: int, name: str | None) -> int:
    """Forget one failed event. It stays in the log; it will not be delivered again."""
    rows = _one(settings, database_url, "failed_discard.sql", name, event_id)
    say(f"discarded event {event_id} of {', '.join(row['consumer'] for row in rows)}")
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
    with connected(load(settings, database_url), "failed") as connection:
        check_log(connection)
        with RawCursor(connection, row_factory=dict_row) as cursor:
            return cursor.execute(sql.text(question), parameters).fetchall()


def _when(row: dict[str, Any]) -> str:
    """In the reader's time zone."""
    return f"{row['failed_at'].astimezone():%Y-%m-%d %H:%M:%S}"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
