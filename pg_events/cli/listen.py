"""`listen`: events to the terminal or a file."""

import itertools
import signal
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import click
from rich.console import Console
from rich.text import Text

from pg_events import filter as filters
from pg_events.cli import database_options, say
from pg_events.errors import DatabaseUnreachable
from pg_events.event import METHODS, SCHEMA, DataEvent, Record, parse
from pg_events.listener import EVERYTHING, Cursor, Listener
from pg_events.settings import load
from pg_events.text import clean, shorten


@click.command()
@database_options
@click.option("--where", metavar="FILTER", default="", help="Only these, e.g. 'table:orders op:U new.status:paid'.")
@click.option(
    "--since", metavar="TIME", help="Begin with kept events since then: 5m, 2h, 2026-08-22T14:00, or 'oldest'."
)
@click.option("--format", "form", type=click.Choice(["pretty", "json"]), help="pretty on a terminal, else json.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
def listen(
    settings: str | None,
    database_url: str | None,
    where: str,
    since: str | None,
    form: str | None,
    limit: int | None,
) -> int:
    """Print events as they are committed.

    Reads only: needs SELECT on the log, moves no consumer's cursor. One JSON payload a line, or a
    readable line with what changed. Ends with Ctrl-C, --limit, or when the reader of the pipe has enough.
    """
    chosen = load(settings, database_url)
    assert chosen.database_url is not None
    wanted = filters.parse(where)
    recent = filters.parse(f"since:{since}" if since and since != "oldest" else "")
    listener = Listener(chosen.database_url, Cursor(EVERYTHING) if since else None, wake_up=chosen.wake_up)
    listener.connect()
    if since is None:
        say("listening; Ctrl-C ends")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = (record for record in _records(listener) if recent.matches(record) and wanted.matches(record))
    try:
        _write(itertools.islice(found, limit), form)
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    return 0


def _records(listener: Listener) -> Iterator[Record]:
    """For ever; a lost link is taken up again, nothing is missed."""
    while True:
        try:
            page = listener.poll()
            yield from page
            if not page:
                listener.wait(1.0)
        except DatabaseUnreachable as error:
            say(f"{error}; reconnecting")
            _reconnect(listener)


def _reconnect(listener: Listener) -> None:
    for pause in itertools.chain((0.1, 0.2, 0.5, 1.0, 2.0), itertools.repeat(5.0)):
        try:
            listener.connect()
        except DatabaseUnreachable:
            time.sleep(pause)
        else:
            say("connected again")
            return


def _write(records: Iterator[Record], form: str | None) -> None:
    pretty = form == "pretty" or (form is None and sys.stdout.isatty())
    console = Console(highlight=False, soft_wrap=True)
    for record in records:
        if pretty:
            console.print(_line(record))
        else:
            sys.stdout.write(record.payload + "\n")
            sys.stdout.flush()


_STYLES = {"I": "green", "U": "yellow", "D": "red", "T": "bold red", SCHEMA: "magenta"}


def _line(record: Record) -> Text:
    """One event for people: time, letter, table, what changed, who."""
    at = datetime.fromisoformat(record.at).astimezone()
    sign = "!" if record.kind == SCHEMA else record.kind
    line = Text(f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} ")
    line.append(sign, _STYLES[record.kind])
    try:
        event = parse(record.payload)
    except (ValueError, RecursionError):
        line.append(f" {clean(str(record.table_name))} (its row cannot be read: nested too deep)")
        return line
    if isinstance(event, DataEvent):
        line.append(f" {clean(event.table_schema)}.{clean(event.table_name)} ", "bold")
        line.append(_changes(event))
    else:
        line.append(f" {clean(event.command_tag)} ", "bold")
        line.append(clean(event.object_identity or ""))
    line.append(f"  {clean(event.session_user)} {clean(event.application_name)} #{event.id}", "dim")
    return line


def _changes(event: DataEvent) -> str:
    if event.method == METHODS["T"]:
        return "all rows"
    if event.method == METHODS["U"]:
        parts = [f"{name} {old!s} → {new!s}" for name, (old, new) in event.changes.items()]
        first = next(iter(event.row.items()), None)
        if first and first[0] not in event.changes:
            parts.insert(0, f"{first[0]}={first[1]!s}")
    else:
        parts = [f"{name}={value!s}" for name, value in event.row.items()]
    return " ".join(shorten(clean(part), 60) for part in parts[:12])
