"""From settings to a running console."""

import gc
from pathlib import Path

from pg_events.errors import NotInstalled, UsageError
from pg_events.listener import Listener
from pg_events.settings import Settings
from pg_events_tui import replay
from pg_events_tui.app import ConsoleApp
from pg_events_tui.backend import APPLICATION_NAME, Database


def start(settings: Settings, *, read_only: bool = False, log: Path | None = None) -> int:
    """See `pg_events_tui.run`."""
    if log is not None:
        raise UsageError("the console cannot open a saved log yet; pg_events replay FILE --plan shows what is in it")
    backend = Database(settings)
    listener = Listener(settings.database_url or "", application_name=APPLICATION_NAME, wake_up=settings.wake_up)
    first = "live"
    try:
        listener.connect()
    except NotInstalled:
        first = "coverage"
    listener.close()
    app = ConsoleApp(
        listener,
        backend,
        lambda kind: replay.target(settings, kind),
        read_only=read_only,
        start=first,
    )
    gc.freeze()
    try:
        code = app.run()
    finally:
        app.stop()
    return code if code is not None else app.return_code or 0
