"""`history` and `transaction`: the versions of one row; all events of one transaction."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import groupby

import click

from pg_events.cli.database import connected
from pg_events.cli.terminal import configure, say
from pg_events.config.settings import Settings, load
from pg_events.diff import changes as difference
from pg_events.diff.changes import spelled
from pg_events.errors import DatabaseUnreachable, UsageError
from pg_events.event import ApplicationEvent, DataEvent, Event, SchemaEvent, claims
from pg_events.files import journal
from pg_events.filter.conditions import And, Numbers
from pg_events.filter.parser import Filter
from pg_events.filter.times import moment_after
from pg_events.log import row_history as history
from pg_events.log.row_history import Shape, Version
from pg_events.playback.source import LOG, Events, FileSource, Source, asked_of, open_source
from pg_events.text import clean, counted, one_line, shorten
from pg_events.triggers import catalog


def row_history(
    settings: str | None,
    database_url: str | None,
    table: str,
    key: tuple[str, ...],
    moment: str | None,
    undo: int | None,
    since: str | None,
    file: str | None,
    as_json: bool,
) -> int:
    """Show every kept version of the row of TABLE with that KEY, and the changes between them."""
    if moment is not None and undo is not None:
        raise UsageError("--at and --undo exclude each other; leave one of them out")
    then = None if moment is None else _moment(moment, file)
    chosen = load(settings, database_url, require_database=file is None)
    table, shape = _shape(chosen, table, file)
    wanted = (history.of_row(table, shape, key), asked_of(file or LOG, since=since).condition)
    source = _open(chosen, file, Filter(And(wanted)))
    events = Events(source)
    found = list(
        history.versions((event, payload) for event, payload in events.with_payloads() if isinstance(event, DataEvent))
    )
    code = _say_bad(events, file)
    if not found:
        unknown = file is None and not shape.columns
        hint = "; no table of that name is captured, see: pg_events status" if unknown else ""
        say(f"no event of {table} {' '.join(key)} is kept{hint}")
        return 1
    _check_one_table(found, table)
    if not shape.columns and source.columns:
        shape = replace(shape, columns=source.columns.get(_table(found[0].event), {}))
    if then is not None:
        return _row_at(found, then) or code
    if undo is not None:
        return _undo(found, undo, shape, source) or code
    if not shape.key and not as_json:
        columns = ", ".join(shape.key_columns(found[0].event.row))
        say(f"no primary key is known: all rows with the same {columns} are shown as one")
    configure(sys.stdout, errors="backslashreplace")
    for version in found:
        click.echo(version.payload) if as_json else _print(version.event, shape)
    return code


def transaction(settings: str | None, database_url: str | None, xid: int, file: str | None, as_json: bool) -> int:
    """Show the data changes and the DDL of transaction XID in order, with their author and statement."""
    chosen = load(settings, database_url, require_database=file is None)
    source = _open(chosen, file, Filter(Numbers("xid", ((xid, xid),))))
    events = Events(source)
    items = list(events.with_payloads())
    code = _say_bad(events, file)
    if not items:
        say(f"no event of transaction {xid} is kept")
        return 1
    if as_json:
        for _, payload in items:
            click.echo(payload)
        return code
    first, last = items[0][0], items[-1][0]
    who = " · ".join(filter(None, (first.session_user, first.application_name, claims(first))))
    span = _clock(first.at) if first.at == last.at else f"{_clock(first.at)} … {_clock(last.at)}"
    click.echo(clean(f"transaction {xid}  {span}  {who}  {counted(len(items), 'event')}"))
    for query, group in groupby(items, key=lambda pair: (pair[0].query, pair[0].at)):
        if query[0]:
            click.echo(clean(f"  {shorten(one_line(query[0]), 200)}"))
        for event, _ in group:
            _print(event, Shape(), indent="    ", with_transaction=False)
    return code


# --- asking -------------------------------------------------------------------------------------------------------


def _moment(text: str, file: str | None) -> datetime:
    """End of the second, minute or day that the text names, so that its changes are included."""
    try:
        return moment_after(text, now=None if file is None else partial(journal.ends_at, file))
    except ValueError as error:
        raise UsageError(f"--at: {error}") from error


def _shape(chosen: Settings, table: str, file: str | None) -> tuple[str, Shape]:
    """Full name of the table and its shape in the database; for a saved log, only if a database is known."""
    if chosen.database_url is None:
        return table, Shape()
    try:
        with connected(chosen, "history") as connection:
            table = history.qualified(table, catalog.columns(connection))
            return table, history.shape(connection, table)
    except DatabaseUnreachable:
        if file is None:
            raise
        return table, Shape()


def _open(chosen: Settings, file: str | None, wanted: Filter) -> Source:
    return open_source(file or LOG, chosen.database_url, wanted)


def _table(event: DataEvent) -> str:
    return f"{event.table_schema}.{event.table_name}"


def _check_one_table(found: list[Version], table: str) -> None:
    tables = sorted({_table(version.event) for version in found})
    if len(tables) > 1:
        raise UsageError(f"{table} is the name of {len(tables)} tables; write one of: {', '.join(tables)}")


def _say_bad(events: Events, file: str | None) -> int:
    """Report unreadable lines; return exit code 1 if there are any."""
    what = "event" if file is None else "line"
    for problem in list(events.problems)[:10]:
        say(f"{what} {problem.line:,} skipped: {problem.reason}")
    if events.bad_lines > 10:
        say(f"… and {events.bad_lines - 10:,} more")
    return 1 if events.bad_lines else 0


# --- answering ----------------------------------------------------------------------------------------------------


def _row_at(found: list[Version], moment: datetime) -> int:
    then = history.at(found, moment)
    if then is None:
        say("the first kept change of the row is later, and its values before that are not kept")
        return 1
    if then.row is None:
        say("there was no such row")
        return 1
    if then.since is not None:
        say(f"since #{then.since.id}, {_clock(then.since.at)}")
    click.echo(clean(difference.pretty(dict(then.row)), keep_newlines=True))
    return 0


def _undo(found: list[Version], number: int, shape: Shape, source: Source) -> int:
    numbers = [version.event.id for version in found]
    if number not in numbers:
        raise UsageError(
            f"event {number} does not belong to this row; its events are {', '.join(map(str, numbers[-20:]))}"
        )
    version = found[numbers.index(number)]
    later = numbers[numbers.index(number) + 1 :]
    if later:
        say(
            f"the row was changed again by {', '.join(f'#{one}' for one in later[:10])}: check its current values first"
        )
    redacted = source.header().redacted if isinstance(source, FileSource) else ()
    undone = history.undo(version.event, version.payload, shape, redacted)
    for note in undone.notes:
        say(note)
    click.echo(clean(undone.script, keep_newlines=True))
    return 0


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _print(event: Event, shape: Shape, indent: str = "", with_transaction: bool = True) -> None:
    words = [f"#{event.id}", *operation(event)]
    if isinstance(event, DataEvent) and not with_transaction:
        words += [f"{name}={spelled(value)}" for name, value in shape.key_of(event.row).items()]
    if with_transaction:
        who = " · ".join(filter(None, (event.session_user, event.application_name, claims(event))))
        words += [_clock(event.at), f"tx {event.xid}", who]
    click.echo(clean(indent + "  ".join(word for word in words if word)))
    for line in _changes(event):
        click.echo(clean(f"{indent}    {shorten(one_line(line), 300)}"))


def operation(event: Event) -> tuple[str, str]:
    """Operation, and the table, object or name that it is about."""
    match event:
        case DataEvent():
            return event.method, _table(event)
        case SchemaEvent():
            return event.command_tag, event.object_identity or ""
        case ApplicationEvent():
            return "EVENT", event.event


def _changes(event: Event) -> Iterator[str]:
    if isinstance(event, ApplicationEvent):
        yield from (f"key: {event.key}",) if event.key is not None else ()
        yield spelled(event.payload)
        return
    if isinstance(event, SchemaEvent):
        for sign, kind in (("+", "added"), ("-", "removed"), ("~", "changed")):
            for column in (event.columns or {}).get(kind, ()):
                was = "".join(f" (was {column[name]})" for name in ("old_name", "old_type") if column.get(name))
                yield f"{sign} {column.get('name')} {column.get('type')}{was}"
        return
    changes = difference.difference(event.old_data, event.new_data)
    for change in changes:
        if change.sign == " ":
            continue
        if change.is_rest:
            yield f"{change.name}: {change.note}"
        elif event.method == "UPDATE":
            told = spelled(change.old, nested=change.nested), spelled(change.new, nested=change.nested)
            yield f"{change.name}: {' → '.join(told)}"
        else:
            yield f"{change.name}: {spelled(change.new if event.method == 'INSERT' else change.old)}"
