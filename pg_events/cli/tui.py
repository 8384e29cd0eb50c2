"""`tui`: the console."""

import sys
from pathlib import Path

from pg_events.cli.terminal import is_terminal, prepare_console
from pg_events.config.settings import load
from pg_events.errors import UsageError


def tui(settings: str | None, database_url: str | None, log: Path | None, profile: str | None, read_only: bool) -> int:
    """Open the console: live events, coverage, schema changes, replay, health; with --log, show a saved file."""
    if log is not None and (database_url or profile):
        raise UsageError("--log needs no database: leave out --database-url and --profile")
    chosen = load(settings, database_url, require_database=log is None and profile is None)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise UsageError("the console needs a terminal; for a pipe or a file use: pg_events listen")
    prepare_console()
    from pg_events_tui import run

    return run(chosen, read_only=read_only, log=log, profile=profile)
