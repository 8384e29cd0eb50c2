"""Celery: name and id of a task are the context of what it writes, beside the context of the code that sent it.

    connect()

in the module of the Celery application, in the workers and in the processes that send tasks.
"""

# pyright: basic
# Celery has no types.

import json
import logging
from contextlib import AbstractContextManager
from typing import Any, Final

from celery.signals import before_task_publish, task_postrun, task_prerun

from pg_events.contexts.current import context, serialized

log = logging.getLogger(__name__)

HEADER: Final = "pg_events_context"
"""Header of a message with the sender's context."""

_UID: Final = "pg_events"


def connect() -> None:
    """Give each task of this process a context from now on, and send the current context with each message; twice does no harm."""
    before_task_publish.connect(_publish, dispatch_uid=_UID, weak=False)
    task_prerun.connect(_begin, dispatch_uid=_UID, weak=False)
    task_postrun.connect(_end, dispatch_uid=_UID, weak=False)


def _publish(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None and (text := serialized()):
        headers.setdefault(HEADER, text)


_running: Final[dict[str, list[AbstractContextManager[None]]]] = {}
"""Open contexts by id of the task; those of one id are within each other, as when a task runs itself eagerly."""


def _begin(task_id: str, task: Any, **_: Any) -> None:
    own = context(**{**_sent(task), "task": task.name, "task_id": task_id})
    own.__enter__()
    _running.setdefault(task_id, []).append(own)


def _end(task_id: str, **_: Any) -> None:
    if contexts := _running.get(task_id):
        contexts.pop().__exit__(None, None, None)
        if not contexts:
            del _running[task_id]


def _sent(task: Any) -> dict[str, Any]:
    """Context of the code that sent the message; without one, or with one that cannot be read, empty."""
    request: Any = task.request
    text = request.get(HEADER) or (request.headers or {}).get(HEADER)
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        log.warning("the context in a message of %s is not valid JSON; it is left out", task.name)
        return {}
    return found if isinstance(found, dict) else {}
