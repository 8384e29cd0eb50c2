"""State of the console that is restored the next time: filters, columns, marks, commands and the screen."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pg_events_tui.model import state
from pg_events_tui.model.feed import Link
from pg_events_tui.services.stream import Stream

MAX_MARKS_KEPT: Final = 1_000
"""Maximum number of marks that are restored the next time."""


class Memory:
    """Loads the state when the console starts, and stores it when it has changed."""

    def __init__(self, path: Path | None, stream: Stream) -> None:
        """Without a path, nothing is restored or stored."""
        self.path = path
        self._stream = stream
        self.values, self.problem = state.load(path) if path else (state.NOTHING, "")
        """Restored values, and the reason if they could not be read."""
        self._saved: Mapping[str, Any] = self.values
        self._marks_to_find = state.numbers(self.values, "marks")

    def save(self, values: Mapping[str, Any], report: Callable[[str], None]) -> None:
        """Store the values and the marks, if they have changed; `report` gets the reason if that fails."""
        if self.path is None:
            return
        found = {**self.values, **values, "marks": self._marked_ids()}
        if found != self._saved:
            self._saved = found
            problem = state.save(self.path, found)
            if problem:
                report(problem)

    def restore_marks(self, link: Link) -> None:
        """Restore the marks once the past events are loaded."""
        if self._marks_to_find and link.state in ("live", "saved"):
            rows = [self._stream.store.row_of_id(number) for number in self._marks_to_find]
            self._marks_to_find = []
            self._stream.live.marks |= {row for row in rows if row is not None}

    def _marked_ids(self) -> list[int]:
        found = list(self._marks_to_find)
        for row in sorted(self._stream.live.marks)[-MAX_MARKS_KEPT:]:
            with suppress(IndexError):
                found.append(self._stream.store.id(row))
        return found[-MAX_MARKS_KEPT:]
