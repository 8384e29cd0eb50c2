"""Command line after `:`: a command with its arguments, completed while typing."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from pg_events.errors import UsageError
from pg_events_tui.commands.completion import Completer
from pg_events_tui.commands.table import COMMANDS, Call, Known, begun, completion, parse
from pg_events_tui.text.lines import Line, crop, fit, line, span
from pg_events_tui.widgets.rows import Row
from pg_events_tui.widgets.short_input import ShortInput
from pg_events_tui.widgets.text_pane import TextPane

SHOWN: Final = 10
"""Maximum number of listed candidates."""
DIALOG_CELLS: Final = 80
"""Width of the dialog, as in the style sheet."""


class CommandLine(ModalScreen[tuple[str, Call] | None]):
    """Prompt for a valid command. The result is the line, for the history, and the parsed command."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", show=False)]

    def __init__(self, text: str, history: Sequence[str], known: Known) -> None:
        """`known` returns the known values of a kind: tables, files, names."""
        super().__init__()
        self._text = text
        self._history = history
        self._known = known

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content("Command")
            yield CommandInput(self._text, self._history, self._known)
            yield Row(id="ask-problem")
            yield TextPane(id="dialog-text", indent=2)
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        pane = self.query_one("#dialog-text", TextPane)
        pane.can_focus = False
        pane.styles.height = SHOWN + 2
        field = self.query_one(CommandInput)
        field.cursor_position = len(self._text)
        field.focus()
        self._show_candidates()
        shown = [("⏎", "do it"), ("tab", "complete"), ("↑ ↓", "earlier ones"), ("esc", "cancel")]
        parts = [part for key, word in shown for part in (span(f" {key}", "key"), span(f" {word}   "))]
        self.query_one("#dialog-keys", Row).show(line(*parts))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one("#ask-problem", Row).show(())
        self._show_candidates()

    def _show_candidates(self) -> None:
        field = self.query_one(CommandInput)
        command = begun(field.value)
        lines = [] if command is None else [line(span(" "), span(command.usage, "key"))]
        lines += candidate_lines(field.candidates, SHOWN)
        cells = min(DIALOG_CELLS, self.size.width - 4) - 6
        self.query_one("#dialog-text", TextPane).show([crop(one, cells) for one in lines])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            call = parse(event.value)
        except UsageError as problem:
            self.query_one("#ask-problem", Row).show(line(span(f" {problem}", "bad")))
        else:
            self.dismiss((event.value.strip(), call))

    def action_cancel(self) -> None:
        self.dismiss(None)


class CommandInput(ShortInput):
    """Field of the command; Tab completes, ↑ and ↓ bring earlier lines."""

    def __init__(self, text: str, history: Sequence[str], known: Known) -> None:
        super().__init__(text, compact=True, id="ask-input", select_on_focus=False)
        self._history = [*history, text]
        self._place = len(history)
        self._completer = Completer(lambda typed: completion(typed, known))

    @property
    def candidates(self) -> Sequence[str]:
        return self._completer.candidates(self.value)

    def on_key(self, event: events.Key) -> None:
        if event.key in ("tab", "shift+tab"):
            self._put(self._completer.press(self.value, back=event.key == "shift+tab"))
        elif event.key in ("up", "down"):
            self._place = max(0, min(len(self._history) - 1, self._place + (-1 if event.key == "up" else 1)))
            self._put(self._history[self._place])
        else:
            return
        event.stop()
        event.prevent_default()

    def _put(self, text: str) -> None:
        self.value = text
        self.cursor_position = len(text)


def candidate_lines(candidates: Sequence[str], most: int) -> list[Line]:
    """Format the candidates: commands with arguments and description, others by name."""
    lines = [line(span(" "), *_candidate(one)) for one in candidates[:most]]
    if len(candidates) > most:
        lines.append(line(span(f"  … {len(candidates) - most} more", "note")))
    return lines


def _candidate(text: str) -> Line:
    for command in COMMANDS:
        if command.name == text.strip():
            return line(span(fit(command.usage, 34) + " ", "key"), span(command.help, "note"))
    return line(span(text))
