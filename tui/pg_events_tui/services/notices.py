"""Messages to the user: in toasts, in the list of messages, and to the clipboard."""

from pathlib import Path
from typing import Any, Final

from textual.app import App

from pg_events.text import one_line
from pg_events_tui.dialogs.reading import Reading
from pg_events_tui.model import clipboard
from pg_events_tui.model.clock import Clock
from pg_events_tui.model.eventlog import LETTERS, EventLog
from pg_events_tui.text.lines import HANG, line, span

SEVERITY_ROLES: Final = {"information": "good", "warning": "warning", "error": "bad"}


class Notices:
    """Shows messages and keeps them."""

    def __init__(self, app: App[Any], clock: Clock, copy_path: Path | None = None) -> None:
        self._app = app
        self._clock = clock
        self._copy_path = copy_path or clipboard.default_path()
        self.log = EventLog()

    def say(self, text: str, severity: str = "information") -> None:
        """Show a toast. Its text may have any origin, so it is cleaned and never parsed as markup."""
        self.add(text, severity)
        self._app.notify(one_line(text), severity=severity, markup=False, timeout=6)  # type: ignore[arg-type]

    def say_from_thread(self, text: str, severity: str = "information") -> None:
        self._app.call_from_thread(self.say, text, severity)

    def add(self, text: str, severity: str = "information") -> None:
        """Add a message to the list without a toast."""
        self.log.add(self._clock.now(), severity, one_line(text))

    def show(self) -> None:
        """Show all messages, the newest at the end."""
        lines = [
            line(
                span(f"{one.at.astimezone(self._clock.zone):%H:%M:%S} ", "note"),
                span(f"{LETTERS.get(one.severity, ''):<5}", SEVERITY_ROLES.get(one.severity, "")),
                HANG,
                span(one.text),
            )
            for one in self.log.entries
        ]
        empty = [line(span("nothing happened yet", "note"))]
        self._app.push_screen(Reading(f"Event log: {self.log.added:,} so far", lines or empty, at_end=True))

    def copy(self, what: str, text: str) -> None:
        """Copy the text to the terminal's clipboard if it fits, and to a file, and show the result."""
        data = text.encode("utf-8", "replace")
        size = f"{len(data):,} bytes"
        problem = clipboard.save(self._copy_path, data)
        place = f"file {self._copy_path}" if not problem else f"no file ({problem})"
        if len(data) * 4 / 3 <= clipboard.TERMINAL_BYTES:
            self._app.copy_to_clipboard(data.decode("utf-8"))
            self.say(f"{what}: {size} copied to the clipboard (if the terminal allows it) and to {place}")
        else:
            self.say(f"{what}: {size}, too much for a terminal's clipboard; {place}", "warning")
