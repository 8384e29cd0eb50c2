"""Support for Django in callbacks, if the process has set it up; never imports Django.

Outside a request, Django does not close a connection that an error has broken: after a restart of the server each call of
this process would fail with "the connection is closed". A failed call therefore closes unusable connections, as Django
does after each request; the next attempt opens a new one.
"""

import contextlib
import sys
from collections.abc import Awaitable
from typing import Any

from pg_events.text.hints import is_django_ready


def close_broken_connections() -> None:
    """Close this thread's connections that are broken or too old; not those within a transaction."""
    if (db := _database()) is not None:
        with contextlib.suppress(Exception):  # report the failure of the callback, not one of this cleanup
            db.close_old_connections()


async def closing_broken_connections(awaitable: Awaitable[object]) -> object:
    """Wait for the awaitable; if it fails, close connections in the thread of Django's async functions."""
    try:
        return await awaitable
    except Exception:  # the user's function can raise anything: raised again once the connections are closed
        if (db := _database()) is not None:
            with contextlib.suppress(Exception):
                await sys.modules["asgiref.sync"].sync_to_async(db.close_old_connections)()
        raise


def _database() -> Any:
    return sys.modules.get("django.db") if is_django_ready() else None
