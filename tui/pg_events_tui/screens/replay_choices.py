"""Choices of the Replay screen besides playing: events, callbacks and runs, and why one is unavailable."""

from pathlib import Path
from typing import Final

from textual import work

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


class ReplayChoices(ConsoleScreen):
    """Screen with a queue."""

    face = 0
    """Index of the shown face of the selected event."""

    @property
    def queue(self) -> QueueList:
        return self.query_one("#queue", QueueList)

    @property
    def replay(self) -> Replay | None:
        return self.app.replay

    # ---- events and callbacks

    def action_source(self) -> None:
        def chosen(find: FindOrigin | None) -> None:
            origin = find() if find else None
            if origin is not None:
                self.app.plan_replay(origin)

        options = [*self.app.replay_sources(), Option[FindOrigin]("p", "a saved log …", self._ask_for_file)]
        self.app.push_screen(Choice("Replay what?", options), chosen)

    def _ask_for_file(self) -> None:
        def problem(text: str) -> str:
            return "" if Path(text).expanduser().is_file() else f"there is no file {text}"

        def answered(path: str | None) -> None:
            if path:
                self.app.plan_replay(self.app.origins.file(Path(path).expanduser()))

        text = [line(span("A file of listen --output, export, w or W; it is read, and nothing is called."))]
        self.app.push_screen(Ask("Replay a saved log", text, check=problem), answered)

    def action_filter(self) -> None:
        found = self.replay
        if not self.refused("filter") and found is not None:
            self.query_one(FilterRow).edit(found.origin.where)

    def on_filter_row_changed(self, event: FilterRow.Changed) -> None:
        row = self.query_one(FilterRow)
        try:
            parse(event.text)
        except FilterError as error:
            row.hint(line(span(" " * (error.position + 3) + "^ ", "bad"), span(error.message, "bad")))
        else:
            row.hint(line(span("   ⏎ plans with these events only", "note")))

    def on_filter_row_closed(self, event: FilterRow.Closed) -> None:
        self.queue.focus()
        found = self.replay
        if not event.kept or found is None:
            return
        text = self.query_one(FilterRow).text.strip()
        if text == found.origin.where:
            return
        try:
            wanted = parse(text)
        except FilterError as error:
            self.say(f"nothing was changed: {error.message}", "error")
            return
        base = into(self.app.replay_base or found.origin, found.job.callback)
        self.app.plan_replay(filtered(base, wanted) if text else base, base=base)

    def action_target(self) -> None:
        found = self.replay
        if self.refused("target") or found is None:
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

        self.app.push_screen(Choice("Into which callback?", options), chosen)

    def _ask_for_callback(self) -> None:
        def answered(name: str | None) -> None:
            if name and self.replay is not None:
                self.replay.choose_callback(name.strip())

        text = [line(span("It gets every event. It is imported when playing begins, not before."))]
        self.app.push_screen(Ask("Callback", text, check=name_problem), answered)

    # ---- runs

    def action_runs(self) -> None:
        def chosen(run: Run | None) -> None:
            if run is not None:
                self.open_run(run)

        self.app.push_screen(RunsDialog("Runs that were kept", "open"), chosen)

    def open_run(self, run: Run) -> None:
        try:
            origin = self.app.origins.run(run)
        except PgEventsError as error:
            self.say(str(error), "error")
        else:
            self.app.plan_replay(origin)

    def action_compare(self) -> None:
        found = self.replay
        if self.refused("compare") or found is None:
            return

        def chosen(run: Run | None) -> None:
            if run is not None:
                self._compare(found, run)

        this = found.kept.run if found.kept else None
        self.app.push_screen(RunsDialog("Compare with which run?", "compare", without=this), chosen)

    @work(thread=True, exclusive=True, group="compare", exit_on_error=False)
    def _compare(self, found: Replay, run: Run) -> None:
        try:
            found.compare_with(run)
        except Exception as error:  # noqa: BLE001
            self.app.call_from_thread(self.say, problem_line(error), "error")
        else:
            self.app.call_from_thread(self._compared)

    def _compared(self) -> None:
        self.face = FACES.index("Compare")

    def action_edit(self) -> None:
        found, row = self.replay, self.queue.selected_row
        if self.refused("edit") or found is None or row is None:
            return
        before = found.edited.get(row) or found.queue.payload(row)
        try:
            after = editing.edited(self.app, before)
        except (ValueError, RecursionError) as error:
            self.say(f"that is no payload, nothing was changed: {error}", "error")
            return
        except PgEventsError as error:
            self.say(str(error), "error")
            return
        found.edit(row, after)
        self.face = FACES.index("Edit") if row in found.edited else self.face
        self.say("edited: r runs the copy" if row in found.edited else "as it was captured")

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
            if self.app.read_only:
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
