"""Moves between screens, and to other databases and saved logs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textual.app import App

from pg_events.event import Record
from pg_events.filter.conditions import qualified_name
from pg_events_tui.dialogs.questions import Ask, Choice, Option, Question
from pg_events_tui.model.places import Place, Places
from pg_events_tui.model.recording import Recorder
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.coverage import CoverageScreen
from pg_events_tui.screens.live import LiveScreen
from pg_events_tui.services.notices import Notices
from pg_events_tui.text.lines import Line, line, span


class Navigation:
    """Knows the opened screens and the other places of the console."""

    def __init__(
        self,
        app: App[Any],
        notices: Notices,
        places: Places,
        recorder: Recorder,
        ask_for_command: Callable[[], None],
    ) -> None:
        self._app = app
        self._notices = notices
        self._recorder = recorder
        self.ask_for_command = ask_for_command
        self.places = places
        self.next_place: Place | None = None
        """Place to open after the app has ended; None is the previous one."""
        self.screens: dict[str, ConsoleScreen] = {}
        """Opened screens by mode."""

    def show_coverage_of(self, record: Record) -> None:
        """Show the table of an event in Coverage."""
        self._app.switch_mode("coverage")
        if isinstance(self._app.screen, CoverageScreen):
            self._app.screen.show_table(qualified_name(record))

    def show_in_live(self, row: int) -> None:
        """Select a row in Live, even if its filter hides it."""
        self._app.switch_mode("live")
        if isinstance(self._app.screen, LiveScreen):
            self._app.screen.call_after_refresh(self._app.screen.go_to, row)

    def filter_live(self, text: str) -> None:
        """Show the events in Live that match a filter."""
        self._app.switch_mode("live")
        if isinstance(self._app.screen, LiveScreen):
            self._app.screen.call_after_refresh(self._app.screen.filter_by, text)

    # ---- other places

    def ask_for_log(self) -> None:
        """Prompt for a saved log, and open it."""

        def problem(text: str) -> str:
            path = Path(text).expanduser()
            return "" if path.is_file() else f"there is no file {text}"

        def answered(path: str | None) -> None:
            if path:
                log = Path(path).expanduser()
                self.leave_for(Place(log=log, words=log.name))

        text = [line(span("A file of listen --output, export, w or W; q leads back here."))]
        self._app.push_screen(Ask("Open a saved log", text, check=problem), answered)

    def ask_for_database(self) -> None:
        """Offer the databases of the settings, and open one."""
        others = self.places.profiles
        if not others:
            message = "no other database is known: name them in PG_EVENTS_PROFILES of your settings"
            self._notices.say(message, "warning")
            return
        here = self.places.here
        options = [
            Option(str(number), place.label, place, note=place.words, why_not="you are here" if place == here else "")
            for number, place in enumerate(others, 1)
        ]

        def chosen(place: Place | None) -> None:
            if place is not None:
                self.leave_for(place)

        self._app.push_screen(Choice("Go to database", options), chosen)

    def leave_for(self, place: Place) -> None:
        """Quit, and open a console for another place."""
        self.next_place = place
        self._app.exit(0)

    # ---- quitting

    def ask_to_quit(self) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._app.exit(0)

        self._app.push_screen(Question(*self._quit_words()), answered)

    def _quit_words(self) -> tuple[str, Sequence[Line], str]:
        if self.places.back is not None:
            return f"Back to {self.places.back.words}?", [line(span("The saved log is closed."))], "go back"
        lines = [line(span("The database is not affected; nothing here is lost there."))]
        if self._recorder.path:
            lines.append(line(span(f"The recording to {self._recorder.path} ends.", "warning")))
        return "Quit?", lines, "quit"
