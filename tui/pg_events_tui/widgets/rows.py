"""Single rows: the filter at the top, the state and the keys at the bottom."""

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Input

from pg_events_tui.commands.completion import NOTHING, Completer, Completion
from pg_events_tui.text.lines import Line, Span, crop, justify, line, span
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.painted import Painted
from pg_events_tui.widgets.short_input import ShortInput


class Row(Painted):
    """Row with text at both ends."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._left: Line = ()
        self._right: Line = ()

    def show(self, left: Line, right: Line = ()) -> None:
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is only one row
        return self.strip(justify(self._left, self._right, self.size.width), self.size.width)


class FilterRow(Vertical):
    """Filter: a row that describes the shown events, or a field with a hint below it."""

    class Changed(Message):
        """Message that the text was edited."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """Message that editing ended; `kept` is False if the user cancelled."""

        def __init__(self, kept: bool) -> None:
            super().__init__()
            self.kept = kept

    def compose(self) -> ComposeResult:
        yield Row(id="filter-words")
        yield FilterInput(compact=True, id="filter-input", select_on_focus=False)
        yield Row(id="filter-hint")

    def on_mount(self) -> None:
        self._show_field(False)

    def _show_field(self, editing: bool) -> None:
        self.query_one("#filter-words").display = not editing
        self.query_one("#filter-input").display = editing
        self.query_one("#filter-hint").display = editing

    @property
    def editing(self) -> bool:
        return bool(self.query_one("#filter-input").display)

    @property
    def text(self) -> str:
        """Text in the field."""
        return self.query_one("#filter-input", FilterInput).value

    @property
    def candidates(self) -> Sequence[str]:
        """Candidates that Tab cycles through; empty until it is pressed."""
        return self.query_one("#filter-input", FilterInput).candidates

    def edit(
        self, text: str, history: Sequence[str] = (), complete: Callable[[str], Completion] = lambda _: NOTHING
    ) -> None:
        """Begin editing; ↑ and ↓ go through the history, with the newest at its end, and Tab completes."""
        field = self.query_one("#filter-input", FilterInput)
        field.begin(history, complete)
        self._show_field(True)
        field.value = text
        field.cursor_position = len(text)
        field.focus()

    def words(self, left: Line, right: Line) -> None:
        """Set the text that is shown outside of editing."""
        self.query_one("#filter-words", Row).show(left, right)

    def hint(self, left: Line, right: Line = ()) -> None:
        """Set the hint below the field."""
        self.query_one("#filter-hint", Row).show(left, right)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.editing:
            self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close(True)

    def close(self, kept: bool) -> None:
        if self.editing:
            self._show_field(False)
            self.post_message(self.Closed(kept))


class FilterInput(ShortInput):
    """Field of the filter; esc cancels, ↑ and ↓ bring earlier texts."""

    _history: Sequence[str] = ()
    _place: int = 0
    _completer = Completer(lambda _: NOTHING)
    candidates: Sequence[str] = ()

    def begin(self, history: Sequence[str], complete: Callable[[str], Completion]) -> None:
        self._history, self._place = list(history), len(history)
        self._completer = Completer(complete)
        self.candidates = ()

    def on_key(self, event: events.Key) -> None:
        if event.key not in ("tab", "shift+tab"):
            self.candidates = ()
            return
        event.stop()
        event.prevent_default()
        before, after = self.value[: self.cursor_position], self.value[self.cursor_position :]
        before = self._completer.press(before, back=event.key == "shift+tab")
        self.candidates = self._completer.candidates(before)
        self.value = before + after
        self.cursor_position = len(before)

    def key_up(self) -> None:
        self._recall(-1)

    def key_down(self) -> None:
        self._recall(1)

    def _recall(self, by: int) -> None:
        if 0 <= self._place + by <= len(self._history):
            self._place += by
            self.value = self._history[self._place] if self._place < len(self._history) else ""
            self.cursor_position = len(self.value)

    def key_escape(self) -> None:
        assert isinstance(self.parent, FilterRow)
        self.parent.close(False)

    def on_blur(self) -> None:
        assert isinstance(self.parent, FilterRow)
        self.parent.close(True)


class KeyRows(Painted):
    """Keys of the screen, from the table; unavailable ones are grey."""

    def __init__(self, screen: str, table: Sequence[keys.Key] = keys.KEYS) -> None:
        super().__init__(id="keys")
        self._screen = screen
        self._table = table
        self._why_not: Callable[[str], str] = lambda _: ""
        self._drawn: tuple[object, ...] = ()

    def show(self, why_not: Callable[[str], str]) -> None:
        """Update the keys; `why_not` returns the reason why an action is unavailable, empty if it is available."""
        self._why_not = why_not
        drawn = tuple(why_not(key.action) != "" for key in keys.on_screen(self._screen, self._table))
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        found = [key for key in keys.on_screen(self._screen, self._table) if key.row == y + 1]
        last = [key for key in found if key.id == "app.help"]
        if not y and self.size.height == 1:
            last = [key for key in self._table if key.id == "app.help"]
        return self.strip(crop(self._row([key for key in found if key not in last], last, cells), cells), cells)

    def _row(self, found: Iterable[keys.Key], last: Iterable[keys.Key], cells: int) -> Line:
        """Format the keys that fit; the help key is always included."""
        end: list[Span] = [part for key in last for part in self._parts(key)]
        room = cells - sum(cell_len(part.text) for part in end)
        parts: list[Span] = []
        for key in found:
            more = self._parts(key)
            size = sum(cell_len(part.text) for part in more)
            if size <= room:
                parts += more
                room -= size
        return line(*parts, *end)

    def _parts(self, key: keys.Key) -> tuple[Span, ...]:
        dim = bool(self._why_not(key.action))
        return (span(f" {key.shown}", "note" if dim else "key"), span(f" {key.label} ", "note" if dim else "quiet"))
