"""What changed in a PostgreSQL database, who changed it, and run that again through your code."""

import logging
from typing import TYPE_CHECKING

from pg_events.errors import PgEventsError
from pg_events.event import ENVELOPE_VERSION, DataEvent, Record, SchemaEvent, parse

if TYPE_CHECKING:
    from pg_events.routing import Router

__version__ = "0.1.0"

__all__ = ["ENVELOPE_VERSION", "DataEvent", "PgEventsError", "Record", "Router", "SchemaEvent", "__version__", "parse"]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """`Router` brings the filter and asyncio along, which most who read events do without."""
    if name == "Router":
        from pg_events.routing import Router

        return Router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
