"""Django around callbacks, where the process has set it up: nothing here imports Django.

Outside a request nobody closes a connection of Django's that an error has broken: after a restart of the server each call
would fail with "the connection is closed", in this process for ever. So a call that failed closes those that cannot be used any
more, as Django does after each request; the next attempt has a new connection.
"""

import contextlib
import sys
from collections.abc import Awaitable
from typing import Any, Final

_REMEDY: Final = (
    "; before it imports models a module calls django.setup(), and DJANGO_SETTINGS_MODULE names the settings of "
    "the project"
)
_HINTED: Final = ("AppRegistryNotReady", "ImproperlyConfigured")


def hint(error: BaseException) -> str:
    """What to do about an error that says Django is not set up; else empty."""
    kind = type(error)
    if kind.__module__ != "django.core.exceptions" or kind.__name__ not in _HINTED or _is_set_up():
        return ""
    return _REMEDY


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


def _is_set_up() -> bool:
    apps: Any = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.ready)


def _database() -> Any:
    return sys.modules.get("django.db") if _is_set_up() else None
