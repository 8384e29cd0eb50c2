"""Groups of commands, and errors of their output."""

import errno
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from pg_events.errors import PgEventsError

_CANNOT_WRITE: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO})
"""Errors of stdout that are not bugs of pg_events."""


class Group(click.Group):
    """Group of commands that suggests the nearest name for a misspelled one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Called without a command, click's releases differ in what they do: see `help_without_command`.
        super().__init__(*arguments, invoke_without_command=True, subcommand_metavar="COMMAND [ARGS]...", **options)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            import difflib  # not for every call

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)


def help_without_command(context: click.Context) -> None:
    """Print the help to stderr and exit with a usage error when a group is called without a command."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


class Commands(Group):
    """Top-level commands, under the headings of `sections` in the help."""

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands below their headings, all summaries in one column."""
        width = max(map(len, self.commands))
        limit = formatter.width - width - 6
        for heading, names in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
                )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments; prints the help if it is requested."""
        with _writing_stdout():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _writing_stdout():
            return super().invoke(ctx)


@contextmanager
def _writing_stdout() -> Generator[None]:
    """Handle errors of stdout; click itself treats a closed pipe (`| head`) as a failure."""
    try:
        yield
        if not sys.stdout.closed:  # by a callback
            sys.stdout.flush()
    except BrokenPipeError as error:
        forget_stdout()
        raise click.exceptions.Exit(0) from error
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        forget_stdout()
        raise PgEventsError(f"the output cannot be written: {error.strerror}") from error


def forget_stdout() -> None:
    """Discard buffered output, about which Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
