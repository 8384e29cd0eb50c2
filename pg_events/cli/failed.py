"""`failed`: events whose callback gave up."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

import click
from psycopg.rows import dict_row
from rich.text import Text

from pg_events import event, sql
from pg_events.callbacks.callback import Failure
from pg_events.cli.database import connected
from pg_events.cli.page import Page
from pg_events.cli.terminal import say
from pg_events.config.settings import load
from pg_events.db.link import RawCursor
from pg_events.delivery.attempts import place_of, qualified
from pg_events.errors import PgEventsError, UsageError
from pg_events.filter import parser as filters
from pg_events.filter.parser import Filter
from pg_events.log.listener import check_log
from pg_events.text import clean, counted, one_line, shorten
from pg_events.triggers.catalog import Connection

Row = dict[str, Any]

_PAGE: Final = 500
"""Number of failed events that a listing reads at a time."""


def list_failed(
    settings: str | None,
    database_url: str | None,
    name: str | None,
    where: str,
    limit: int,
    group: bool,
    as_json: bool,
) -> int:
    """List failed events, oldest first: number, consumer, time, table, row, attempts and error.

    With --group, failures of a consumer and a table are equal if they raise the same exception in the same line;
    the most frequent come first, and --limit counts groups.
    """
    wanted = filters.parse(where)
    if group:
        return _list_groups(settings, database_url, name, wanted, limit, as_json)
    page = Page()
    shown = 0
    with connected(load(settings, database_url), "failed") as connection:
        check_log(connection)
        for row in islice(_matching(connection, name, wanted), limit + 1):
            shown += 1
            if shown > limit:
                say(f"there are more than {limit:,}; see --limit and --where")
            elif as_json:
                click.echo(json.dumps(row, default=_plain))
            else:
                page.print(Text(clean(_line(row))), no_wrap=True, overflow="ellipsis")
    if not shown:
        say("no failed events")
    return 0


@dataclass
class _Group:
    """Group of equal failures."""

    consumer: str
    table: str
    error: str
    first_id: int
    last_id: int
    events: int = 0


def _list_groups(
    settings: str | None, database_url: str | None, name: str | None, wanted: Filter, limit: int, as_json: bool
) -> int:
    groups: dict[tuple[str, ...], _Group] = {}
    with connected(load(settings, database_url), "failed") as connection:
        check_log(connection)
        for row in _matching(connection, name, wanted):
            table, number = _table(row["payload"]), row["event_id"]
            error = one_line(row["error"])
            raised = Failure(error.partition(":")[0], "", row["traceback"] or "")
            key = row["consumer"], table, row["state"], raised.type, place_of(raised) or ""
            one = groups.setdefault(key, _Group(row["consumer"], table, error, number, number))
            one.events, one.error = one.events + 1, error
            one.first_id, one.last_id = min(one.first_id, number), max(one.last_id, number)
    page = Page()
    found = sorted(groups.values(), key=lambda one: -one.events)
    for one in found[:limit]:
        if as_json:
            click.echo(json.dumps(asdict(one)))
        else:
            ids = f"#{one.first_id}" if one.events == 1 else f"#{one.first_id} … #{one.last_id}"
            text = f"{one.events:,}×  {one.consumer}  {one.table}  {ids}  {one.error}"
            page.print(Text(clean(text)), no_wrap=True, overflow="ellipsis")
    if len(found) > limit:
        say(f"there are {len(found) - limit:,} more; see --limit and --where")
    if not found:
        say("no failed events")
    return 0


def _matching(connection: Connection, name: str | None, wanted: Filter) -> Iterator[Row]:
    """Matching failed events, oldest first, read page by page, so that only a few are in memory."""
    place: tuple[object, ...] = (None, None, None)
    while True:
        with RawCursor(connection, row_factory=dict_row) as cursor:
            rows = cursor.execute(sql.text("failed_list.sql"), (name, None, *place, _PAGE)).fetchall()
        for row in rows:
            if not str(wanted) or _matches(wanted, row["payload"]):
                yield row
        if len(rows) < _PAGE:
            return
        place = rows[-1]["failed_at"], rows[-1]["event_id"], rows[-1]["consumer"]


def _line(row: Row) -> str:
    attempts = f"{row['attempts']}×"
    sign = {"failed": attempts, "retry": f"{attempts}, to be retried"}.get(row["state"], row["state"])
    about = _about(row["payload"])
    return f"#{row['event_id']}  {row['consumer']}  {_when(row)}  {about}  {sign}  {one_line(row['error'])}"


def _table(payload: str) -> str:
    """Table or object of an event."""
    try:
        return qualified(event.head(payload)) or ""
    except (ValueError, RecursionError):
        return "?"


def _about(payload: str) -> str:
    """Table and row, or object, of an event."""
    try:
        found = event.record(payload)
        table = qualified(found) or ""
        row = event.members(found.new_data or found.old_data or "{}", str)
    except (ValueError, RecursionError):
        return "?"
    first = next(((name, row[name]) for name in ("id", *row) if name in row), None)
    return table if first is None else f"{table} {first[0]}={shorten(one_line(first[1]), 40)}"


def show(settings: str | None, database_url: str | None, event_id: int, name: str | None, as_json: bool) -> int:
    """Show a failed event with its payload and traceback, for each consumer in which it failed."""
    with connected(load(settings, database_url), "failed") as connection:
        rows = _find(connection, name, [event_id])
    for row in rows:
        if as_json:
            click.echo(json.dumps(row, default=_plain))
            continue
        attempts = counted(row["attempts"], "attempt")
        click.echo(clean(f"event {event_id}, consumer {row['consumer']}, {_when(row)}, {attempts}"))
        click.echo(clean(row["payload"]))
        click.echo(clean(row["traceback"] or row["error"], keep_newlines=True).rstrip())
    return 0


def retry(
    settings: str | None,
    database_url: str | None,
    event_ids: Sequence[int],
    name: str | None,
    where: str,
    everything: bool,
    as_json: bool,
) -> int:
    """Have failed events delivered again: those with the given IDs, those matching the filter, or all."""
    chosen = _change(settings, database_url, "failed_retry.sql", event_ids, name, where, everything)
    _tell("retried", chosen, as_json)
    if chosen:
        say(f"{counted(len(chosen), 'event')} to be delivered again, by the {_workers(chosen)}")
    return 0


def discard(
    settings: str | None,
    database_url: str | None,
    event_ids: Sequence[int],
    name: str | None,
    where: str,
    everything: bool,
    as_json: bool,
) -> int:
    """Discard failed events: those with the given IDs, those matching the filter, or all."""
    chosen = _change(settings, database_url, "failed_discard.sql", event_ids, name, where, everything)
    _tell("discarded", chosen, as_json)
    if len(event_ids) == 1 and chosen:
        say(f"discarded event {event_ids[0]} of {_consumers(chosen)}")
    elif chosen:
        say(f"discarded {counted(len(chosen), 'event')} of {_consumers(chosen)}")
    return 0


def _change(
    settings: str | None,
    database_url: str | None,
    question: str,
    event_ids: Sequence[int],
    name: str | None,
    where: str,
    everything: bool,
) -> list[tuple[str, int]]:
    """Apply the action to the selected events; return consumer and id of those it changed."""
    if bool(event_ids) + bool(where.strip()) + everything != 1:
        raise UsageError(
            "select the events by exactly one of ids, --where FILTER or --all (see: pg_events failed list)"
        )
    wanted = filters.parse(where)
    with connected(load(settings, database_url), "failed") as connection:
        if event_ids:
            rows: Iterator[Row] = iter(_find(connection, name, event_ids))
        else:
            check_log(connection)
            rows = _matching(connection, name, wanted)
        others = {"held"}
        if question == "failed_retry.sql" and not event_ids:
            others.add("discarded")  # its callback does not want it; retried only by its id
        chosen = ((row["consumer"], row["event_id"]) for row in rows if row["state"] not in others)
        seen: set[tuple[str, int]] = set()  # an event that fails again meanwhile is listed again later
        pairs = (pair for pair in chosen if not (pair in seen or seen.add(pair)))
        done: list[tuple[str, int]] = []
        while page := list(islice(pairs, _PAGE)):  # the rows themselves are dropped: they may be large and numerous
            with RawCursor(connection) as cursor:
                done += cursor.execute(
                    sql.text(question), [list(column) for column in zip(*page, strict=True)]
                ).fetchall()
        if not done and event_ids:
            raise PgEventsError(
                f"event {event_ids[0]} is blocked by an earlier failed event of its row; deal with that one"
            )
        if not done:
            say("no such failed events")
        return sorted(done)


def _find(connection: Connection, name: str | None, event_ids: Sequence[int]) -> list[Row]:
    """Find failed events; an id that is not among them raises an error."""
    check_log(connection)
    with RawCursor(connection, row_factory=dict_row) as cursor:
        rows = cursor.execute(
            sql.text("failed_list.sql"),
            (name, list(event_ids), None, None, None, None),
        ).fetchall()
    known = {row["event_id"] for row in rows}
    for event_id in event_ids:
        if event_id not in known:
            raise PgEventsError(f"event {event_id} is not among the failed ones; see: pg_events failed list")
    return rows


def _matches(wanted: Filter, payload: str) -> bool:
    try:
        return wanted.matches(event.record(payload))
    except (ValueError, RecursionError):  # nested too deeply to be read: no condition matches
        return False


def _tell(what: str, chosen: Sequence[tuple[str, int]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({what: [{"consumer": consumer, "event_id": number} for consumer, number in chosen]}))


def _consumers(chosen: Sequence[tuple[str, int]]) -> str:
    return ", ".join(clean(consumer) for consumer in dict.fromkeys(consumer for consumer, _ in chosen))


def _workers(chosen: Sequence[tuple[str, int]]) -> str:
    several = len({consumer for consumer, _ in chosen}) > 1
    return f"{'workers' if several else 'worker'} of {_consumers(chosen)}"


def _when(row: Row) -> str:
    """Time of the failure in the local time zone."""
    return f"{row['failed_at'].astimezone():%Y-%m-%d %H:%M:%S}"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
