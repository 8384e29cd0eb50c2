"""Dialogs of Replay: leaving the plan, and choosing a stored run."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from pg_events.playback import runs
from pg_events.playback.runs import Run
from pg_events.text import counted
from pg_events_tui.dialogs.questions import Answered
from pg_events_tui.model.backend import problem_line
from pg_events_tui.replay import tabs
from pg_events_tui.text.lines import Line, line, span, table
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import Row

MAX_SHOWN = 200
"""Maximum number of shown runs, the newest; `pg_events runs list` has all."""


class Leave(Answered[str | None]):
    """Confirmation to leave the plan: `play`, or `step` to wait before the first event. The default is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('play')", "play", show=False),
        Binding("s", "answer('step')", "step by step", show=False),
        Binding("n,escape,q,enter", "answer('')", "no", show=False),
    ]

    def __init__(self, title: str, text: Sequence[Line]) -> None:
        keys = line(span(" y", "key"), span(" play    "), span("s", "key"), span(" step by step    "))
        super().__init__(title, text, keys, indent=12)

    def action_answer(self, answer: str) -> None:
        self.dismiss(answer or None)


class RunsDialog(ModalScreen[Run | None]):
    """Choice of a run, the newest on top."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,v", "cancel", "cancel", show=False)]

    if TYPE_CHECKING:

        @property
        def app(self) -> App[Any]: ...

    def __init__(self, zone: tzinfo | None, title: str, verb: str, *, without: str | None = None) -> None:
        super().__init__()
        self._zone = zone
        self._title = title
        self._verb = verb
        self._without = without
        self._runs: list[Run] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-tall") as box:
            box.border_title = Content(self._title)
            yield ItemList(id="kept-runs", empty="reading …")
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        self.query_one("#kept-runs").focus()
        self.query_one("#dialog-keys", Row).show(
            line(span(" ⏎", "key"), span(f" {self._verb}    "), span("esc", "key"), span(" close")),
            line(span("pg_events runs show RUN ", "note")),
        )
        self._load()

    @work(thread=True, exit_on_error=False)
    def _load(self) -> None:
        try:
            found = [run for run in reversed(runs.kept()) if run.run != self._without]
            told = [tabs.RUN_HEADING]
            told += [tabs.run_columns(run, self._zone) for run in found[:MAX_SHOWN]]
        except Exception as error:  # noqa: BLE001 - or it would be waited for without an end
            self.app.call_from_thread(self._loaded, [], [line(), line(span(problem_line(error), "bad"))])
        else:
            self.app.call_from_thread(self._loaded, found, table(told))

    def _loaded(self, found: list[Run], lines: list[Line]) -> None:
        self._runs = found
        listed = self.query_one("#kept-runs", ItemList)
        listed.empty = "no run was kept" if found or len(lines) < 2 else "".join(part.text for part in lines[1])
        listed.show(lines[0] if found else (), list(zip(range(len(found)), lines[1:], strict=False)))
        if found:
            self.query_one("#dialog").border_title = Content(f"{self._title}: {counted(len(found), 'run')}")

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    def key_enter(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        number = self.query_one("#kept-runs", ItemList).selected_key
        if isinstance(number, int):
            self.dismiss(self._runs[number])

    def action_cancel(self) -> None:
        self.dismiss(None)
