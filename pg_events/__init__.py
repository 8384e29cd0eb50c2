"""Captures changes of a PostgreSQL database and who made them, and runs them through your code again."""

import logging
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from pg_events.callbacks.router import Router
    from pg_events.config.settings import Settings
    from pg_events.contexts.current import context, set_context
    from pg_events.contexts.emit import emit
    from pg_events.delivery.give_up import FailedEvent
    from pg_events.delivery.stream import stream
    from pg_events.delivery.worker import Worker
    from pg_events.errors import (
        DatabaseUnreachable,
        Discard,
        NotInstalled,
        NotPermitted,
        PgEventsError,
        RetryAfter,
        UsageError,
    )
    from pg_events.event import ApplicationEvent, DataEvent, SchemaEvent, parse
    from pg_events.playback.player import Report
    from pg_events.playback.source import Events
    from pg_events.testing.capture import capture

__version__ = "0.2.0"

__all__ = [
    "ApplicationEvent",
    "DataEvent",
    "DatabaseUnreachable",
    "Discard",
    "Events",
    "FailedEvent",
    "NotInstalled",
    "NotPermitted",
    "PgEventsError",
    "Report",
    "RetryAfter",
    "Router",
    "SchemaEvent",
    "Settings",
    "UsageError",
    "Worker",
    "__version__",
    "capture",
    "context",
    "emit",
    "parse",
    "read",
    "replay",
    "set_context",
    "stream",
]

_MODULES = {
    "ApplicationEvent": "event",
    "DataEvent": "event",
    "DatabaseUnreachable": "errors",
    "Discard": "errors",
    "Events": "playback.source",
    "FailedEvent": "delivery.give_up",
    "NotInstalled": "errors",
    "NotPermitted": "errors",
    "PgEventsError": "errors",
    "Report": "playback.player",
    "RetryAfter": "errors",
    "Router": "callbacks.router",
    "SchemaEvent": "event",
    "Settings": "config.settings",
    "UsageError": "errors",
    "Worker": "delivery.worker",
    "capture": "testing.capture",
    "context": "contexts.current",
    "emit": "contexts.emit",
    "parse": "event",
    "set_context": "contexts.current",
    "stream": "delivery.stream",
}
"""Module by public name; imported at the first use, so that commands load only what they need."""

logging.getLogger(__name__).addHandler(logging.NullHandler())


def read(
    source: "str | PathLike[str]", *, where: str = "", since: str | None = None, until: str | None = None
) -> "Events":
    """Read the typed events of a saved log, or of the retained log of a database, in order: `for event in read(…)`.

    `source` is a file, or the database's URL or `key=value` string. `where` is a filter as on the command line, `since`
    and `until` are times (`"5m"`, `"2026-08-22T14:00"`). Files and logs are read in bounded memory. Unreadable lines are
    skipped and counted: see `bad_lines` and `problems` of the result.

    Raises `PgEventsError` for a missing file, a filter that is not valid, or an unreachable database.
    """
    from pg_events.playback import source as sources

    return sources.read(source, where=where, since=since, until=until)


def replay(
    source: "str | PathLike[str]",
    callback: "str | Callable[[str], object]",
    *,
    where: str = "",
    since: str | None = None,
    until: str | None = None,
    speed: float | None = None,
    max_gap_seconds: float = 5.0,
    times: int = 1,
    on_error: Literal["stop", "continue"] = "stop",
    shadow: "str | Callable[[str], object] | None" = None,
    keep: bool = False,
) -> "Report":
    """Call `callback` (a sync or async function, or its name) with the payloads of a source, in order, in this process.

    `source`, `where`, `since` and `until` are as in `read`. `speed` 1 keeps the pauses of the original, up to
    `max_gap_seconds`; None makes no pauses. `shadow` also gets every event, and the report counts the differences. With
    `keep` the run is kept: see `pg_events runs`. The payload has one more key, `"replay"`; the original is not altered.

    Exceptions of a callback are in the report, which is returned at the end or, with `on_error="stop"`, at the first
    failure. Raises `PgEventsError` as `read` does.
    """
    from pg_events.playback import player

    return player.replay(
        source, callback, where=where, since=since, until=until, speed=speed, max_gap_seconds=max_gap_seconds,
        times=times, on_error=on_error, shadow=shadow, keep=keep,
    )  # fmt: skip


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"pg_events.{_MODULES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
