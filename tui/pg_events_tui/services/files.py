"""Files that the console writes, and recording."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from textual.app import App

from pg_events.errors import PgEventsError
from pg_events.files.journal import Header
from pg_events.filter.parser import Filter
from pg_events.text import counted
from pg_events_tui.dialogs.questions import Ask
from pg_events_tui.model import recording
from pg_events_tui.model.backend import problem_line
from pg_events_tui.model.clock import Clock
from pg_events_tui.model.recording import Recorder
from pg_events_tui.model.store import Store
from pg_events_tui.services.database import Database
from pg_events_tui.services.notices import Notices
from pg_events_tui.text.lines import line, span


class Files:
    """Writes events and other texts to files, and records those that arrive."""

    def __init__(
        self, app: App[Any], notices: Notices, database: Database, store: Store, clock: Clock, recorder: Recorder
    ) -> None:
        self._app = app
        self._notices = notices
        self._database = database
        self._store = store
        self._clock = clock
        self.recorder = recorder

    def toggle_recording(self) -> None:
        """Start or stop the recording of new events."""
        if self._database.absent:
            self._notices.say("nothing arrives here to be recorded: this is a saved log", "warning")
            return
        path = self.recorder.path
        if path is not None:
            try:
                count = self.recorder.stop()
            except PgEventsError as error:
                self._notices.say(str(error), "error")
            else:
                self._notices.say(f"recorded {counted(count, 'event')} to {path}")
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
        self._ask("Record to", text, self.start_recording)

    def file_name(self, ending: str) -> str:
        """Return an unused file name."""
        database = self._database.name.partition("@")[0]
        words = "".join(one if one.isalnum() else "-" for one in database) or "events"
        return f"{words}-{self._clock.now().astimezone(self._clock.zone):%Y%m%d-%H%M%S}.{ending}"

    def start_recording(self, path: str, wanted: Filter | None = None) -> None:
        """Start recording new events that match, and show the result."""
        self._run(partial(self._start_recording, path, wanted), "record", exclusive=True)

    def report(self) -> None:
        """Report a recording that ended by itself."""
        if self.recorder.problem:
            self._notices.say(f"the recording ended: {self.recorder.problem}", "error")
            self.recorder.problem = ""

    def ask_to_write(self, what: str, rows: Sequence[int]) -> None:
        """Prompt for a file name, and write the rows to it."""
        text = [
            line(span(f"{what}: {counted(len(rows), 'event')}. The name's ending tells the form:")),
            line(
                span(" ".join(recording.KINDS), "strong"), span("  (jsonl can be opened with o, and replayed)", "note")
            ),
        ]
        self._ask("Write to", text, partial(self.write, rows))

    def write(self, rows: Sequence[int], path: str) -> None:
        """Write the rows to a file in the format of its name, and show the result."""
        self._run(partial(self._write, rows, path), "write")

    def write_text(self, path: str, text: str) -> None:
        """Write a new file with access for the user only."""
        self._run(partial(self._write_text, path, text), "write")

    def _ask(self, title: str, text: Sequence[Any], then: Callable[[str], None]) -> None:
        def answered(path: str | None) -> None:
            if path:
                then(path)

        self._app.push_screen(
            Ask(title, text, value=self.file_name("jsonl"), check=recording.new_file_problem), answered
        )

    def _run(self, work: Callable[[], None], group: str, *, exclusive: bool = False) -> None:
        self._app.run_worker(work, thread=True, group=group, exclusive=exclusive, exit_on_error=False)

    def _start_recording(self, path: str, wanted: Filter | None) -> None:
        if self._database.absent or self.recorder.path is not None:
            why = self._database.absent or f"{self.recorder.path} is being recorded; W ends it"
            self._notices.say_from_thread(why, "warning")
            return
        try:
            self.recorder.start(path, self._database.backend.journal_header(), wanted)
        except Exception as error:  # noqa: BLE001
            self._notices.say_from_thread(problem_line(error), "error")
        else:
            self._notices.say_from_thread(f"recording to {path}; W ends it")

    def _write(self, rows: Sequence[int], path: str) -> None:
        try:
            count = recording.write(self._store, rows, path, self._header())
        except Exception as error:  # noqa: BLE001
            self._notices.say_from_thread(problem_line(error), "error")
        else:
            self._notices.say_from_thread(f"{counted(count, 'event')} written to {path}")

    def _header(self) -> Header:
        """Return the header of a file.

        Blocks. Without the database, only its name is known, so that events can still be saved.
        """
        try:
            return self._database.backend.journal_header()
        except PgEventsError:
            return Header(self._database.name.partition("@")[0])

    def _write_text(self, path: str, text: str) -> None:
        problem = recording.write_text(path, text)
        self._notices.say_from_thread(problem or f"written to {path}", "error" if problem else "information")
