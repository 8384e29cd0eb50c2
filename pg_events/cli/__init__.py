"""The commands. Data goes to stdout, words to stderr; a mistake of the user's is one line and an exit code."""

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from pg_events import __version__
from pg_events.cli.terminal import end_line, prepare_streams, say
from pg_events.errors import PgEventsError

_COMMANDS: Final = {
    "build": "pg_events.cli.build",
    "worker": "pg_events.cli.worker",
    "tui": "pg_events.cli.tui",
    "listen": "pg_events.cli.listen",
    "export": "pg_events.cli.export",
    "replay": "pg_events.cli.replay",
    "runs": "pg_events.cli.runs",
    "history": "pg_events.cli.history",
    "transaction": "pg_events.cli.history",
    "status": "pg_events.cli.status",
    "doctor": "pg_events.cli.doctor",
    "failed": "pg_events.cli.failed",
    "consumers": "pg_events.cli.consumers",
    "prune": "pg_events.cli.prune",
    "teardown": "pg_events.cli.build",
    "demo": "pg_events.cli.demo",
}
"""Command -> the module it is in. Imported when it is called: a worker never imports the console."""

_FUNCTIONS: Final = {"history": "row_history"}
"""Commands whose function has another name."""

INTERRUPTED: Final = 128 + 2
"""Exit code after Ctrl-C, as shells have it."""

_CANNOT_WRITE: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO})
"""What can become of stdout that is no bug of ours."""


class Group(click.Group):
    """Commands below a command. Of a misspelt one it guesses what was meant."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Called without a command, click's releases differ in what they do: see `help_without_command`.
        super().__init__(*arguments, invoke_without_command=True, subcommand_metavar="COMMAND [ARGS]...", **options)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)


def help_without_command(context: click.Context) -> None:
    """What a group called without a command does: the help, as words, and the exit code of a mistake."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


class _Commands(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        return getattr(importlib.import_module(_COMMANDS[cmd_name]), _FUNCTIONS.get(cmd_name, cmd_name))

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Prints the help when that is asked for."""
        with _writing_stdout():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _writing_stdout():
            return super().invoke(ctx)


@contextmanager
def _writing_stdout() -> Generator[None]:
    """What can become of stdout. Click itself takes a reader that has enough (`| head`) for a failure."""
    try:
        yield
        if not sys.stdout.closed:  # by a callback
            sys.stdout.flush()
    except BrokenPipeError as error:
        _forget_stdout()
        raise click.exceptions.Exit(0) from error
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        _forget_stdout()
        raise PgEventsError(f"the output cannot be written: {error.strerror}") from error


def _forget_stdout() -> None:
    """Python would complain at exit about what is still to be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_EPILOG: Final = """
\b
Exit codes:  0 done, 1 done with failures or drift, 2 wrong usage or settings,
             3 database not reachable, 4 not permitted, 130 ended by Ctrl-C

\b
Completion of commands and options, for ~/.bashrc, ~/.zshrc and config.fish:
  eval "$(_PG_EVENTS_COMPLETE=bash_source pg_events)"
  eval "$(_PG_EVENTS_COMPLETE=zsh_source pg_events)"
  _PG_EVENTS_COMPLETE=fish_source pg_events | source
"""


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name="pg_events", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """What changed in your PostgreSQL database, who changed it, and run that again through your code.

    \b
    Without a database of your own:
      pg_events demo
    With one:
      pg_events build  --settings my_module.settings     install the triggers
      pg_events worker --settings my_module.settings     call your functions
      pg_events tui    --settings my_module.settings     watch
    """
    help_without_command(context)


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options every command has."""
    settings = click.option(
        "--settings",
        metavar="MODULE",
        help="my_module.settings or path/to/settings.py; else what the environment variable PG_EVENTS_SETTINGS names.",
    )
    url = click.option(
        "--database-url",
        metavar="URL",
        help="Instead of the settings' PG_EVENTS_DATABASE_URL or the environment variable of that name.",
    )
    return settings(url(command))


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
    """What click says in four lines."""
    text = error.format_message()
    text = text[:1].lower() + text[1:].removesuffix(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{text} (help: {context.command_path} --help)" if context else text
