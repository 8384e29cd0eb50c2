"""What people read: words on stderr, tables on stdout, both harmless for a terminal and as wide as it."""

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
    """Whatever stdout and stderr are (closed, of another encoding), printing to them does not fail for it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
        else:
            configure(stream, errors="backslashreplace")


def configure(stream: Any, **options: Any) -> None:
    """`stream.reconfigure(…)`, of those that have it: a test's have not."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(**options)  # pyright: ignore[reportUnknownMemberType]


def say(text: str) -> None:
    """Words for people: to stderr, made harmless for a terminal, and wrapped between words on one."""
    text = clean(text, keep_newlines=True)
    if is_terminal(sys.stderr):
        width = max(20, shutil.get_terminal_size().columns)
        text = "\n".join(_wrapped(line, width) for line in text.split("\n"))
    click.echo(text, file=sys.stderr)  # with err=True it would write past the one that keeps a progress bar whole


_COMMAND = re.compile(r"pg_events [a-z][^;,()]*[^;,()\s]")
_NO_BREAK = "\x1f"
"""No text for people has this sign: it is made harmless before."""


def _wrapped(line: str, width: int) -> str:
    """Over several lines if need be; a command that is to be copied stays in one if it can.

    What is indented, such as a traceback, is laid out already.
    """
    if len(line) <= width or line.startswith(" "):
        return line
    whole = _COMMAND.sub(lambda match: _whole(match[0], width - 2), line)
    filled = textwrap.fill(whole, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return filled.replace(_NO_BREAK, " ")


def _whole(command: str, width: int) -> str:
    return command.replace(" ", _NO_BREAK) if len(command) <= width else command


def is_terminal(stream: Any) -> bool:
    """Does a person look at it? Not when it is closed."""
    return stream is not None and not stream.closed and stream.isatty()


def prepare_console() -> None:
    """Prepare stderr, on which Textual draws, in UTF-8 whatever the locale says. Raises `UsageError` where it cannot draw."""
    if not is_terminal(sys.stderr):
        raise UsageError("the console draws on stderr, which must be the terminal: leave out 2> and 2>&1 |")
    configure(sys.stderr, encoding="utf-8", errors="backslashreplace")


def end_line() -> None:
    """After the ^C that a terminal shows."""
    if is_terminal(sys.stderr):
        click.echo(err=True)
