"""Exceptions, one class for each case that callers handle differently."""

from typing import ClassVar


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
