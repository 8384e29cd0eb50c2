"""What `listen` and `export` have in common: which events are asked for, and the file they go into."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import click

from pg_events import catalog
from pg_events import filter as filters
from pg_events.cli.database import translated
from pg_events.cli.terminal import end_line, say
from pg_events.errors import FilterError, UsageError
from pg_events.event import Record
from pg_events.filter import Filter
from pg_events.journal import Header, Writer
from pg_events.listener import Listener
from pg_events.text import counted

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace FILE when it exists.")


def choice(where: str, since: str | None, until: str | None = None) -> Callable[[Record], bool]:
    """Is an event among those that the options ask for?"""
    wanted = filters.parse(where)
    begin = filters.parse("") if since in (None, "oldest") else _moment("since", since, "; or oldest")
    end = filters.parse("") if until is None else _moment("until", until)
    return lambda record: begin.matches(record) and end.matches(record) and wanted.matches(record)


def _moment(field: str, text: str, remedy: str = "") -> Filter:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    try:
        return filters.parse(f"{field}:{quoted}")
    except FilterError as error:
        raise UsageError(f"--{field}: {error.message}{remedy}") from error


@contextmanager
def recording(listener: Listener, file: str, overwrite: bool) -> Generator[Writer]:
    """A file for the block. Says at its end, or at Ctrl-C, what is in it."""
    with translated(listener.database_url):
        header = Header(listener.connection.info.dbname, catalog.fingerprints(listener.connection))
    writer = Writer(file, header, overwrite=overwrite)
    try:
        with writer:
            yield writer
    except KeyboardInterrupt:
        end_line()
        say(f"interrupted; {counted(writer.events, 'event')} written to {file}")
        raise
    say(f"{counted(writer.events, 'event')} written to {file}")
