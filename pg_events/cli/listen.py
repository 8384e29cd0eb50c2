"""`listen`: events to the terminal, a pipe or a file."""

import itertools
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from rich.text import Text

from pg_events.cli.page import Page
from pg_events.cli.recording import header_of, recording
from pg_events.cli.terminal import configure, is_terminal, say
from pg_events.config.settings import load
from pg_events.db.session import SHARED
from pg_events.errors import DatabaseUnreachable, UsageError
from pg_events.event import APPLICATION, BROKEN, METHODS, SCHEMA, ApplicationEvent, DataEvent, Record, claims, parse
from pg_events.filter import parser as filters
from pg_events.log.listener import Listener
from pg_events.log.retained import Retained
from pg_events.text import clean, shorten


def listen(
    settings: str | None,
    database_url: str | None,
    where: str,
    since: str | None,
    form: str | None,
    limit: int | None,
    output: str | None,
    overwrite: bool,
) -> int:
    """Print events as they are committed: a readable line each, or the JSON payload."""
    if output is not None and form == "pretty":
        raise UsageError("--output records JSON; leave --format pretty out")
    chosen = load(settings, database_url)
    wanted = filters.chosen(where, since)
    assert chosen.database_url is not None
    with (
        Listener(
            chosen.database_url, wake_up=chosen.notify, server_timeout_seconds=chosen.server_timeout_seconds
        ) as listener,
        _target(listener, form, output, overwrite) as (write, flush),
    ):
        try:
            signal.signal(signal.SIGTERM, _end)
            if listener.is_shared:
                say(SHARED)
            if since is None or is_terminal(sys.stderr):  # from now on nothing is missed
                say("listening; Ctrl-C ends")
            past = _pages(Retained(listener, wanted), listener) if since else ()
            found = itertools.chain(_flushed(past, flush), filter(wanted.matches, _records(listener, flush)))
            for record in itertools.islice(found, limit):
                write(record)
        except _Ended:
            return 0
    return 0


@contextmanager
def _target(
    listener: Listener, form: str | None, output: str | None, overwrite: bool
) -> Generator[tuple[Callable[[Record], None], Callable[[], None]]]:
    """Function that takes an event, and function that is called after each page."""
    if output is None:
        yield _writer(form), lambda: None
    else:
        with recording(header_of(listener), output, overwrite) as writer:
            yield lambda record: writer.write(record.payload), writer.flush


class _Ended(BaseException):
    """Raised by SIGTERM, which is not a failure."""


def _end(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # a file may have to be closed
    raise _Ended


def _pages(log: Retained, listener: Listener) -> Iterator[list[Record]]:
    """Kept events that match the options, in pages; reconnects if the connection is lost."""
    while log.position < log.last_id:
        try:
            yield from log.pages()
        except DatabaseUnreachable as error:
            say(f"{error}; reconnecting")
            _reconnect(listener)


def _flushed(pages: Iterable[list[Record]], flush: Callable[[], None]) -> Iterator[Record]:
    for page in pages:
        yield from page
        flush()


def _records(listener: Listener, flush: Callable[[], None]) -> Iterator[Record]:
    """New events without end, with a `flush` after each page; reconnects if the connection is lost, without gaps."""
    while True:
        try:
            page = listener.poll()
            yield from page
            flush()
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
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not all readers at the same moment
        else:
            say("connected again")
            return


# --- as JSON ------------------------------------------------------------------------------------------------------


def _writer(form: str | None) -> Callable[[Record], None]:
    on_terminal = is_terminal(sys.stdout)
    if form == "pretty" or (form is None and on_terminal):
        page = Page()
        width = page.width if on_terminal else None
        return lambda record: page.print(line(record, width), soft_wrap=True)
    configure(sys.stdout, encoding="utf-8")  # JSON is UTF-8, whatever the locale
    return _write_safe_json if on_terminal else _write_json


def _write_json(record: Record) -> None:
    sys.stdout.write(record.payload + "\n")
    sys.stdout.flush()


_DIRECTION = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters that JSON allows and a terminal interprets."""


def _write_safe_json(record: Record) -> None:
    """Write JSON with control characters escaped, so that a terminal does not interpret them."""
    safe = _DIRECTION.sub(lambda match: f"\\u{ord(match[0]):04x}", record.payload)
    sys.stdout.write(safe + "\n")
    sys.stdout.flush()


# --- for people ---------------------------------------------------------------------------------------------------

_STYLES = {
    "I": "green",
    "U": "yellow",
    "D": "red",
    "T": "bold red",
    SCHEMA: "magenta",
    APPLICATION: "cyan",
    BROKEN: "reverse red",
}
_COLUMNS = 12
"""Maximum number of columns shown."""


def line(record: Record, width: int | None = None) -> Text:
    """One event as a line of text: time, letter, table, changes, author; cut to `width` terminal columns.

    The date is included unless it is today.
    """
    at = datetime.fromisoformat(record.at).astimezone()
    date = "" if at.date() == datetime.now(UTC).astimezone().date() else f"{at:%Y-%m-%d} "
    sign = "!" if record.kind == SCHEMA else record.kind
    head = Text.assemble(f"{date}{at:%H:%M:%S}.{at.microsecond // 1000:03d} ", (sign, _STYLES[record.kind]), " ")
    title, told = _told(record)
    head.append(clean(title), "bold")
    body = Text(f" {told}")
    who = " ".join(filter(None, (record.session_user, record.application_name, claims(record))))
    tail = Text(f"  {clean(who)} #{record.id}", "dim")
    if width is not None:
        if head.cell_len + body.cell_len + tail.cell_len > width:
            tail = Text(f" #{record.id}", "dim")
        body.truncate(max(20, width - head.cell_len - tail.cell_len), overflow="ellipsis")
    return Text.assemble(head, body, tail)


def _told(record: Record) -> tuple[str, str]:
    """Table or object of an event, and the changes."""
    title = f"{record.table_schema}.{record.table_name}"
    if record.kind == BROKEN:
        return title, f"(broken: {record.broken})"
    try:
        event = parse(record.payload)
        if isinstance(event, DataEvent):
            return title, _changes(event)
        if isinstance(event, ApplicationEvent):
            key = "" if event.key is None else f"key={event.key} "
            return event.event, f"{key}{_shown(event.payload)}"
    except (ValueError, RecursionError):
        return title, "(cannot be read: nested too deep)"
    return event.command_tag, clean(event.object_identity or "")


def _changes(event: DataEvent) -> str:
    if event.method == METHODS["T"]:
        return "all rows"
    if event.method == METHODS["U"]:
        parts = [f"{name} {_shown(old)} → {_shown(new)}" for name, (old, new) in event.changes.items()]
        first = next(iter(event.row.items()), None)
        if first and first[0] not in event.changes:
            parts.insert(0, f"{first[0]}={_shown(first[1])}")
    else:
        parts = [f"{name}={_shown(value)}" for name, value in event.row.items()]
    more = f" +{len(parts) - _COLUMNS}" if len(parts) > _COLUMNS else ""
    return " ".join(shorten(clean(part), 60) for part in parts[:_COLUMNS]) + more


def _shown(value: object) -> str:
    """JSON value as readable text: strings without quotes, numbers with every digit."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return "{" + ", ".join(f"{name}: {_shown(member)}" for name, member in members.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, cast("list[Any]", value))) + "]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
