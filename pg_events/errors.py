"""What can go wrong, one class for each thing a caller would do differently."""

from typing import ClassVar


class PgEventsError(Exception):
    """The base of all: one line that names the value and the remedy, and the exit code of a command that meets it."""

    exit_code: ClassVar[int] = 1


class UsageError(PgEventsError):
    """Something the user wrote (settings, an option, a filter, a callback's name) cannot be used."""

    exit_code = 2


class CallbackUnavailable(UsageError):
    """The process that callbacks run in cannot be started. No callback's failure: no event is given up for it."""


class FilterError(UsageError):
    """A filter that cannot be read."""

    def __init__(self, message: str, text: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        """The whole filter, as it was written."""
        self.position = position
        """Where in `text` the trouble starts, counted from 0."""

    def __str__(self) -> str:
        return f"{self.message}\n  {self.text}\n  {' ' * self.position}^"


class DatabaseUnreachable(PgEventsError):
    """No connection could be made, or it was lost and may come back."""

    exit_code = 3


class PoolerUnsupported(PgEventsError):
    """What stands between passes no transactions on: trying again does not help."""

    exit_code = 3


class NotPermitted(PgEventsError):
    """The role lacks a right; the text names the missing GRANT."""

    exit_code = 4


class NotInstalled(PgEventsError):
    """The database has no `pgevents` schema, or an older or newer one than this release needs."""


class ForeignCursor(PgEventsError):
    """A saved cursor, or the log itself, comes from another cluster: its transaction ids mean nothing here."""

    BUT_UPGRADED: ClassVar[str] = "(but after pg_upgrade the ids are right: see pg_events docs operations)"


class CursorTaken(PgEventsError):
    """Another worker holds this consumer's cursor now; what this one would save is refused."""
