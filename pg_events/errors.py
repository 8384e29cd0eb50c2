"""Exceptions, one class for each case that callers handle differently."""

import math
from datetime import timedelta
from typing import ClassVar, cast


class PgEventsError(Exception):
    """Base class: a one-line message that names the value and the remedy, and the exit code of commands."""

    exit_code: ClassVar[int] = 1


class UsageError(PgEventsError):
    """User input (settings, an option, a filter, the name of a callback) is not valid."""

    exit_code = 2


class CallbackUnavailable(UsageError):
    """The process for callbacks cannot be started; not a failure of a callback, so no event is given up."""


class FilterError(UsageError):
    """A filter is not valid."""

    def __init__(self, message: str, text: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        """Text of the whole filter."""
        self.position = position
        """Position of the error in `text`, counted from 0."""

    def __str__(self) -> str:
        return f"{self.message}\n  {self.text}\n  {' ' * self.position}^"


class DatabaseUnreachable(PgEventsError):
    """No connection could be made, or it was lost and may come back."""

    exit_code = 3


class PoolerUnsupported(PgEventsError):
    """The pooler does not support transactions, so a retry does not help."""

    exit_code = 3


class NotPermitted(PgEventsError):
    """The role lacks a privilege; the message names the missing GRANT."""

    exit_code = 4


class NotInstalled(PgEventsError):
    """The database has no `pgevents` schema, or one of another release."""


class ForeignCursor(PgEventsError):
    """A saved cursor, or the log itself, is from another cluster, so its transaction ids are meaningless here."""

    BUT_UPGRADED: ClassVar[str] = "(but after pg_upgrade the ids are right: see pg_events docs operations)"


class CursorTaken(PgEventsError):
    """Another worker has taken the share, so the save of this one was rejected."""


class RetryAfter(Exception):
    """Raised by a callback to be called again with the same event after a time; uses up no attempt."""

    __module__ = "pg_events"

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        """Wait for `seconds`. Raises `ValueError` or `TypeError`, as any failure of the callback, for other values."""
        value = seconds.total_seconds() if isinstance(seconds, timedelta) else cast("object", seconds)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"RetryAfter takes a number of seconds or a timedelta, not {type(value).__name__}")
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"RetryAfter({value}): the number of seconds must be 0 or more, and finite")
        super().__init__(reason or f"retry after {value:g} s")
        self.seconds = float(value)


class Discard(Exception):
    """Raised by a callback to discard the event: it is kept as discarded, not retried, and blocks nothing."""

    __module__ = "pg_events"

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "discarded by the callback")
