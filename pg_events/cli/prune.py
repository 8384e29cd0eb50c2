"""`prune`: manual retention."""

import json

import click

from pg_events.cli.database import connected
from pg_events.cli.terminal import say
from pg_events.config import units
from pg_events.config.settings import Settings, load
from pg_events.errors import NotPermitted, UsageError
from pg_events.log.listener import check_log
from pg_events.log.retention import Limit
from pg_events.log.retention import prune as delete_old
from pg_events.text import clean, counted
from pg_events.text.formatting import format_age, format_bytes
from pg_events.triggers import catalog


def prune(
    settings: str | None, database_url: str | None, keep: str | None, keep_size: str | None, unread: bool, as_json: bool
) -> int:
    """Delete events older than AGE, and the oldest events while the log takes more than SIZE."""
    chosen = load(settings, database_url)
    limit = _limit(chosen, keep, keep_size, unread)
    with connected(chosen, "prune") as connection:
        check_log(connection)
        server = catalog.server(connection)
        if not (server.owns_schema or server.may_deliver):
            raise NotPermitted(
                f"role {server.role} may not prune the log; remedy: pg_events build --grant-worker {clean(server.role)}, as "
                f"{clean(server.owner)}"
            )
        done = delete_old(connection, limit)
    if as_json:
        click.echo(json.dumps({"deleted": done.deleted, "kept": done.kept}))
    say(f"deleted {counted(done.deleted, 'event')} {_words(limit)}")
    for consumer, (events, first_id, last_id) in sorted(done.unread.items()):
        name, span = clean(consumer), f"from {first_id} to {last_id}"
        if limit.unread:
            say(f"consumer {name} will never receive {counted(events, 'event')} of them, {span}")
        else:
            kept = f"event {first_id}" if first_id == last_id else f"{counted(events, 'event')}, {span}"
            say(f"kept {kept}: consumer {name} has not received {'it' if first_id == last_id else 'them'}")
    return 0


def _limit(chosen: Settings, keep: str | None, keep_size: str | None, unread: bool) -> Limit:
    try:
        age = None if keep is None else units.age(keep)
    except ValueError as error:
        raise UsageError(f"--keep must be {error}, not {clean(keep or '')!r}") from None
    try:
        size = None if keep_size is None else units.size(keep_size)
    except ValueError as error:
        raise UsageError(f"--keep-size must be {error}, not {clean(keep_size or '')!r}") from None
    if age is None and size is None:
        age, size = chosen.retention, chosen.retention_bytes
    if age is None and size is None:
        raise UsageError("nothing to prune by: pass --keep AGE or --keep-size SIZE, or set PG_EVENTS_RETENTION")
    return Limit(age, size, unread)


def _words(limit: Limit) -> str:
    old = "of any age" if not limit.age else f"older than {format_age(limit.age)}"
    if limit.age is None:
        old = ""
    large = f"beyond {format_bytes(limit.size_bytes)}" if limit.size_bytes is not None else ""
    return " or ".join(filter(None, (old, large)))
