"""The command line: data goes to stdout, messages to stderr; a user error prints one line and sets the exit code."""

import sys
from collections.abc import Sequence
from typing import Final

import click

from pg_events.cli.commands import cli
from pg_events.cli.terminal import end_line, prepare_streams, say
from pg_events.errors import PgEventsError

INTERRUPTED: Final = 128 + 2
"""Exit code after Ctrl-C, as in shells."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the command `pg_events`. Never returns."""
    prepare_streams()
    try:
        code: int | None = cli.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Abort as error:
        if error.__cause__ is None:  # at a question; elsewhere click has done it
            end_line()
        code = INTERRUPTED
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.ClickException as error:
        say(f"pg_events: {_in_one_line(error)}")
        code = error.exit_code
    except PgEventsError as error:
        say(f"pg_events: {error}")
        code = error.exit_code
    sys.exit(code or 0)


def _in_one_line(error: click.ClickException) -> str:
    """Error of click in one line instead of four."""
    text = error.format_message()
    text = text[:1].lower() + text[1:].removesuffix(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{text} (help: {context.command_path} --help)" if context else text
