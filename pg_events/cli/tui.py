"""`tui`: the console."""

from pathlib import Path

import click

from pg_events.cli import database_options
from pg_events.settings import load


@click.command()
@database_options
@click.option(
    "--log",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A saved log, without any database.",
)
@click.option("--read-only", is_flag=True, help="No build and no replay from here.")
def tui(settings: str | None, database_url: str | None, log: Path | None, read_only: bool) -> int:
    """Open the console: live events, coverage, schema changes, build and replay.

    \b
    1-4   Live, Coverage, Schema, Replay     /      filter
    space pause                              enter  details
    ?     all keys                           q      quit
    """
    from pg_events_tui import run

    return run(load(settings, database_url, require_database=log is None), read_only=read_only, log=log)
