"""Runs commands on the current screen."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from textual.app import App

from pg_events.errors import FilterError, PgEventsError, UsageError
from pg_events.event import APPLICATION, METHODS, SCHEMA
from pg_events.filter.parser import parse as parse_filter
from pg_events.playback.source import LOG
from pg_events.triggers.catalog import Table
from pg_events.triggers.rules import matches
from pg_events_tui.app.navigation import Navigation
from pg_events_tui.commands.completion import matching
from pg_events_tui.commands.table import COMMANDS, REPLAYED, SELECTORS, SPEED_WORDS, Call, listed
from pg_events_tui.dialogs.command_line import CommandLine
from pg_events_tui.dialogs.documentation import Documentation
from pg_events_tui.dialogs.reading import Help, Reading
from pg_events_tui.model import goto, recording, state
from pg_events_tui.model.filtering import remember
from pg_events_tui.model.places import Place
from pg_events_tui.replay.loading import Origin
from pg_events_tui.replay.sources import into
from pg_events_tui.screens.coverage import CoverageScreen
from pg_events_tui.screens.events import EventsScreen
from pg_events_tui.screens.health import rss_bytes
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.plan import PlanDialog
from pg_events_tui.text.stats import Stats, stats_lines
from pg_events_tui.widgets.event_list import COLUMNS

MAX_FILES: Final = 200
"""Maximum number of offered file names."""


class CommandRunner:
    """Prompts for commands and runs them. An error is reported in one line and changes nothing."""

    def __init__(self, app: App[Any], host: Host, navigation: Navigation, remembered: Mapping[str, Any]) -> None:
        self._app = app
        self._host = host
        self._navigation = navigation
        self.history = state.texts(remembered, "commands")
        named = state.part(remembered, "filters")
        self.filters = {name: text for name, text in named.items() if isinstance(text, str)}
        """Saved filters by name."""
        self._does: dict[str, Callable[[Call], Awaitable[None]]] = {
            "open": self._open, "write": self._write, "replay": self._replay,
            "record start": self._record, "record stop": self._stop_record,
            "goto": self._goto, "filter save": self._save_filter, "filter": self._use_filter,
            "filter forget": self._forget_filter, "columns": self._columns, "plan": self._plan, "db": self._database,
            "readonly": self._read_only, "theme": self._theme, "keys": self._keys, "screenshot": self._screenshot,
            "stats": self._stats, "clear view": self._clear_view, "quit": self._quit,
        }  # fmt: skip
        assert set(self._does) == {command.name for command in COMMANDS}

    def ask(self, text: str = "") -> None:
        """Prompt for a command that begins with the text."""

        def typed(found: tuple[str, Call] | None) -> None:
            if found is not None:
                remember(self.history, found[0])
                self._app.run_worker(self.run(found[1]), group="command", exit_on_error=False)

        self._app.push_screen(CommandLine(text, self.history, self.known), typed)

    async def run(self, call: Call) -> None:
        try:
            await self._does[call.name](call)
        except PgEventsError as problem:
            self._host.notices.say(str(problem), "error")

    def known(self, kind: str, begin: str) -> Sequence[str]:
        """Return the known values of a kind, for completion."""
        if kind == "path":
            return _files(begin)
        tables = self._host.database.coverage[0] or ()
        names = {
            "kept": lambda: list(self.filters),
            "database": self._databases,
            "theme": lambda: sorted(self._app.available_themes),
            "columns": lambda: list(COLUMNS),
            "tables": lambda: ["@marked", *(table.identity for table in tables)],
            "callback": lambda: self._host.replays.origins.callbacks,
        }.get(kind, list[str])
        return matching(names(), begin)

    def _databases(self) -> list[str]:
        return [place.name for place in self._navigation.places.profiles]

    async def _events(self) -> EventsScreen:
        """Return the list that a command applies to: the shown one, else Live."""
        if not isinstance(self._app.screen, EventsScreen):
            await self._app.switch_mode("live")
        assert isinstance(self._app.screen, EventsScreen)
        return self._app.screen

    # ---- files

    async def _open(self, call: Call) -> None:
        path = _existing(call["path"])
        self._navigation.leave_for(Place(log=path, words=path.name))

    async def _write(self, call: Call) -> None:
        rows = (await self._events()).output.rows_of(call["selector"])
        self._host.files.write(rows, call["path"])

    async def _record(self, call: Call) -> None:
        problem = recording.new_file_problem(call["path"])
        if problem:
            raise UsageError(problem)
        self._host.files.start_recording(call["path"], _filter(call["filter"]))

    async def _stop_record(self, call: Call) -> None:  # noqa: ARG002 - same signature as the others
        if self._host.files.recorder.path is None:
            raise UsageError("nothing is recorded; record start PATH begins")
        self._host.files.toggle_recording()

    async def _screenshot(self, call: Call) -> None:
        path = call["path"] or self._host.files.file_name("svg")
        self._host.files.write_text(path, self._app.export_screenshot())

    async def _replay(self, call: Call) -> None:
        replays = self._host.replays
        if replays.why_no_plan:
            raise UsageError(replays.why_no_plan)
        origin = into(await self._origin(call["events"]), call["callback"] or None)
        if call["speed"]:
            replays.set_pace(replace(replays.pace, speed=SPEED_WORDS[call["speed"]]))
        replays.plan(origin, asks=call["mode"] == "real")

    async def _origin(self, events: str) -> Origin:
        if events in SELECTORS:
            return (await self._events()).output.origin_of(events)
        origins, absent = self._host.replays.origins, self._host.database.absent
        if events in REPLAYED:
            if absent:
                raise UsageError(f"no {events}: {absent}")
            return origins.log() if events == LOG else origins.failed()
        return origins.file(_existing(events))

    # ---- the list

    async def _goto(self, call: Call) -> None:
        screen = await self._events()
        problem = goto.problem(self._host.stream.store, call["place"])
        if problem:
            raise UsageError(problem)
        screen.go_to(goto.row(self._host.stream.store, call["place"]))

    async def _save_filter(self, call: Call) -> None:
        text = (await self._events()).filter_bar.filtering.text
        if not text:
            raise UsageError("there is no filter to keep; / makes one")
        self.filters[call["kept"]] = text
        self._host.notices.say(f"kept as {call['kept']}: {text}")

    async def _use_filter(self, call: Call) -> None:
        text = self._named(call["kept"])
        (await self._events()).filter_by(text)

    async def _forget_filter(self, call: Call) -> None:
        self._named(call["kept"])
        del self.filters[call["kept"]]

    def _named(self, name: str) -> str:
        if name not in self.filters:
            there = f"there are {', '.join(self.filters)}" if self.filters else "filter save NAME keeps one"
            raise UsageError(f"there is no filter {name!r}; {there}")
        return self.filters[name]

    async def _columns(self, call: Call) -> None:
        names = call["columns"].replace(",", " ").split()
        wrong = next((name for name in names if name not in COLUMNS), None)
        if wrong is not None:
            raise UsageError(f"there is no column {wrong!r}; there are {', '.join(COLUMNS)}")
        (await self._events()).show_columns(names)

    async def _clear_view(self, call: Call) -> None:  # noqa: ARG002
        (await self._events()).filter_bar.clear()

    async def _stats(self, call: Call) -> None:  # noqa: ARG002
        stream = self._host.stream
        store, live = stream.store, stream.live
        words = {**METHODS, SCHEMA: "DDL", APPLICATION: "EVENT"}
        kinds = {word: store.kind_count(kind) for kind, word in words.items()}
        tables = store.table_counts(store.first, store.end)
        stats = Stats(self._host.header(), len(live), len(live.marks), kinds, tables, stream.lags(), rss_bytes())
        self._app.push_screen(Reading("In numbers", stats_lines(stats)))

    # ---- the database

    async def _plan(self, call: Call) -> None:
        database = self._host.database
        reason = database.absent or ("this console is read-only" if database.read_only else "")
        if reason:
            raise UsageError(f"no plan: {reason}")
        found = {table.oid: table for name in listed(call["tables"]) for table in self._tables(name)}
        await self._app.switch_mode("coverage")
        self._app.push_screen(PlanDialog(self._host, [*found.values()]))

    def _tables(self, name: str) -> Sequence[Table]:
        """Return the tables of a name, a glob or `@marked`, at least one."""
        known, problem = self._host.database.coverage
        if known is None:
            raise UsageError(f"no plan: {problem or 'the database has not told its tables yet'}")
        if name == "@marked":
            screen = self._navigation.screens.get("coverage")
            found = screen.plans.marked if isinstance(screen, CoverageScreen) else ()
            why = "no table is marked; m marks one on Coverage (2)"
        else:
            found = [
                one for one in known
                if name in (one.identity, one.name)
                or (one.state != "unsupported" and matches(name, one.schema, one.name))
            ]  # fmt: skip
            why = f"there is no table {name!r}; 2 shows all"
        if not found:
            raise UsageError(why)
        return found

    async def _database(self, call: Call) -> None:
        for place in self._navigation.places.profiles:
            if call["database"] in (place.name, place.label):
                self._navigation.leave_for(place)
                return
        there = ", ".join(self._databases()) or "none: PG_EVENTS_PROFILES is not set"
        raise UsageError(f"there is no database {call['database']!r}; there are {there}")

    async def _read_only(self, call: Call) -> None:
        self._host.database.set_read_only(call["onoff"] == "on")

    # ---- the console

    async def _theme(self, call: Call) -> None:
        if call["theme"] not in self._app.available_themes:
            raise UsageError(
                f"there is no theme {call['theme']!r}; there are {', '.join(sorted(self._app.available_themes))}"
            )
        self._app.theme = call["theme"]

    async def _keys(self, call: Call) -> None:  # noqa: ARG002
        def open_documentation() -> None:
            self._app.push_screen(Documentation())

        mode = self._app.current_mode
        self._app.push_screen(Help(mode, self._host.keys, open_documentation=open_documentation))

    async def _quit(self, call: Call) -> None:  # noqa: ARG002
        self._app.exit(0)


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    return path


def _filter(text: str) -> Any:
    if not text:
        return None
    try:
        return parse_filter(text)
    except FilterError as problem:
        raise UsageError(f"{text!r}: {problem.message}") from None


def _files(begin: str) -> list[str]:
    """Return the file names in the directory that is being typed."""
    head, slash, tail = begin.rpartition("/")
    try:
        there = sorted(Path(head + slash or ".").expanduser().iterdir())[:MAX_FILES]
    except OSError:
        return []
    return [f"{head}{slash}{one.name}{'/' if one.is_dir() else ''}" for one in there
            if one.name.startswith(tail) and (tail or not one.name.startswith("."))]  # fmt: skip
