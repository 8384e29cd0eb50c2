"""The demo's callbacks: what a user would write, and a note of what was delivered."""

import json
import time
from collections import deque
from typing import NamedTuple

from pg_events import DataEvent, parse


class Delivery(NamedTuple):
    """One call of a callback with a data event."""

    id: int
    xid: int
    table_name: str
    method: str
    at: float
    """When the callback was called, on the clock of `time.monotonic()`."""


deliveries: deque[Delivery] = deque()
"""Every call in this process, in order."""


def data_changed(payload: str) -> str:
    """Called with every changed row. Its answer is shown by the console when it replays an event."""
    at = time.monotonic()
    event = parse(payload)
    assert isinstance(event, DataEvent)
    deliveries.append(Delivery(event.id, event.xid, event.table_name, event.method, at))
    changes = ", ".join(f"{name} {old!s} → {new!s}" for name, (old, new) in event.changes.items())
    return f"{event.method} {event.table_name}: {changes}"


def schema_changed(payload: str) -> str:
    """Called with every DDL command."""
    return str(parse(payload))


def announce(payload: str) -> str:
    """A callback with a mistake in it, to try `replay` with: a row that was deleted has no new state."""
    event = json.loads(payload)
    print(f"announcing {event['method']} of {event['table_name']}")  # noqa: T201 - as users do
    row = event["new_data"]
    return f"{event['table_name']} {row['id']}"
