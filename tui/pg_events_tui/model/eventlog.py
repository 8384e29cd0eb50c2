"""Messages about the console itself, kept so that a missed toast can be read later."""

from collections import deque
from datetime import datetime
from typing import Final, NamedTuple

MAX_ENTRIES: Final = 500

LETTERS: Final = {"information": "INFO", "warning": "WARN", "error": "ERR"}


class Entry(NamedTuple):
    at: datetime
    severity: str
    """Severity: `information`, `warning` or `error`."""
    text: str
    """Message: one line, cleaned."""


class EventLog:
    """Latest messages, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self.added = 0
        """Total number of messages so far."""

    def add(self, at: datetime, severity: str, text: str) -> None:
        self.entries.append(Entry(at, severity, text))
        self.added += 1
