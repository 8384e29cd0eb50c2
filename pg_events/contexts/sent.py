"""The context that the current transaction of a connection has been sent, so that it is sent once and not again."""

from enum import Enum
from typing import NamedTuple

from pg_events.contexts.current import current, serialized
from pg_events.contexts.statements import Statement


class Unsure(Enum):
    """States in which the text of the server's setting is not known."""

    UNKNOWN = "sent again with the next write"
    BY_HAND = "set by the application, and kept until the transaction ends"


class Mark(NamedTuple):
    """State of a transaction at the begin of a block."""

    text: str | Unsure
    savepoints: int
    """Number of savepoints."""


class Sent:
    """State of one connection, told what the connection does; sends nothing itself."""

    def __init__(self) -> None:
        self.text: str | Unsure = ""
        """Text that the transaction has; empty if it has none."""
        self._is_untouched = True
        """True if the transaction has had no context so far, not even one that a savepoint took back."""
        self._savepoints: list[tuple[str, str | Unsure]] = []

    @property
    def is_silent(self) -> bool:
        """True if there is no context, and none that could come back: statements need not be looked at."""
        return self._is_untouched and not current()

    def due(self, statement: Statement, *, ascii_only: bool = False) -> str | None:
        """Context to send before this statement; None if it needs none, or its transaction has it already."""
        if not statement.writes or statement.sets_context or self.text is Unsure.BY_HAND:
            return None
        text = serialized(ascii_only=ascii_only)
        return None if text == self.text else text

    def note(self, text: str) -> None:
        """Take note that the transaction was sent this context."""
        self.text = text
        self._is_untouched = False

    def lose(self) -> None:
        """Forget what the transaction has: the next write is sent its context in any case."""
        self.text = Unsure.UNKNOWN
        self._is_untouched = False

    def follow(self, statement: Statement) -> None:
        """Take note of a statement that was executed."""
        match statement.control:
            case None:
                pass
            case "begin" | "end":
                self.end()
            case "savepoint":
                self._savepoints.append((statement.savepoint, self.text))
            case "release":
                self._forget(statement.savepoint)
            case "rollback to":
                self._return_to(statement.savepoint)
            case "unknown":
                self.lose()
        if statement.sets_context:
            self.text = Unsure.BY_HAND
            self._is_untouched = False

    def end(self) -> None:
        """Take note that the transaction has ended, or that one begins: what was sent is gone."""
        self.text = ""
        self._is_untouched = True
        self._savepoints.clear()

    def mark(self) -> Mark:
        """State at the begin of a block that may be undone as a whole; see `leave`."""
        return Mark(self.text, len(self._savepoints))

    def leave(self, mark: Mark, *, undone: bool) -> None:
        """A block has ended, and with it the savepoints within."""
        del self._savepoints[mark.savepoints :]
        if undone:
            self.text = mark.text

    def _return_to(self, savepoint: str) -> None:
        # An unknown one was made before anything was sent, or out of sight.
        position = self._position(savepoint)
        self.text = Unsure.UNKNOWN if position is None else self._savepoints[position][1]
        del self._savepoints[len(self._savepoints) if position is None else position + 1 :]

    def _forget(self, savepoint: str) -> None:
        if (position := self._position(savepoint)) is not None:
            del self._savepoints[position:]

    def _position(self, savepoint: str) -> int | None:
        names = [name for name, _ in self._savepoints]
        return len(names) - 1 - names[::-1].index(savepoint) if savepoint in names else None
