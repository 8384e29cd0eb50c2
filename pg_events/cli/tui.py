"""`tui`: the console."""

import sys

import click

from pg_events.cli import database_options
from pg_events.cli.terminal import is_terminal
from pg_events.errors import UsageError
from pg_events.settings import load


@click.command(short_help="Open the console: live events, coverage, replay.")
@database_options
@click.option("--read-only", is_flag=True, help="No build and no replay from here.")
def tui(settings: str | None, database_url: str | None, read_only: bool) -> int:
    """Open the console: live events, coverage, schema changes, build and replay.

    \b
    1-4   Live, Coverage, Schema, Replay     /      filter
    space pause                              enter  details
    ?     all keys                           q      quit
    """
    chosen = load(settings, database_url)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise UsageError("the console needs a terminal; for a pipe or a file there is: pg_events listen")

    from pg_events_tui import run

    return run(chosen, read_only=read_only)
