"""`tui`: the console."""

import sys
from pathlib import Path

import click

from pg_events.cli import database_options
from pg_events.cli.terminal import is_terminal
from pg_events.errors import UsageError
from pg_events.settings import load


@click.command(short_help="Open the console: live events, coverage, replay.")
@database_options
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="Show a saved log; no database is needed.")
@click.option("--profile", metavar="NAME", help="Begin with this database of PG_EVENTS_PROFILES.")
@click.option("--read-only", is_flag=True, help="No build, no replay and no discarding from here.")
def tui(settings: str | None, database_url: str | None, log: Path | None, profile: str | None, read_only: bool) -> int:
    """Open the console: live events, coverage, schema changes, replay, health. With --log, on a saved file.

    \b
    1-5   Live, Coverage, Schema, Replay, Health   /      filter
    space pause                                    enter  details
    ?     all keys                                 q      quit
    """
    if log is not None and (database_url or profile):
        raise UsageError("--log needs no database: leave out --database-url and --profile")
    chosen = load(settings, database_url, require_database=log is None and profile is None)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise UsageError("the console needs a terminal; for a pipe or a file there is: pg_events listen")

    if not is_terminal(sys.stderr):  # Textual draws there
        raise UsageError("the console draws on stderr, which must be the terminal: leave out 2> and 2>&1 |")

    from pg_events_tui import run

    return run(chosen, read_only=read_only, log=log, profile=profile)
