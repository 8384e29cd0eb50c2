"""What happened to the console itself: kept, so that a toast that was missed can be read again."""

from collections import deque
from datetime import datetime
from typing import Final, NamedTuple

MAX_ENTRIES: Final = 500

LETTERS: Final = {"information": "INFO", "warning": "WARN", "error": "ERR"}


class Entry(NamedTuple):
    at: datetime
    severity: str
    """`information`, `warning` or `error`."""
    text: str
    """One line, clean."""


class EventLog:
    """The newest of what happened, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self.added = 0
        """How many there ever were."""

    def add(self, at: datetime, severity: str, text: str) -> None:
        self.entries.append(Entry(at, severity, text))
        self.added += 1
