"""`export`: the kept events to a file."""

import click

from pg_events.cli import database_options
from pg_events.cli.recording import choice, kept, overwrite_option, recording
from pg_events.listener import Listener
from pg_events.settings import load


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
    wanted = choice(where, since, until)
    chosen = load(settings, database_url)
    assert chosen.database_url is not None
    with (
        Listener(chosen.database_url, application_name="pg_events export", wake_up=False) as listener,
        recording(listener, file, overwrite) as writer,
    ):
        for record in kept(listener, wanted):
            writer.write(record.payload)
    return 0
