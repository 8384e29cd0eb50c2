"""`prune`: retention by hand."""

import json
import re
from datetime import timedelta

import click

from pg_events import catalog
from pg_events.cli import database_options
from pg_events.cli.database import connected
from pg_events.cli.terminal import say
from pg_events.errors import NotPermitted, UsageError
from pg_events.listener import check_log
from pg_events.retention import prune as delete_old
from pg_events.settings import load
from pg_events.text import clean, counted

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.command(short_help="Delete old events from the log.")
@database_options
@click.option("--keep", required=True, metavar="AGE", help="Keep what is younger: 90m, 12h, 30d, 8w.")
@click.option("--unread", is_flag=True, help="Delete also what a consumer has not been given: it never will be.")
@click.option("--json", "as_json", is_flag=True, help="The counts as JSON.")
def prune(settings: str | None, database_url: str | None, keep: str, unread: bool, as_json: bool) -> int:
    """Delete events older than AGE from the log.

    What a consumer has not been given yet is kept, however old, unless --unread says otherwise. Failed events are kept.
    """
    age = _age(keep)
    with connected(load(settings, database_url), "prune") as connection:
        check_log(connection)
        server = catalog.server(connection)
        if not server.owns_schema:
            raise NotPermitted(f"role {server.role} may not prune the log; do it as the role that built it")
        row = connection.execute("select clock_timestamp()").fetchone()  # the clock that wrote the times
        assert row is not None
        done = delete_old(connection, row[0] - age, unread=unread)
    if as_json:
        click.echo(json.dumps({"deleted": done.deleted, "kept": done.kept}))
    say(f"deleted {counted(done.deleted, 'event')} older than {keep}")
    if done.kept:
        say(f"kept {counted(done.kept, 'older event')} that a consumer has not been given; see: pg_events status")
    return 0


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,7})([smhdw])", text.strip())
    if match is None:
        raise UsageError(f"--keep {clean(text)!r} is no age; write a number and s, m, h, d or w, such as 30d")
    age = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if age > timedelta(days=366 * 1000):
        raise UsageError(f"--keep {text} is more than a thousand years")
    return age
