"""From settings to a running console."""

import gc

from pg_events.errors import NotInstalled
from pg_events.listener import Listener
from pg_events.settings import Settings
from pg_events_tui import replay
from pg_events_tui.app import ConsoleApp
from pg_events_tui.backend import APPLICATION_NAME, Database


def start(settings: Settings, *, read_only: bool = False) -> int:
    """See `pg_events_tui.run`."""
    backend = Database(settings)
    listener = Listener(
        settings.database_url or "",
        application_name=APPLICATION_NAME,
        wake_up=settings.wake_up,
        link_seconds=settings.link_seconds,
    )
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
