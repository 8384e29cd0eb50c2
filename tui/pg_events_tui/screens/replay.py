"""Replay: a queue of events for your callbacks, first planned, then delivered step by step or at a speed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from pg_events.event import replayed
from pg_events.text import counted
from pg_events_tui.replay import lines as replay_lines
from pg_events_tui.replay import tabs
from pg_events_tui.replay.lines import NOT_UNDONE, SPEEDS
from pg_events_tui.replay.session import Replay
from pg_events_tui.replay.tabs import FACES
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.screens.host import Host
from pg_events_tui.screens.replay_choices import ReplayChoices
from pg_events_tui.screens.replay_dialogs import Leave
from pg_events_tui.text.lines import Line, line, span
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import LineList
from pg_events_tui.widgets.queue_list import QueueList
from pg_events_tui.widgets.rows import FilterRow, Row
from pg_events_tui.widgets.text_pane import TextPane


class ReplayScreen(ConsoleScreen):
    """Displays and controls the console's replay."""

    MODE: ClassVar[str] = "replay"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("replay")]

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.choices = ReplayChoices(self, host)
        self._only_failed = False
        self._follows = True
        """True while the selection follows the playback, until the user moves it."""
        self._drawn: object = None
        self._shown: tuple[object, ...] = ()

    @property
    def queue(self) -> QueueList:
        return self.choices.queue

    @property
    def replay(self) -> Replay | None:
        return self.host.replays.current

    def compose_body(self) -> ComposeResult:
        yield Row(id="target")
        yield Row(id="progress")
        with Horizontal(id="body"):
            yield QueueList(self.host.clock.zone, id="queue")
            yield TextPane(id="detail")
        yield Row(id="preview")

    def on_mount(self) -> None:
        self.queue.add_class("pane")
        self.query_one("#detail").add_class("pane")
        self.queue.focus()

    # ---- drawing

    def tick(self, health: Health) -> None:
        found = self.replay
        row = self.query_one(FilterRow)
        if not row.editing:
            row.words(*replay_lines.source_line(found))
        self.query_one("#target", Row).show(*replay_lines.target_line(found, self.size.width))
        progress = replay_lines.progress_line(found, self.host.replays.pace, self.size.width)
        self.query_one("#progress", Row).show(*progress)
        self._show_queue()
        self._show_selected()
        if (
            found is not None
            and self.host.replays.asks is found
            and found.planned is not None
            and self.app.screen is self
        ):
            self.host.replays.asks = None
            self.action_real()
        super().tick(health)

    def _show_queue(self) -> None:
        found, queue = self.replay, self.queue
        drawn = (
            id(found),
            found.version if found else 0,
            len(found.queue) if found else 0,
            self._only_failed,
            queue.size,
        )
        if drawn == self._drawn:
            return
        self._drawn = drawn
        queue.empty = self._empty_words()
        if found is None:
            queue.show(None, range(0))
        else:
            queue.show(found, found.failed_rows() if self._only_failed else range(len(found.queue)))
            if self._follows and found.last_row is not None:
                queue.select_row(found.last_row)
        bottom = "failed only · f all" if self._only_failed else ""
        if found is not None and found.other is not None:
            bottom = f"beside run {found.other.run}" + (f" · {bottom}" if bottom else "")
        self.titled(queue, replay_lines.queue_title(found), bottom)

    def _empty_words(self) -> Sequence[str]:
        found = self.replay
        if found is None:
            return ("nothing is to be replayed yet", "S chooses what: selected, marked, shown, a file, failed events",
                    "v shows runs that were kept · r in Live (1) takes the selected event")  # fmt: skip
        if found.planned is None:
            return ("looking for the events …",)
        if found.problem:
            return ("cannot be planned", found.problem)
        return ("nothing failed", "f shows all again") if self._only_failed else ("there is no such event",)

    def _show_selected(self) -> None:
        found, row = self.replay, self.queue.selected_row
        pane = self.query_one("#detail", TextPane)
        running = found is not None and found.current is not None and found.current[0] == row
        shown = (id(found), found.version if found else 0, row, self.choices.face, pane.size.width)
        if shown == self._shown and not running and not (found and found.planned is None):
            return
        same = shown[2:] == self._shown[2:]
        self._shown = shown
        preview = self.query_one("#preview", Row)
        if found is None or row is None or self._shows_plan:
            self._show_plan(pane, preview)
            return
        self.titled(pane, tabs.face_title(found, row), "d next face · y copy")
        face = FACES[self.choices.face]
        pane.show(
            tabs.face_lines(found, row, face),
            fixed=[tabs.faces_line(self.choices.face), line()],
            keep_place=same,
        )
        outcome = found.outcome(row)
        words, role = replay_lines.result_words(found, row)
        if outcome is not None and not outcome.ok:
            words, told = outcome.error or "failed", tabs.place(outcome)
        else:
            words, told = words or "queued", (outcome.returned or "") if outcome else ""
        preview.show(line(span(f" {words}", role), span(f"  {told}")), line(span(" ⏎ detail ", "note")))

    @property
    def _shows_plan(self) -> bool:
        """True until an event was tried, or viewed in another face."""
        found = self.replay
        return found is not None and found.stage in ("plan", "loading") and not self.choices.face

    def _show_plan(self, pane: TextPane, preview: Row) -> None:
        found = self.replay
        if found is None:
            self.titled(pane, "No replay")
            pane.show([])
            preview.show(())
            return
        self.titled(pane, "Plan: nothing is called", "! runs it for real (asks)")
        pane.show(tabs.plan_lines(found), keep_place=True)
        failed = len(found.planned.failed) if found.planned else 0
        words = f" {counted(failed, 'event')} of these failed in a worker" if failed else " nothing is called"
        preview.show(line(span(words, "note")), line(span(" ⏎ plan ", "note")))

    def state_words(self) -> tuple[Line, Line]:
        found = self.replay
        stage = found.stage if found else "none"
        words = {
            "none": "Events are never altered; every run is kept.",
            "plan": f"PLAN: nothing is called. {NOT_UNDONE}",
            "loading": "PLAN: nothing is called.",
            "kept": "A run that was kept: nothing is called until ! leaves this view (asks).",
            "failed": "space tries it again and goes on · > passes over it · e edits a copy · r this one only",
            "stopping": "finishing the event in hand · x again kills its process",
            "starting": "importing the callbacks · x x kills",
            "ready": "space plays · . one event · p begins at the selected one",
            "playing": "space pauses · x finishes the event in hand and stops · + - another speed",
            "paused": "space goes on · . one event · > passes over it · , goes back",
            "stopped": "space goes on · . one event · r the selected one · ! all of it as a new run (asks)",
            "done": "! runs it all again as a new run (asks) · A what failed · c compares",
        }.get(stage, NOT_UNDONE)
        if found is not None and found.problem and stage != "loading":
            return line(span(f" {found.problem}", "bad")), ()
        run = f"run {found.kept.run} " if found is not None and found.kept is not None and self.is_wide else ""
        return line(span(f" {words}", "warning" if stage in ("plan", "failed", "stopping") else "note")), line(
            span(run, "note")
        )

    # ---- moving

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self._follows = False
        self._show_selected()

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        if not self.refused("open"):
            self.open_detail()

    def action_last(self) -> None:
        self._follows = True
        self.queue.action_last()

    def action_leave(self) -> None:
        if self.leave_zoom():
            return
        if self._only_failed:
            self.action_failed_only()
        self.queue.focus()

    def leave_zoom(self) -> bool:
        was = super().leave_zoom()
        if was:
            self.queue.focus()
        return was

    def action_face(self) -> None:
        if not self.refused("face"):
            self.choices.face = (self.choices.face + 1) % len(FACES)
            self._show_selected()

    def action_failed_only(self) -> None:
        if not self.refused("failed_only"):
            self._only_failed = not self._only_failed
            self._show_queue()

    # ---- choosing

    def why_not(self, action: str) -> str:
        return self.choices.why_not(action)

    def action_source(self) -> None:
        self.choices.ask_for_source()

    def action_filter(self) -> None:
        if not self.refused("filter"):
            self.choices.edit_filter()

    def on_filter_row_changed(self, event: FilterRow.Changed) -> None:
        self.choices.show_filter_error(event.text)

    def on_filter_row_closed(self, event: FilterRow.Closed) -> None:
        self.choices.close_filter(kept=event.kept)

    def action_target(self) -> None:
        if not self.refused("target"):
            self.choices.ask_for_target()

    def action_runs(self) -> None:
        self.choices.ask_for_run()

    def action_compare(self) -> None:
        if not self.refused("compare"):
            self.choices.ask_for_comparison()

    def action_edit(self) -> None:
        if not self.refused("edit"):
            self.choices.edit_payload()

    # ---- playing

    def action_real(self) -> None:
        found = self.replay
        if self.refused("real") or found is None:
            return
        if found.is_playing:
            self.say("it is playing already: x stops it", "warning")
            return
        again = found.is_real or found.stage == "kept"
        some = len(found.queue) - found.next_row
        names = list(dict.fromkeys(filter(None, (found.into(is_schema=False), found.into(is_schema=True)))))
        count = len(found.queue) if again else some
        planned = found.planned
        text = [
            line(span("events    ", "label"), span(f"{count:,}", "strong"), span(f"  {found.origin.words}", "note")),
            line(span("callback  ", "label"), span(", ".join(names), "strong")),
            line(span("speed     ", "label"), span(replay_lines.speed_words(self.host.replays.pace)),
                 span("   at errors: stop" if self.host.replays.pace.stop_on_error else "   at errors: go on", "note")),
            line(),
            line(span(NOT_UNDONE, "warning")),
            line(span("It has a process of its own: x stops, x again kills what hangs.", "note")),
        ]  # fmt: skip
        if planned is not None and planned.drift:
            remarks = f"{counted(len(planned.drift), 'remark')}: see the plan"
            text.insert(3, line(span("drift     ", "label"), span(remarks, "warning")))

        def answered(choice: str | None) -> None:
            if choice is None or self.replay is not found or found.is_playing:
                return
            if found.is_real:
                found.anew()
            found.is_real = True
            found.version += 1
            self._follows = True
            if choice == "play":
                found.play()

        title = "Run it all again, as a new run?" if found.is_real else "Call your callback for real?"
        self.app.push_screen(Leave(title, text), answered)

    def action_play(self) -> None:
        found = self.replay
        if self.refused("play") or found is None:
            return
        self._follows = True
        if found.stage == "playing":
            found.pause()
        else:
            found.play()

    def action_step(self) -> None:
        found = self.replay
        if not self.refused("step") and found is not None:
            self._follows = True
            found.step()

    def action_step_back(self) -> None:
        found = self.replay
        if not self.refused("step_back") and found is not None:
            found.move(found.next_row - 1)
            self._select_next(found)

    def action_next_here(self) -> None:
        found, row = self.replay, self.queue.selected_row
        if not self.refused("next_here") and found is not None and row is not None:
            found.move(row)
            self.say(f"#{found.queue.item(row).id} is the next one")

    def action_skip(self) -> None:
        found = self.replay
        if not self.refused("skip") and found is not None:
            found.skip()
            self._select_next(found)

    def _select_next(self, found: Replay) -> None:
        self._follows = False
        self.queue.select_row(min(found.next_row, len(found.queue) - 1))

    def action_stop(self) -> None:
        found = self.replay
        if self.refused("stop") or found is None:
            return
        if found.stage == "stopping":
            found.kill()
        else:
            found.stop()

    def action_rerun(self) -> None:
        found, row = self.replay, self.queue.selected_row
        if not self.refused("rerun") and found is not None and row is not None:
            found.again([row])

    def action_rerun_failed(self) -> None:
        found = self.replay
        if not self.refused("rerun_failed") and found is not None:
            rows = found.failed_rows()
            found.again(rows)
            self.say(f"again: {counted(len(rows), 'failed event')}")

    def action_speed(self, by: int) -> None:
        pace = self.host.replays.pace
        place = SPEEDS.index(pace.speed) + by
        if 0 <= place < len(SPEEDS):
            self.host.replays.set_pace(replace(pace, speed=SPEEDS[place]))

    def action_on_error(self) -> None:
        self.host.replays.set_pace(
            replace(self.host.replays.pace, stop_on_error=not self.host.replays.pace.stop_on_error)
        )

    def copied(self) -> tuple[str, str] | None:
        found, row = self.replay, self.queue.selected_row
        if found is None or row is None:
            return None
        face = FACES[self.choices.face]
        if face == "Payload":
            run = found.kept.run if found.kept else ""
            outcome = found.outcome(row)
            payload = found.edited.get(row) or found.queue.payload(row)
            return "payload", replayed(payload, run, outcome.attempt if outcome else 1, is_edited=row in found.edited)
        lines = tabs.plan_lines(found) if self._shows_plan else tabs.face_lines(found, row, face)
        text = "\n".join("".join(part.text for part in one) for one in lines)
        return ("plan" if self._shows_plan else face.lower()), text
