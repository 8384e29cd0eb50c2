"""Choices of the Replay screen besides playing: events, callbacks and runs, and why one is unavailable."""

from functools import partial
from pathlib import Path
from typing import Final

from pg_events.errors import FilterError, PgEventsError
from pg_events.filter.parser import parse
from pg_events.playback.runs import Run
from pg_events_tui.dialogs.questions import Ask, Choice, Option
from pg_events_tui.model.backend import problem_line
from pg_events_tui.replay.callback_names import known_callbacks, name_problem
from pg_events_tui.replay.session import Replay
from pg_events_tui.replay.sources import FindOrigin, filtered, into
from pg_events_tui.replay.tabs import FACES
from pg_events_tui.screens import editing
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.replay_dialogs import RunsDialog
from pg_events_tui.text.lines import line, span
from pg_events_tui.widgets.queue_list import QueueList
from pg_events_tui.widgets.rows import FilterRow

NEEDS_ROW: Final = ("open", "copy", "face", "rerun", "edit", "next_here")
NEEDS_QUEUE: Final = (
    "real",
    "play",
    "step",
    "step_back",
    "skip",
    "target",
    "failed_only",
    "compare",
    "rerun_failed",
    "filter",
)
CALLS: Final = ("play", "step", "rerun", "rerun_failed")


class ReplayChoices:
    """Choices of events, callbacks and runs, and edited copies."""

    def __init__(self, screen: ConsoleScreen, host: Host) -> None:
        self._screen = screen
        self._host = host
        self.face = 0
        """Index of the shown face of the selected event."""

    @property
    def queue(self) -> QueueList:
        return self._screen.query_one("#queue", QueueList)

    @property
    def replay(self) -> Replay | None:
        return self._host.replays.current

    # ---- events and callbacks

    def ask_for_source(self) -> None:
        def chosen(find: FindOrigin | None) -> None:
            origin = find() if find else None
            if origin is not None:
                self._host.replays.plan(origin)

        options = [*self._host.replays.sources(), Option[FindOrigin]("p", "a saved log …", self._ask_for_file)]
        self._screen.app.push_screen(Choice("Replay what?", options), chosen)

    def _ask_for_file(self) -> None:
        def problem(text: str) -> str:
            return "" if Path(text).expanduser().is_file() else f"there is no file {text}"

        def answered(path: str | None) -> None:
            if path:
                self._host.replays.plan(self._host.replays.origins.file(Path(path).expanduser()))

        text = [line(span("A file of listen --output, export, w or W; it is read, and nothing is called."))]
        self._screen.app.push_screen(Ask("Replay a saved log", text, check=problem), answered)

    def edit_filter(self) -> None:
        found = self.replay
        if found is not None:
            self._screen.query_one(FilterRow).edit(found.origin.where)

    def show_filter_error(self, text: str) -> None:
        row = self._screen.query_one(FilterRow)
        try:
            parse(text)
        except FilterError as error:
            row.hint(line(span(" " * (error.position + 3) + "^ ", "bad"), span(error.message, "bad")))
        else:
            row.hint(line(span("   ⏎ plans with these events only", "note")))

    def close_filter(self, *, kept: bool) -> None:
        self.queue.focus()
        found = self.replay
        if not kept or found is None:
            return
        text = self._screen.query_one(FilterRow).text.strip()
        if text == found.origin.where:
            return
        try:
            wanted = parse(text)
        except FilterError as error:
            self._host.notices.say(f"nothing was changed: {error.message}", "error")
            return
        base = into(self._host.replays.base or found.origin, found.job.callback)
        self._host.replays.plan(filtered(base, wanted) if text else base, base=base)

    def ask_for_target(self) -> None:
        found = self.replay
        if found is None:
            return
        settings = found.job.settings
        unset = settings.data_update_callback is None and settings.db_schema_update_callback is None
        options = [
            Option(
                "s", "those of the settings", "", note=settings.source or "", why_not="none is set" if unset else ""
            ),
            *(
                Option(str(number), name, name, note="every event")
                for number, name in enumerate(known_callbacks(settings), 1)
            ),
        ]
        options.append(Option("o", "another one …", "?", note="my_module.function, for every event"))

        def chosen(name: str | None) -> None:
            if name == "?":
                self._ask_for_callback()
            elif name is not None:
                found.choose_callback(name or None)

        self._screen.app.push_screen(Choice("Into which callback?", options), chosen)

    def _ask_for_callback(self) -> None:
        def answered(name: str | None) -> None:
            if name and self.replay is not None:
                self.replay.choose_callback(name.strip())

        text = [line(span("It gets every event. It is imported when playing begins, not before."))]
        self._screen.app.push_screen(Ask("Callback", text, check=name_problem), answered)

    # ---- runs

    def ask_for_run(self) -> None:
        def chosen(run: Run | None) -> None:
            if run is not None:
                self.open_run(run)

        self._screen.app.push_screen(RunsDialog(self._host.clock.zone, "Runs that were kept", "open"), chosen)

    def open_run(self, run: Run) -> None:
        try:
            origin = self._host.replays.origins.run(run)
        except PgEventsError as error:
            self._host.notices.say(str(error), "error")
        else:
            self._host.replays.plan(origin)

    def ask_for_comparison(self) -> None:
        found = self.replay
        if found is None:
            return

        def chosen(run: Run | None) -> None:
            if run is not None:
                self._compare(found, run)

        this = found.kept.run if found.kept else None
        self._screen.app.push_screen(
            RunsDialog(self._host.clock.zone, "Compare with which run?", "compare", without=this), chosen
        )

    def _compare(self, found: Replay, run: Run) -> None:
        work = partial(self._load_comparison, found, run)
        self._screen.run_worker(work, thread=True, exclusive=True, group="compare", exit_on_error=False)

    def _load_comparison(self, found: Replay, run: Run) -> None:
        try:
            found.compare_with(run)
        except Exception as error:  # noqa: BLE001
            self._host.notices.say_from_thread(problem_line(error), "error")
        else:
            self._screen.app.call_from_thread(self._compared)

    def _compared(self) -> None:
        self.face = FACES.index("Compare")

    def edit_payload(self) -> None:
        found, row = self.replay, self.queue.selected_row
        if found is None or row is None:
            return
        before = found.edited.get(row) or found.queue.payload(row)
        try:
            after = editing.edited(self._screen.app, before)
        except (ValueError, RecursionError) as error:
            self._host.notices.say(f"that is no payload, nothing was changed: {error}", "error")
            return
        except PgEventsError as error:
            self._host.notices.say(str(error), "error")
            return
        found.edit(row, after)
        self.face = FACES.index("Edit") if row in found.edited else self.face
        self._host.notices.say("edited: r runs the copy" if row in found.edited else "as it was captured")

    # ---- unavailable actions

    def why_not(self, action: str) -> str:
        name = action.partition("(")[0]
        found = self.replay
        if name in NEEDS_QUEUE + NEEDS_ROW:
            if found is None:
                return "nothing is to be replayed yet: S chooses what"
            if found.planned is None:
                return "the plan is being made"
            if name in NEEDS_ROW and self.queue.selected_row is None:
                return "no event is selected"
        if name in ("stop", "skip", "step_back") and (found is None or not found.is_real):
            return "nothing is played yet"
        if name == "stop" and found is not None and not found.is_playing:
            return "nothing is played"
        return self._why_not_called(name, found) if found is not None else ""

    def _why_not_called(self, name: str, found: Replay) -> str:
        row = self.queue.selected_row
        if name in ("rerun", "edit") and row is not None and not found.queue.payload_bytes(row):
            return "this event is not there any more; only its result was kept"
        if name in (*CALLS, "real"):
            if found.problem and found.stage == "kept":
                return found.problem
            if self._host.database.read_only:
                return "replay is off: the console was started with --read-only"
            if found.no_callback:
                return f"there is no callback to call; t names one ({found.no_callback})"
            if not len(found.queue):
                return "there is no event to replay"
        if name in CALLS and not found.is_real:
            return "this is the plan, nothing is called: ! leaves it (asks)"
        if name in ("play", "step", "skip") and not found.is_playing and found.next_row >= len(found.queue):
            return "all is done: ! runs it again as a new run, A what failed, r the selected one"
        if name == "rerun_failed" and not found.failed_rows():
            return "nothing failed"
        if name in ("target", "filter") and found.is_playing:
            return "it is playing: x stops it"
        if name == "filter" and found.origin.past is not None:
            return "these are the events of a run that was kept"
        return ""
