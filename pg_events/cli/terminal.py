"""Output for people: messages on stderr, tables on stdout, both safe for a terminal and fitted to its width."""

import io
import os
import re
import shutil
import sys
import textwrap
from typing import Any

import click

from pg_events.errors import UsageError
from pg_events.text import clean


def prepare_streams() -> None:
    """Prepare stdout and stderr so that printing does not fail, even if they are closed or of another encoding."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
        else:
            configure(stream, errors="backslashreplace")


def configure(stream: Any, **options: Any) -> None:
    """Call `stream.reconfigure(…)` if the stream has it; those of tests do not."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(**options)  # pyright: ignore[reportUnknownMemberType]


def say(text: str) -> None:
    """Print a message to stderr, safe for a terminal and wrapped between words."""
    text = clean(text, keep_newlines=True)
    if is_terminal(sys.stderr):
        width = max(20, shutil.get_terminal_size().columns)
        text = "\n".join(_wrapped(line, width) for line in text.split("\n"))
    click.echo(text, file=sys.stderr)  # err=True would bypass the stream that keeps a progress bar intact


_COMMAND = re.compile(r"pg_events [a-z][^;,()]*[^;,()\s]")
_NO_BREAK = "\x1f"
"""Placeholder for a non-breaking space; cleaned text never contains it."""


def _wrapped(line: str, width: int) -> str:
    """Wrap a text; keeps a command that is to be copied on one line if possible.

    Indented lines, such as a traceback, are left unchanged.
    """
    if len(line) <= width or line.startswith(" "):
        return line
    whole = _COMMAND.sub(lambda match: _whole(match[0], width - 2), line)
    filled = textwrap.fill(whole, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return filled.replace(_NO_BREAK, " ")


def _whole(command: str, width: int) -> str:
    return command.replace(" ", _NO_BREAK) if len(command) <= width else command


def is_terminal(stream: Any) -> bool:
    """True if the stream is an open terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def prepare_console() -> None:
    """Prepare stderr, on which Textual draws, in UTF-8 whatever the locale says. Raises `UsageError` where it cannot draw."""
    if not is_terminal(sys.stderr):
        raise UsageError("the console draws on stderr, which must be the terminal: leave out 2> and 2>&1 |")
    configure(sys.stderr, encoding="utf-8", errors="backslashreplace")


def end_line() -> None:
    """Start a new line after the ^C that a terminal shows."""
    if is_terminal(sys.stderr):
        click.echo(err=True)
