"""Django around callbacks, where the process has set it up: nothing here imports Django.

Outside a request nobody closes a connection of Django's that an error has broken: after a restart of the server each call
would fail with "the connection is closed", in this process for ever. So a call that failed closes those that cannot be used any
more, as Django does after each request; the next attempt has a new connection.
"""

import contextlib
import sys
from collections.abc import Awaitable
from typing import Any

from pg_events.text.hints import is_django_ready


def close_broken_connections() -> None:
    """Close this thread's connections that are broken or too old; not those within a transaction."""
    if (db := _database()) is not None:
        with contextlib.suppress(Exception):  # what failed is told, not what was done about it
            db.close_old_connections()


async def closing_broken_connections(awaitable: Awaitable[object]) -> object:
    """Wait for it; when it fails do the same, in the thread in which Django's async functions have their connections."""
    try:
        return await awaitable
    except Exception:
        if (db := _database()) is not None:
            with contextlib.suppress(Exception):
                await sys.modules["asgiref.sync"].sync_to_async(db.close_old_connections)()
        raise


def _database() -> Any:
    return sys.modules.get("django.db") if is_django_ready() else None
