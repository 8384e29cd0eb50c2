"""Messages of the app: in toasts, in its event log, and to the clipboard."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final

from pg_events.text import one_line
from pg_events_tui.app.quitting import AnywhereApp
from pg_events_tui.dialogs.reading import Reading
from pg_events_tui.model import clipboard
from pg_events_tui.model.eventlog import LETTERS, EventLog
from pg_events_tui.text.lines import HANG, line, span

SEVERITY_ROLES: Final = {"information": "good", "warning": "warning", "error": "bad"}


class WordsApp(AnywhereApp):
    """App that shows messages and keeps them."""

    def __init__(self, clock: Callable[[], datetime], zone: tzinfo | None, copy_path: Path | None) -> None:
        super().__init__()
        self.zone = zone
        self.event_log = EventLog()
        self._clock = clock
        self._copy_path = copy_path or clipboard.default_path()

    def now(self) -> datetime:
        return self._clock()

    def say(self, text: str, severity: str = "information") -> None:
        """Show a toast. Its text may have any origin, so it is cleaned and never parsed as markup."""
        self.event_log.add(self._clock(), severity, one_line(text))
        self.notify(one_line(text), severity=severity, markup=False, timeout=6)  # type: ignore[arg-type]

    def show_event_log(self) -> None:
        """Show messages about the console itself, the newest at the end."""
        entries = self.event_log.entries
        lines = [
            line(
                span(f"{one.at.astimezone(self.zone):%H:%M:%S} ", "note"),
                span(f"{LETTERS.get(one.severity, ''):<5}", SEVERITY_ROLES.get(one.severity, "")),
                HANG,
                span(one.text),
            )
            for one in entries
        ]
        empty = [line(span("nothing happened yet", "note"))]
        self.push_screen(Reading(f"Event log: {self.event_log.added:,} so far", lines or empty, at_end=True))

    def copy(self, what: str, text: str) -> None:
        """Copy the text to the terminal's clipboard if it fits, and to a file, and show the result."""
        data = text.encode("utf-8", "replace")
        size = f"{len(data):,} bytes"
        problem = clipboard.save(self._copy_path, data)
        place = f"file {self._copy_path}" if not problem else f"no file ({problem})"
        if len(data) * 4 / 3 <= clipboard.TERMINAL_BYTES:
            self.copy_to_clipboard(data.decode("utf-8"))
            self.say(f"{what}: {size} copied to the clipboard (if the terminal allows it) and to {place}")
        else:
            self.say(f"{what}: {size}, too much for a terminal's clipboard; {place}", "warning")
