"""Console: one app, five screens, one tick that updates them all."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, tzinfo
from pathlib import Path
from time import monotonic, thread_time
from typing import Any, Final, cast

from textual.app import SystemCommand
from textual.screen import Screen
from textual.worker import Worker

from pg_events.config.settings import Settings
from pg_events.errors import PgEventsError
from pg_events.event import Record
from pg_events.filter.conditions import qualified_name
from pg_events.filter.parser import Filter, chosen
from pg_events.text import clean, counted, one_line
from pg_events.text.formatting import format_seconds
from pg_events_tui.app.command_runner import CommandRunner
from pg_events_tui.app.replaying import ReplayingApp
from pg_events_tui.app.themes import THEMES, default, made_up
from pg_events_tui.commands.table import COMMANDS, Command, parse
from pg_events_tui.dialogs.questions import Ask, Choice, Option, Question
from pg_events_tui.model import state
from pg_events_tui.model.backend import Backend
from pg_events_tui.model.feed import Feed, Intake, Link, Rates
from pg_events_tui.model.places import Place, Places
from pg_events_tui.model.rates import TableRates
from pg_events_tui.model.saved import SavedLog
from pg_events_tui.model.store import Store
from pg_events_tui.model.summary import day
from pg_events_tui.model.view import Mode, View
from pg_events_tui.replay.sources import Origins
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.coverage import PROBLEMS, CoverageScreen
from pg_events_tui.screens.filtered_view import FilteredView
from pg_events_tui.screens.health import HealthScreen
from pg_events_tui.screens.live import LiveScreen
from pg_events_tui.screens.replay import ReplayScreen
from pg_events_tui.screens.schema import SchemaScreen
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.header import Health

TICK_SECONDS: Final = 0.1
MAX_MARKS_KEPT: Final = 1_000
"""Maximum number of marks that are restored the next time."""
SAVE_SECONDS: Final = 20.0
MODES: Final = ("live", "coverage", "schema", "replay", "health")


class ConsoleApp(ReplayingApp):
    """App with the state that the screens share: store, intake, coverage, attempts."""

    TITLE = "pg_events"
    CSS_PATH = "../console.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]  # noqa: RUF012 - declared as in Textual
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-high")]  # noqa: RUF012

    def __init__(
        self,
        feed: Feed | Path,
        backend: Backend,
        settings: Settings,
        *,
        store: Store | None = None,
        read_only: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        zone: tzinfo | None = None,
        copy_path: Path | None = None,
        start: str = "",
        places: Places | None = None,
        keymap: Mapping[str, str] | None = None,
        state_path: Path | None = None,
        message: str = "",
    ) -> None:
        """`feed` may be the path of a saved log. `zone` is the time zone of the display; None is local time.

        `settings` have the callbacks of a replay, and the database for the coverage of tables. `start` is the first screen, empty
        for the last one; `state_path` stores the state, None stores nothing. `message` is shown at the start. Raises
        `UsageError` if a saved log cannot be opened or a key is unknown.
        """
        store = Store() if store is None else store
        origins = Origins(settings, store, feed if isinstance(feed, Path) else None)
        super().__init__(store, origins, backend, clock, zone, copy_path)
        self.places = places or Places()
        self.read_only = self._must_be_read_only = read_only or self.places.here.read_only
        if isinstance(feed, Path):
            self.intake: Intake | SavedLog = SavedLog(feed, self.store)
        else:
            self.intake = Intake(feed, self.store, now=lambda: clock().timestamp(), on_records=self.recorder.take)
        self.rates = TableRates()
        self.next_place: Place | None = None
        """Place to open after the app has ended; None is the previous one."""
        self.keys = keys.remapped(keymap or {})
        self.typed_actions = keys.typed_anywhere(self.keys)
        self._rates = Rates()
        self._counted = 0
        self._tick_seconds: deque[float] = deque(maxlen=300)
        self._was: Link = self.intake.link
        self._told_reconnects = 0
        self._state_path = state_path
        self.remembered, problem = state.load(state_path) if state_path else (state.NOTHING, "")
        self._saved: Mapping[str, Any] = self.remembered
        self._marks_to_find = state.numbers(self.remembered, "marks")
        self._start = start or self._remembered_screen()
        self._messages = [text for text in (message, problem) if text]
        for theme in THEMES:
            self.register_theme(theme)
        chosen = state.text(self.remembered, "theme")
        self.theme = chosen if chosen in self.themes else default(self.themes)
        self.set_keymap(dict(keymap or {}))
        self.commands = CommandRunner(self, self.remembered)

    @property
    def themes(self) -> list[str]:
        """Themes that are readable in this terminal."""
        return sorted(self.available_themes)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Override Textual's, because without these variables themes of others would crash the console."""
        return made_up(self.current_theme)

    def _remembered_screen(self) -> str:
        found = state.text(self.remembered, "screen")
        return found if found in MODES else "live"

    # ---- life cycle

    def on_mount(self) -> None:
        made: dict[str, Callable[[], ConsoleScreen]] = {
            "live": lambda: LiveScreen(self.live),
            "coverage": CoverageScreen,
            "schema": lambda: SchemaScreen(self.schema),
            "replay": ReplayScreen,
            "health": HealthScreen,
        }
        for mode, make in made.items():
            self.add_mode(mode, cast("Callable[[], Screen[Any]]", make))  # pyright: ignore[reportUnknownMemberType]
        self.switch_mode(self._start)
        self.intake.start()
        if not self.backend.absent:
            self.load_coverage()
            self.load_health()
        for text in self._messages:
            self.say(text, "warning")
        self.set_interval(TICK_SECONDS, self.tick)
        if self._state_path:
            self.set_interval(SAVE_SECONDS, self.save_state)

    def stop(self) -> None:
        """Stop the reader, kill running processes, and release the disk space, after the app has ended."""
        if self.replay is not None:
            self.replay.close()
            self.replay.wait(3.0)
        with suppress(PgEventsError):  # the disk is full: it is too late for a message
            self.recorder.stop()
        if self.intake.stop():
            self.store.close()

    # ---- stored state

    def exit(self, *given: Any, **named: Any) -> None:
        """Override Textual's to store the state while the screens still exist."""
        self.save_state()
        super().exit(*given, **named)

    def save_state(self) -> None:
        """Store filters, columns, marks and the screen, if they have changed."""
        if self._state_path is None:
            return
        values: dict[str, Any] = dict(self.remembered)
        values |= {mode: screen.to_remember() for mode, screen in self.known_screens.items()}
        values |= {"screen": self.current_mode, "theme": self.theme, "marks": self._marked_ids()}
        values |= {"commands": self.commands.history, "filters": self.commands.filters}
        if values != self._saved:
            self._saved = values
            problem = state.save(self._state_path, values)
            if problem and self.is_running:
                self.say(problem, "warning")

    def _marked_ids(self) -> list[int]:
        found = list(self._marks_to_find)
        for row in sorted(self.live.marks)[-MAX_MARKS_KEPT:]:
            with suppress(IndexError):
                found.append(self.store.id(row))
        return found[-MAX_MARKS_KEPT:]

    def _find_marks(self, link: Link) -> None:
        """Restore the marks once the past events are loaded."""
        if self._marks_to_find and link.state in ("live", "saved"):
            rows = [self.store.row_of_id(number) for number in self._marks_to_find]
            self._marks_to_find = []
            self.live.marks |= {row for row in rows if row is not None}

    def tick(self) -> None:
        """Update everything that changes, ten times a second."""
        if not self.is_running:  # The screens are being removed.
            return
        began = thread_time()
        self._move()
        self._tick_seconds.append(thread_time() - began)

    def _move(self) -> None:
        now = self._clock()
        link = self.link
        self._rates.add(link.since_start, now.timestamp())
        self._count_tables(link, now.timestamp())
        self._find_marks(link)
        self._tell_about(link)
        if self.recorder.problem:
            self.say(f"the recording ended: {self.recorder.problem}", "error")
            self.recorder.problem = ""
        health = self.health(now, link)
        others = [view for view in (self.live, self.schema) if not self._is_shown(view)]
        for view in others:
            view.sync(0.002)
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen) and screen.ready:
                screen.tick(health)

    def _count_tables(self, link: Link, now: float) -> None:
        """Count the events by table that arrived since the last tick."""
        if link.state in ("reading", "saved"):
            return
        end = self.store.end
        begin = max(self._counted, self.link.past)  # read last, so that it covers all past events that have arrived
        if end > begin:
            self.rates.add(self.store.table_counts(begin, end), now)
        self._counted = end

    def _tell_about(self, link: Link) -> None:
        """Report changes of the link in the event log, and good news in toasts."""
        was, self._was = self._was, link
        if link.state == "down" and was.state != "down":
            self.event_log.add(self._clock(), "error", one_line(f"{link.trouble}: {link.reason}"))
        elif link.state == "silent" and was.state != "silent":
            self.event_log.add(self._clock(), "error", one_line(link.reason))
        elif link.state == "live" and was.state == "connecting":
            self.event_log.add(self._clock(), "information", f"connected to {self.backend.name}")
        elif link.state == "saved" and was.state != "saved":
            what = f"{counted(self.store.end, 'event')} read from {self.backend.name}"
            self.say(f"{what}; {link.reason}" if link.reason else what, "warning" if link.reason else "information")
            for screen in self.known_screens.values():
                if isinstance(screen, FilteredView):
                    screen.read_filter_again()
        if link.reconnects != self._told_reconnects and not link.behind:
            self._told_reconnects = link.reconnects
            self.say(
                f"reconnected after {format_seconds(link.down_seconds)}; "
                f"{counted(link.caught_up, 'event')} caught up, "
                + ("but some are missing: see the GAP row (is:gap)" if link.gap else "none missed"),
                "warning" if link.gap else "information",
            )
            self.load_coverage()

    def _is_shown(self, view: View) -> bool:
        return any(getattr(screen, "view", None) is view for screen in self.screen_stack)

    def lags(self) -> Sequence[float]:
        """Recent delays of events."""
        return tuple(self.intake.lags.copy()) if isinstance(self.intake, Intake) else ()

    def tick_seconds(self) -> Sequence[float]:
        """Durations of the last ticks in the drawing thread."""
        return tuple(self._tick_seconds)

    @property
    def link(self) -> Link:
        return self.intake.link.seen(monotonic())

    def health_now(self) -> Health:
        """Return the contents of the header."""
        return self.health(self._clock(), self.link)

    def health(self, now: datetime, link: Link) -> Health:
        tables = self.coverage[0]
        return Health(
            database=clean(self.backend.name),
            link=link,
            now=now,
            paused=self.live.mode is Mode.PAUSED,
            read_only=self.read_only,
            rate=self._rates.per_second(now.timestamp()),
            rates=self._rates.series(now.timestamp(), 8),
            kept=self.store.event_count,
            kept_bytes=self.store.size_bytes,
            problems=None if tables is None else sum(table.state in PROBLEMS for table in tables),
            running=self.replay is not None and self.replay.is_playing,
            label=self.places.here.label,
            colour=self.places.here.colour,
            recorded_bytes=self.recorder.size_bytes if self.recorder.path else None,
            failed=sum(one.failed for one in told.consumers) if (told := self.told[0]) else 0,
        )

    def read_filter(self, text: str) -> Filter:
        """Parse a filter. In a saved log, `since:5m` counts from its newest event. Raises `FilterError`."""
        return chosen(text, now=self.intake.ends_at if isinstance(self.intake, SavedLog) else None)

    def today(self) -> date:
        """Return the day that is omitted in times; in a saved log that of its newest event."""
        if isinstance(self.intake, SavedLog) and len(self.store):
            return day(self.store.at(self.store.end - 1), self.zone)
        return self._clock().astimezone(self.zone).date()

    def set_read_only(self, on: bool) -> None:
        """Allow or forbid changes to the database; always forbidden if the console was started read-only."""
        if self._must_be_read_only and not on:
            self.say("this console was started read-only, and stays so", "warning")
            return
        self.read_only = on
        self.say("read-only: nothing is changed from here" if on else "changes are allowed again")

    # ---- other places

    def ask_for_log(self) -> None:
        def problem(text: str) -> str:
            path = Path(text).expanduser()
            return "" if path.is_file() else f"there is no file {text}"

        def answered(path: str | None) -> None:
            if path:
                log = Path(path).expanduser()
                self.leave_for(Place(log=log, words=log.name))

        text = [line(span("A file of listen --output, export, w or W; q leads back here."))]
        self.push_screen(Ask("Open a saved log", text, check=problem), answered)

    def ask_for_database(self) -> None:
        others = self.places.profiles
        if not others:
            self.say("no other database is known: name them in PG_EVENTS_PROFILES of your settings", "warning")
            return
        here = self.places.here
        options = [
            Option(str(number), place.label, place, note=place.words, why_not="you are here" if place == here else "")
            for number, place in enumerate(others, 1)
        ]

        def chosen(place: Place | None) -> None:
            if place is not None:
                self.leave_for(place)

        self.push_screen(Choice("Go to database", options), chosen)

    def leave_for(self, place: Place) -> None:
        """Quit, and open a console for another place."""
        self.next_place = place
        self.exit(0)

    # ---- navigation

    def show_coverage_of(self, record: Record) -> None:
        """Show the table of an event in Coverage."""
        self.switch_mode("coverage")
        if isinstance(self.screen, CoverageScreen):
            self.screen.show_table(qualified_name(record))

    def show_in_live(self, row: int) -> None:
        """Select a row in Live, even if its filter hides it."""
        self.switch_mode("live")
        if isinstance(self.screen, LiveScreen):
            self.screen.call_after_refresh(self.screen.go_to, row)

    def filter_live(self, text: str) -> None:
        self.switch_mode("live")
        if isinstance(self.screen, LiveScreen):
            self.screen.call_after_refresh(self.screen.filter_by, text)

    # ---- quitting

    def ask_to_quit(self) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.exit(0)

        self.push_screen(Question(*self._quit_words()), answered)

    def _quit_words(self) -> tuple[str, Sequence[Line], str]:
        if self.places.back is not None:
            return f"Back to {self.places.back.words}?", [line(span("The saved log is closed."))], "go back"
        lines = [line(span("The database is not affected; nothing here is lost there."))]
        if self.recorder.path:
            lines.append(line(span(f"The recording to {self.recorder.path} ends.", "warning")))
        return "Quit?", lines, "quit"

    # ---- the palette

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the keys of the screen by name, and Textual's commands for themes and screenshots."""
        if isinstance(screen, ConsoleScreen):
            for key in keys.on_screen(screen.MODE, self.keys):
                if key.keys and not key.widget and key.action and key.action != "app.command_palette":
                    yield SystemCommand(f"{key.label}  ({key.shown})", key.help, self._runner(screen, key.action))
            for command in COMMANDS:
                yield SystemCommand(f":{command.usage}", command.help, self._teller(command))
        for command in super().get_system_commands(screen):  # pyright: ignore[reportUnknownMemberType]
            if command.title in ("Theme", "Screenshot"):
                yield command

    def _runner(self, screen: Screen[Any], action: str) -> Callable[[], Worker[Any]]:
        async def run() -> None:
            await screen.run_action(action)

        return lambda: self.run_worker(run(), exit_on_error=False)

    def _teller(self, command: Command) -> Callable[[], object]:
        """Return a function that runs the command, or prompts for its arguments."""
        if command.needs:
            return lambda: self.commands.ask(f"{command.name} ")
        return lambda: self.run_worker(self.commands.run(parse(command.name)), exit_on_error=False)
