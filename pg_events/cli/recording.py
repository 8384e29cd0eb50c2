"""Parts shared by `listen` and `export`: the selection of events, and the output file."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.progress import TaskProgressColumn

from pg_events.cli.database import translated
from pg_events.cli.progress import progress
from pg_events.cli.terminal import end_line, say
from pg_events.event import Record
from pg_events.files.journal import Header, Writer
from pg_events.filter.parser import Filter
from pg_events.log.listener import Listener
from pg_events.log.retained import Retained
from pg_events.text import counted
from pg_events.triggers import catalog


def kept(listener: Listener, wanted: Filter, is_wanted: bool = True) -> Generator[Record]:
    """Kept events that match the options, optionally with a progress bar."""
    with progress(TaskProgressColumn(), is_wanted) as shown, translated(listener.database_url):
        bar = shown.add_task("0 events")
        log = Retained(listener, wanted)
        shown.update(bar, total=log.last_id - log.first_id + 1)
        events = 0
        for page in log.pages():
            yield from page
            events += len(page)
            done = log.position - log.first_id + 1
            shown.update(bar, completed=done, description=f"{counted(events, 'event')} found")


def header_of(listener: Listener) -> Header:
    """Header of a file that describes the database of its events."""
    with translated(listener.database_url):
        link = listener.connection
        return Header(link.info.dbname, catalog.fingerprints(link), catalog.columns(link))


@contextmanager
def recording(header: Header, file: str, overwrite: bool) -> Generator[Writer]:
    """Open a file for the block; reports its content at the end or at Ctrl-C."""
    writer = Writer(file, header, overwrite=overwrite)
    try:
        with writer:
            yield writer
    except KeyboardInterrupt:
        end_line()
        say(f"interrupted; {counted(writer.events, 'event')} written to {file}")
        raise
    say(f"{counted(writer.events, 'event')} written to {file}")
