"""Cause of an event: the consumer and the event whose callback wrote it, as its context claims."""

from functools import lru_cache
from typing import Any, NamedTuple, cast

from pg_events.contexts.current import CAUSE
from pg_events.event import Record, context_object


class Cause(NamedTuple):
    """Consumer and event whose callback wrote a change, as the change's context claims. Any writer can claim anything."""

    consumer: str
    event_id: int
    depth: int
    """Number of callbacks from the first cause to the event, this one included."""


def cause_of(record: Record) -> Cause | None:
    """Cause that a record claims; None if it claims none."""
    return None if record.context is None else cause_in(record.context)


@lru_cache(maxsize=1024)
def cause_in(context: str) -> Cause | None:
    """Cause that a context claims; None if there is none, or it is not valid."""
    if f'"{CAUSE}"' not in context:
        return None
    found: Any = (context_object(context) or {}).get(CAUSE)
    if not isinstance(found, dict):
        return None
    values = cast("dict[str, Any]", found)
    consumer, event_id, depth = values.get("consumer"), values.get("event"), values.get("depth", 1)
    if not isinstance(consumer, str) or type(event_id) is not int or type(depth) is not int:
        return None
    return Cause(consumer, event_id, depth) if 0 < event_id < 2**63 and depth > 0 else None
