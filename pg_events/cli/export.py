"""`export`: the kept events to a file."""

from collections.abc import Iterator

import click
from rich.progress import TaskProgressColumn

from pg_events import sql
from pg_events.cli import database_options
from pg_events.cli.database import translated
from pg_events.cli.page import progress
from pg_events.cli.recording import choice, overwrite_option, recording
from pg_events.event import Record
from pg_events.listener import EVERYTHING, Cursor, Listener
from pg_events.settings import load
from pg_events.text import counted


@click.command(short_help="Write the kept events to a file.")
@database_options
@click.argument("file")
@click.option("--where", metavar="FILTER", default="", help="Only such events, e.g. 'table:orders op:U new.total>100'.")
@click.option("--since", metavar="TIME", help="Only events since then: 5m, 14:00, 2026-08-22, 2026-08-22T14:00.")
@click.option("--until", metavar="TIME", help="Only events before then.")
@overwrite_option
def export(
    settings: str | None,
    database_url: str | None,
    file: str,
    where: str,
    since: str | None,
    until: str | None,
    overwrite: bool,
) -> int:
    """Write the kept events to FILE: .jsonl, or compressed .jsonl.gz.

    A header comes first, then one JSON payload a line. What is committed while it runs is not among them. Reads
    only: it needs no more than SELECT on the log and moves no consumer's cursor.
    """
    is_wanted = choice(where, since, until)
    chosen = load(settings, database_url)
    assert chosen.database_url is not None
    with Listener(chosen.database_url, application_name="pg_events export", wake_up=False) as listener:
        now = listener.cursor.snapshot
        listener.cursor = Cursor(EVERYTHING, now)
        with recording(listener, file, overwrite) as writer:
            for record in filter(is_wanted, _records(listener)):
                writer.write(record.payload)
    return 0


def _records(listener: Listener) -> Iterator[Record]:
    """All up to the end of the window, with a progress bar."""
    with progress(TaskProgressColumn()) as shown:
        with translated(listener.database_url):
            first, last = listener.connection.execute(sql.text("id_range.sql")).fetchone() or (0, 0)
        bar = shown.add_task("", total=last - first + 1)
        events = 0
        for page in listener.window():
            yield from page
            if page:
                events += len(page)
                done = min(page[-1].id, last) - first + 1
                shown.update(bar, completed=done, description=f"{counted(events, 'event')} read")
