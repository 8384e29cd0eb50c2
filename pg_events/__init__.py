"""What changed in a PostgreSQL database, who changed it, and run that again through your code."""

import logging

from pg_events.errors import PgEventsError
from pg_events.event import ENVELOPE_VERSION, DataEvent, Record, SchemaEvent, parse

__version__ = "0.1.0"

__all__ = ["ENVELOPE_VERSION", "DataEvent", "PgEventsError", "Record", "SchemaEvent", "__version__", "parse"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
