"""Callbacks of the demo, as a user would write them, which also record the deliveries."""

import json
import time
from collections import deque
from typing import NamedTuple

from pg_events import DataEvent, parse


class Delivery(NamedTuple):
    """Call of a callback with a data event."""

    id: int
    xid: int
    table_name: str
    method: str
    at: float
    """Time of the call, as of `time.monotonic()`."""


deliveries: deque[Delivery] = deque()
"""All calls in this process, in order."""


def data_changed(payload: str) -> str:
    """Callback for changed rows. The console shows its return value in a replay."""
    at = time.monotonic()
    event = parse(payload)
    assert isinstance(event, DataEvent)
    deliveries.append(Delivery(event.id, event.xid, event.table_name, event.method, at))
    changes = ", ".join(f"{name} {old!s} → {new!s}" for name, (old, new) in event.changes.items())
    return f"{event.method} {event.table_name}: {changes}"


def schema_changed(payload: str) -> str:
    """Callback for DDL commands."""
    return str(parse(payload))


def announce(payload: str) -> str:
    """Callback with a bug, to try `replay`: a deleted row has no new state."""
    event = json.loads(payload)
    print(f"announcing {event['method']} of {event['table_name']}")  # noqa: T201 - as users do
    row = event["new_data"]
    return f"{event['table_name']} {row['id']}"
