"""The console: one app, four screens, one tick that moves them all."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from time import monotonic
from typing import Any, Final, cast
from uuid import uuid4

from textual import work
from textual.app import App, SystemCommand
from textual.screen import Screen
from textual.worker import Worker

from pg_events.catalog import Table
from pg_events.event import Record
from pg_events.text import clean, counted, one_line
from pg_events_tui import clipboard, describe, keys, replay
from pg_events_tui.backend import Backend, problem_line
from pg_events_tui.feed import Feed, Intake, Link, Rates
from pg_events_tui.lines import line, seconds_words, span
from pg_events_tui.replay import Attempt, Target
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.coverage import PROBLEMS, CoverageScreen
from pg_events_tui.screens.dialogs import Question
from pg_events_tui.screens.events import LiveScreen, SchemaScreen
from pg_events_tui.screens.replay import ReplayScreen
from pg_events_tui.store import Store
from pg_events_tui.themes import THEMES
from pg_events_tui.view import Mode, View
from pg_events_tui.widgets.header import Health

TICK_SECONDS: Final = 0.1
MAX_ATTEMPTS_KEPT: Final = 200

FindTarget = Callable[[str], Target]
"""The callback for events of a kind; raises `NoTarget`."""


class ConsoleApp(App[int]):
    """Everything the screens share: store, intake, coverage, attempts."""

    TITLE = "pg_events"
    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]  # noqa: RUF012 - as Textual declares it

    def __init__(
        self,
        feed: Feed,
        backend: Backend,
        find_target: FindTarget,
        *,
        store: Store | None = None,
        read_only: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        zone: tzinfo | None = None,
        copy_path: Path | None = None,
        replay_seconds: float = replay.TIMEOUT_SECONDS,
        start: str = "live",
    ) -> None:
        """`zone` is the time zone of what is shown; None is the local one."""
        super().__init__()
        self.backend = backend
        self.read_only = read_only
        self.store = Store() if store is None else store
        self.intake = Intake(feed, self.store, now=lambda: clock().timestamp())
        self.zone = zone
        self.attempts: list[Attempt] = []
        self.coverage: tuple[Sequence[Table] | None, str] = (None, "")
        """The tables, None while not known, and why they could not be asked for."""
        self._find_target = find_target
        self._clock = clock
        self._copy_path = copy_path or clipboard.default_path()
        self._replay_seconds = replay_seconds
        self._start = start
        self._rates = Rates()
        self._reconnects = 0
        self.live = View(self.store)
        self.schema = View(self.store, newest_first=True)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name

    # ---- life

    def on_mount(self) -> None:
        for mode, make in (
            ("live", lambda: LiveScreen(self.live)),
            ("coverage", CoverageScreen),
            ("schema", lambda: SchemaScreen(self.schema)),
            ("replay", ReplayScreen),
        ):
            self.add_mode(mode, cast("Callable[[], Screen[Any]]", make))  # pyright: ignore[reportUnknownMemberType]
        self.switch_mode(self._start)
        self.intake.start()
        self.load_coverage()
        self.set_interval(TICK_SECONDS, self.tick)

    def stop(self) -> None:
        """After the app has ended: stop the reader, kill what runs, give the disk space back."""
        for attempt in self.attempts:
            replay.kill(attempt)
        if self.intake.stop():
            self.store.close()

    def tick(self) -> None:
        """Ten times a second: everything that moves, moves here."""
        if not self.is_running:  # The screens are being taken down.
            return
        now = self._clock()
        link = self.link
        self._rates.add(link.received, now.timestamp())
        if link.reconnects != self._reconnects and not link.behind:
            self._reconnects = link.reconnects
            self.say(
                f"reconnected after {seconds_words(link.down_seconds)}; "
                f"{counted(link.caught_up, 'event')} caught up, none missed"
            )
            self.load_coverage()
        health = self.health(now, link)
        others = [view for view in (self.live, self.schema) if not self._is_shown(view)]
        for view in others:
            view.sync(0.002)
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen) and screen.ready:
                screen.tick(health)

    def _is_shown(self, view: View) -> bool:
        return any(getattr(screen, "view", None) is view for screen in self.screen_stack)

    @property
    def link(self) -> Link:
        return self.intake.link.seen(monotonic())

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
            kept=len(self.store),
            kept_bytes=self.store.size_bytes,
            problems=None if tables is None else sum(table.state in PROBLEMS for table in tables),
            running=any(one.outcome == "running" for one in self.attempts),
        )

    # ---- words

    def say(self, text: str, severity: str = "information") -> None:
        """A toast. What it says may come from anywhere, so it is cleaned and never markup."""
        self.notify(one_line(text), severity=severity, markup=False, timeout=6)  # type: ignore[arg-type]

    def copy(self, what: str, text: str) -> None:
        """To the terminal's clipboard if it fits, and to a file; says what went where."""
        data = text.encode("utf-8", "replace")
        size = f"{len(data):,} bytes"
        problem = clipboard.save(self._copy_path, data)
        place = f"file {self._copy_path}" if not problem else f"no file ({problem})"
        if len(data) * 4 / 3 <= clipboard.TERMINAL_BYTES:
            self.copy_to_clipboard(data.decode("utf-8"))
            self.say(f"{what}: {size} copied to the clipboard (if the terminal allows it) and to {place}")
        else:
            self.say(f"{what}: {size}, too much for a terminal's clipboard; {place}", "warning")

    # ---- coverage

    @work(thread=True, exclusive=True, group="coverage", exit_on_error=False)
    def load_coverage(self) -> None:
        """Ask again which tables are covered; the answer comes with a later tick."""
        try:
            tables = self.backend.coverage()
        except Exception as error:  # noqa: BLE001 - a bug in a backend must not look like a slow database
            found = (self.coverage[0], problem_line(error))
        else:
            found = (tables, "")
        self.call_from_thread(setattr, self, "coverage", found)

    # ---- going places

    def show_in_live(self, row: int) -> None:
        """Select a row in Live, whatever its filter hides."""
        self.switch_mode("live")
        self.live.hold()
        self.live.wanted = row
        screen = self.screen
        if isinstance(screen, LiveScreen):
            if self.live.index(row) is None:
                screen.filter_by("")
            screen.events.show_cursor()
            screen.events.redraw()

    def filter_live(self, text: str) -> None:
        self.switch_mode("live")
        if isinstance(self.screen, LiveScreen):
            self.screen.filter_by(text)

    # ---- replay

    def target(self, kind: str) -> Target:
        """The callback for a kind of event. Raises `NoTarget`."""
        return self._find_target(kind)

    def ask_to_replay(self, record: Record, run: str | None = None) -> None:
        target = self.target(record.kind)

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(record, target, run)

        text = [
            line(span("event     ", "label"), span(describe.title(record), "strong")),
            line(span("callback  ", "label"), span(target.name, "strong")),
            line(),
            line(
                span("It runs in a process of its own, for at most "),
                span(f"{self._replay_seconds:g} s"),
                span("; x kills it."),
            ),
            line(span("What it does outside (mail, HTTP, other databases) cannot be undone.", "warning")),
            line(span('The event is not altered; its payload says "replay".', "note")),
        ]
        self.push_screen(Question("Replay this event?", text, "run it"), answered)

    def _begin(self, record: Record, target: Target, run: str | None) -> None:
        run = run or uuid4().hex[:8]
        number = sum(one.run == run for one in self.attempts) + 1
        attempt = Attempt(run, number, record, target)
        self.attempts.append(attempt)
        finished = [one for one in self.attempts if one.outcome != "running"]
        for old in finished[: max(0, len(self.attempts) - MAX_ATTEMPTS_KEPT)]:
            self.attempts.remove(old)
        self.run_worker(self._replay(attempt), group="replay", exit_on_error=False)
        self.switch_mode("replay")

    async def _replay(self, attempt: Attempt) -> None:
        await replay.run(attempt, timeout_seconds=self._replay_seconds)
        severity = "information" if attempt.outcome == "ok" else "error"
        self.say(f"replay of #{attempt.record.id}: {attempt.words}, {attempt.milliseconds:.1f} ms", severity)

    def kill(self, attempt: Attempt) -> None:
        if not replay.kill(attempt):
            self.say("no callback is running", "warning")

    # ---- leaving

    def ask_to_quit(self) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.exit(0)

        self.push_screen(
            Question("Quit?", [line(span("The database is not affected; nothing here is lost there."))], "quit"),
            answered,
        )

    # ---- the palette

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The keys of the screen, by name; and Textual's own for themes and pictures."""
        if isinstance(screen, ConsoleScreen):
            for key in keys.on_screen(screen.MODE):
                if key.keys and not key.widget and key.action and key.action != "app.command_palette":
                    yield SystemCommand(f"{key.label}  ({key.shown})", key.help, self._runner(screen, key.action))
        for command in super().get_system_commands(screen):  # pyright: ignore[reportUnknownMemberType]
            if command.title in ("Theme", "Screenshot"):
                yield command

    def _runner(self, screen: Screen[Any], action: str) -> Callable[[], Worker[Any]]:
        async def run() -> None:
            await screen.run_action(action)

        return lambda: self.run_worker(run(), exit_on_error=False)
