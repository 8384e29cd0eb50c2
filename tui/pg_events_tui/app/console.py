"""Console: one app, five screens, one tick that updates them all."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from time import thread_time
from typing import Any, ClassVar, Final, cast

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets import Input

from pg_events.config.settings import Settings
from pg_events.errors import PgEventsError
from pg_events.text import clean
from pg_events_tui.app import themes
from pg_events_tui.app.command_runner import CommandRunner
from pg_events_tui.app.connection_reports import ConnectionReports
from pg_events_tui.app.keyboard import Keyboard
from pg_events_tui.app.memory import Memory
from pg_events_tui.app.navigation import Navigation
from pg_events_tui.app.palette import Palettes
from pg_events_tui.app.themes import THEMES
from pg_events_tui.model import state
from pg_events_tui.model.backend import Backend
from pg_events_tui.model.clock import Clock
from pg_events_tui.model.feed import Feed, Link
from pg_events_tui.model.places import Places
from pg_events_tui.model.recording import Recorder
from pg_events_tui.model.store import Store
from pg_events_tui.model.view import Mode, View
from pg_events_tui.replay.sources import Origins
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.coverage import PROBLEMS, CoverageScreen
from pg_events_tui.screens.events import EventsScreen
from pg_events_tui.screens.health import HealthScreen
from pg_events_tui.screens.live import LiveScreen
from pg_events_tui.screens.replay import ReplayScreen
from pg_events_tui.screens.schema import SchemaScreen
from pg_events_tui.services.database import Database
from pg_events_tui.services.files import Files
from pg_events_tui.services.notices import Notices
from pg_events_tui.services.replays import Replays
from pg_events_tui.services.stream import Stream
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.header import Health

TICK_SECONDS: Final = 0.1
SAVE_SECONDS: Final = 20.0
MODES: Final = ("live", "coverage", "schema", "replay", "health")


class ConsoleApp(App[int], inherit_bindings=False):
    """App that owns the parts of the console; each screen sees it as its `Host`.

    Its keys for quitting and for the palette come from the table, not from Textual.
    """

    TITLE = "pg_events"
    CSS_PATH = "../console.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]  # noqa: RUF012 - declared as in Textual
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings_anywhere(),
        Binding("ctrl+c", "help_quit", show=False, system=True),
    ]

    no_color = False  # Textual reads the themes before it sets this

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
        super().__init__()
        store = Store() if store is None else store
        places = places or Places()
        recorder = Recorder()
        self.keyboard = Keyboard(self, super().on_event)
        self.clock = Clock(clock, zone)
        self.notices = Notices(self, self.clock, copy_path)
        self.stream = Stream(feed, store, self.clock, recorder.take)
        self.database = Database(self, self.notices, backend, read_only=read_only or places.here.read_only)
        self.files = Files(self, self.notices, self.database, store, self.clock, recorder)
        origins = Origins(settings, store, feed if isinstance(feed, Path) else None)
        self.replays = Replays(self, self.notices, self.database, self.stream, origins)
        self.navigation = Navigation(self, self.notices, places, recorder, lambda: self.commands.ask())
        self.memory = Memory(state_path, self.stream)
        self.keys = keys.remapped(keymap or {})
        self.commands = CommandRunner(self, self, self.navigation, self.memory.values)
        self.palettes = Palettes(self, self.commands, self.keys)
        self._connection_reports = ConnectionReports(self.notices, self.database, self.stream, self._read_filters_again)
        self._typed_actions = keys.typed_anywhere(self.keys)
        self._tick_seconds: deque[float] = deque(maxlen=300)
        self._start = start or self._remembered_screen()
        self._messages = [text for text in (message, self.memory.problem) if text]
        for theme in THEMES:
            self.register_theme(theme)
        chosen = state.text(self.memory.values, "theme")
        self.theme = chosen if chosen in self.themes else themes.default(self.themes)
        self.set_keymap(dict(keymap or {}))

    @property
    def themes(self) -> list[str]:
        """Themes that are readable in this terminal."""
        return sorted(self.available_themes)

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Override Textual's, because not all are readable in every terminal."""
        return themes.readable(super().available_themes, colours=not self.no_color)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Override Textual's, because without these variables themes of others would crash the console."""
        return themes.made_up(self.current_theme)

    def _remembered_screen(self) -> str:
        found = state.text(self.memory.values, "screen")
        return found if found in MODES else "live"

    def remembered(self, mode: str) -> Mapping[str, Any]:
        """Return the state of a screen when the console was left, as values from JSON."""
        return state.part(self.memory.values, mode)

    # ---- life cycle

    def on_mount(self) -> None:
        made: dict[str, Callable[[], ConsoleScreen]] = {
            "live": lambda: LiveScreen(self, self.stream.live),
            "coverage": lambda: CoverageScreen(self),
            "schema": lambda: SchemaScreen(self, self.stream.schema),
            "replay": lambda: ReplayScreen(self),
            "health": lambda: HealthScreen(self),
        }
        for mode, make in made.items():
            self.add_mode(mode, self._opener(mode, make))  # pyright: ignore[reportUnknownMemberType]
        self.switch_mode(self._start)
        self.stream.intake.start()
        if not self.database.absent:
            self.database.load_coverage()
            self.database.load_health()
        for text in self._messages:
            self.notices.say(text, "warning")
        self.set_interval(TICK_SECONDS, self.tick)
        if self.memory.path:
            self.set_interval(SAVE_SECONDS, self.save_state)

    def _opener(self, mode: str, make: Callable[[], ConsoleScreen]) -> Callable[[], Screen[Any]]:
        def opened() -> Screen[Any]:
            screen = self.navigation.screens[mode] = make()
            return cast("Screen[Any]", screen)

        return opened

    def stop(self) -> None:
        """Stop the reader, kill running processes, and release the disk space, after the app has ended."""
        self.replays.stop()
        with suppress(PgEventsError):  # the disk is full: it is too late for a message
            self.files.recorder.stop()
        if self.stream.intake.stop():
            self.stream.store.close()

    def exit(self, *given: Any, **named: Any) -> None:
        """Override Textual's to store the state while the screens still exist."""
        self.save_state()
        super().exit(*given, **named)

    def save_state(self) -> None:
        """Store filters, columns, marks and the screen, if they have changed."""
        screens = self.navigation.screens
        values: dict[str, Any] = {mode: screen.to_remember() for mode, screen in screens.items() if screen.ready}
        values |= {"screen": self.current_mode, "theme": self.theme}
        values |= {"commands": self.commands.history, "filters": self.commands.filters}
        self.memory.save(values, self._report_unsaved)

    def _report_unsaved(self, problem: str) -> None:
        if self.is_running:
            self.notices.say(problem, "warning")

    # ---- the tick

    def tick(self) -> None:
        """Update everything that changes, ten times a second."""
        if not self.is_running:  # The screens are being removed.
            return
        began = thread_time()
        self._move()
        self._tick_seconds.append(thread_time() - began)

    def _move(self) -> None:
        link = self.stream.link
        self.stream.count(link)
        self.memory.restore_marks(link)
        self._connection_reports.report(link)
        self.files.report()
        header = self.header(link)
        others = [view for view in (self.stream.live, self.stream.schema) if not self._is_shown(view)]
        for view in others:
            view.sync(0.002)
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen) and screen.ready:
                screen.tick(header)

    def _is_shown(self, view: View) -> bool:
        return any(isinstance(screen, EventsScreen) and screen.view is view for screen in self.screen_stack)

    def _read_filters_again(self) -> None:
        """Parse the filters again, because their reference time (the end of a saved log) has changed."""
        for screen in self.navigation.screens.values():
            if isinstance(screen, EventsScreen) and screen.ready:
                screen.read_filter_again()

    def tick_seconds(self) -> Sequence[float]:
        """Return the durations of the last ticks in the drawing thread."""
        return tuple(self._tick_seconds)

    def header(self, link: Link | None = None) -> Health:
        """Return the current contents of the header; `link` is the state of the connection if it is known."""
        tables, health, store = self.database.coverage[0], self.database.health[0], self.stream.store
        here, recorder = self.navigation.places.here, self.files.recorder
        return Health(
            database=clean(self.database.name),
            link=link or self.stream.link,
            now=self.clock.now(),
            paused=self.stream.live.mode is Mode.PAUSED,
            read_only=self.database.read_only,
            rate=self.stream.per_second(),
            rates=self.stream.per_second_series(8),
            kept=store.event_count,
            kept_bytes=store.size_bytes,
            problems=None if tables is None else sum(table.state in PROBLEMS for table in tables),
            running=self.replays.is_playing,
            label=here.label,
            colour=here.colour,
            recorded_bytes=recorder.size_bytes if recorder.path else None,
            failed=sum(consumer.failed for consumer in health.consumers) if health else 0,
        )

    # ---- Textual's hooks

    async def on_event(self, event: events.Event) -> None:
        await self.keyboard.take(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Override Textual's: in a field, keys of these actions type a letter."""
        if action in self._typed_actions and isinstance(self.focused, Input):
            return False
        return super().check_action(action, parameters)

    async def action_quit(self) -> None:
        self.exit(0)

    def action_command_palette(self) -> None:
        self.palettes.open()

    def search_themes(self) -> None:
        self.palettes.open_themes()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the keys of the screen by name, the commands, and Textual's own for themes and screenshots."""
        yield from self.palettes.entries(screen)
        for command in super().get_system_commands(screen):  # pyright: ignore[reportUnknownMemberType]
            if command.title in ("Theme", "Screenshot"):
                yield command
