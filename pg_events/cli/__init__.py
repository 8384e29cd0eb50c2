"""The commands. Data goes to stdout, words to stderr; a mistake of the user's is one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from pg_events import __version__
from pg_events.errors import PgEventsError
from pg_events.text import clean

_COMMANDS: Final = {
    "build": "pg_events.cli.build",
    "teardown": "pg_events.cli.build",
    "worker": "pg_events.cli.worker",
    "failed": "pg_events.cli.failed",
    "tui": "pg_events.cli.tui",
    "listen": "pg_events.cli.listen",
    "status": "pg_events.cli.status",
    "demo": "pg_events.cli.demo",
}
"""Command -> the module it is in. Imported when it is called: a worker never imports the console."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        return getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="pg_events")
def cli() -> None:
    """What changed in your PostgreSQL database, who changed it, and run that again through your code.

    \b
    First:  pg_events build   --settings my_module.settings
    Then:   pg_events worker  --settings my_module.settings
    Look:   pg_events tui     --settings my_module.settings
    Try it without a database of your own:  pg_events demo

    Exit codes: 0 done, 1 done with failures or drift, 2 wrong usage or settings,
    3 database not reachable, 4 not permitted.
    """


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options every command has."""
    settings = click.option(
        "--settings",
        metavar="MODULE",
        help="Settings: my_module.settings or path/to/settings.py.  [env: PG_EVENTS_SETTINGS]",
    )
    url = click.option(
        "--database-url",
        metavar="URL",
        help="The database, instead of the settings' one.  [env: PG_EVENTS_DATABASE_URL]",
    )
    return settings(url(command))


def say(text: str) -> None:
    """Words for people: to stderr, made harmless for a terminal."""
    click.echo(clean(text, keep_newlines=True), err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the command `pg_events`. Never returns."""
    try:
        code: int | None = cli.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except PgEventsError as error:
        say(f"pg_events: {error}")
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our stdout has enough (`| head`): that is no failure. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code or 0)
