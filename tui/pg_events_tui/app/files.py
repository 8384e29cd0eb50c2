"""Files that the app writes, and recording."""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from textual import work

from pg_events.errors import PgEventsError
from pg_events.files.journal import Header
from pg_events.filter.parser import Filter
from pg_events.text import counted
from pg_events_tui.app.database_tasks import AskingApp
from pg_events_tui.dialogs.questions import Ask
from pg_events_tui.model import recording
from pg_events_tui.model.backend import Backend, problem_line
from pg_events_tui.model.recording import Recorder
from pg_events_tui.model.store import Store
from pg_events_tui.text.lines import line, span


class FilesApp(AskingApp):
    """App that writes its events to files."""

    def __init__(
        self,
        store: Store,
        backend: Backend,
        clock: Callable[[], datetime],
        zone: tzinfo | None,
        copy_path: Path | None,
    ) -> None:
        super().__init__(backend, clock, zone, copy_path)
        self.store = store
        self.recorder = Recorder()

    def toggle_recording(self) -> None:
        """Start or stop the recording of new events."""
        if self.backend.absent:
            self.say("nothing arrives here to be recorded: this is a saved log", "warning")
            return
        path = self.recorder.path
        if path is not None:
            try:
                count = self.recorder.stop()
            except PgEventsError as error:
                self.say(str(error), "error")
            else:
                self.say(f"recorded {counted(count, 'event')} to {path}")
            return
        text = [
            line(span("Every event that arrives from now on goes to this file, whatever the filter shows.")),
            line(
                span(
                    "It can hold what nobody else should see: only you can read it. A name in .gz is compressed.",
                    "note",
                )
            ),
        ]

        def answered(path: str | None) -> None:
            if path:
                self.start_recording(path)

        self.push_screen(
            Ask("Record to", text, value=self.file_name("jsonl"), check=recording.new_file_problem), answered
        )

    def file_name(self, ending: str) -> str:
        """Return an unused file name."""
        database = "".join(one if one.isalnum() else "-" for one in self.backend.name.partition("@")[0]) or "events"
        return f"{database}-{self._clock().astimezone(self.zone):%Y%m%d-%H%M%S}.{ending}"

    @work(thread=True, exclusive=True, group="record", exit_on_error=False)
    def start_recording(self, path: str, wanted: Filter | None = None) -> None:
        """Start recording new events that match, and show the result."""
        if self.backend.absent or self.recorder.path is not None:
            why = self.backend.absent or f"{self.recorder.path} is being recorded; W ends it"
            self.call_from_thread(self.say, why, "warning")
            return
        try:
            self.recorder.start(path, self.backend.journal_header(), wanted)
        except Exception as error:  # noqa: BLE001
            self.call_from_thread(self.say, problem_line(error), "error")
        else:
            self.call_from_thread(self.say, f"recording to {path}; W ends it")

    def ask_to_write(self, what: str, rows: Sequence[int]) -> None:
        """Prompt for a file name, and write the rows to it."""
        text = [
            line(span(f"{what}: {counted(len(rows), 'event')}. The name's ending tells the form:")),
            line(
                span(" ".join(recording.KINDS), "strong"), span("  (jsonl can be opened with o, and replayed)", "note")
            ),
        ]

        def answered(path: str | None) -> None:
            if path:
                self.write(rows, path)

        self.push_screen(
            Ask("Write to", text, value=self.file_name("jsonl"), check=recording.new_file_problem), answered
        )

    @work(thread=True, group="write", exit_on_error=False)
    def write(self, rows: Sequence[int], path: str) -> None:
        """Write the rows to a file in the format of its name, and show the result."""
        try:
            count = recording.write(self.store, rows, path, self._header())
        except Exception as error:  # noqa: BLE001
            self.call_from_thread(self.say, problem_line(error), "error")
        else:
            self.call_from_thread(self.say, f"{counted(count, 'event')} written to {path}")

    def _header(self) -> Header:
        """Return the header of a file.

        Blocks. Without the database, only its name is known, so that events can still be saved.
        """
        try:
            return self.backend.journal_header()
        except PgEventsError:
            return Header(self.backend.name.partition("@")[0])

    @work(thread=True, group="write", exit_on_error=False)
    def write_text(self, path: str, text: str) -> None:
        """Write a new file with access for the user only."""
        problem = recording.write_text(path, text)
        self.call_from_thread(self.say, problem or f"written to {path}", "error" if problem else "information")
