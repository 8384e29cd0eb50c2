"""Messages about the connection: lost, silent, restored, and a saved log that has been read."""

from collections.abc import Callable

from pg_events.text import counted
from pg_events.text.formatting import format_seconds
from pg_events_tui.model.feed import Link
from pg_events_tui.services.database import Database
from pg_events_tui.services.notices import Notices
from pg_events_tui.services.stream import Stream


class ConnectionReports:
    """Reports changes of the connection in the list of messages, and good news in toasts."""

    def __init__(self, notices: Notices, database: Database, stream: Stream, on_read: Callable[[], None]) -> None:
        """`on_read` is called when a saved log has been read to its end."""
        self._notices = notices
        self._database = database
        self._stream = stream
        self._on_read = on_read
        self._was = stream.intake.link
        self._reconnects = 0

    def report(self, link: Link) -> None:
        was, self._was = self._was, link
        if link.state == "down" and was.state != "down":
            self._notices.add(f"{link.trouble}: {link.reason}", "error")
        elif link.state == "silent" and was.state != "silent":
            self._notices.add(link.reason, "error")
        elif link.state == "live" and was.state == "connecting":
            self._notices.add(f"connected to {self._database.name}")
        elif link.state == "saved" and was.state != "saved":
            what = f"{counted(self._stream.store.end, 'event')} read from {self._database.name}"
            words = f"{what}; {link.reason}" if link.reason else what
            self._notices.say(words, "warning" if link.reason else "information")
            self._on_read()
        if link.reconnects != self._reconnects and not link.behind:
            self._reconnects = link.reconnects
            self._notices.say(
                f"reconnected after {format_seconds(link.down_seconds)}; "
                f"{counted(link.caught_up, 'event')} caught up, "
                + ("but some are missing: see the GAP row (is:gap)" if link.gap else "none missed"),
                "warning" if link.gap else "information",
            )
            self._database.load_coverage()
