"""Dialogs in front of a screen: questions and the help. A question's default is no, and it shows its keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from pg_events.filter.parser import FIELDS
from pg_events.text import clean
from pg_events_tui.text.lines import Line, Span, fit, line, span, table
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import Row
from pg_events_tui.widgets.short_input import ShortInput
from pg_events_tui.widgets.text_pane import TextPane

T = TypeVar("T")


class Answered(ModalScreen[T], Generic[T]):
    """Dialog with a text, and below it the keys that answer it."""

    def __init__(self, title: str, text: Sequence[Line], keys: Line, indent: int = 2) -> None:
        """`indent` is the indentation of a wrapped line's second row."""
        super().__init__()
        self._title = title
        self._text = text
        self._keys = keys
        self._indent = indent

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            yield TextPane(id="dialog-text", indent=self._indent)
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        pane = self.query_one("#dialog-text", TextPane)
        pane.styles.height = len(self._text) + 2
        pane.show([line(), *self._text])
        self.query_one("#dialog-keys", Row).show(line(*self._keys, span("n / esc", "key"), span(" cancel (default)")))


class Question(Answered[bool]):
    """Question that is confirmed only by `y`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", show=False),
        Binding("n,escape,q,enter", "answer(False)", "no", show=False),
    ]

    def __init__(self, title: str, text: Sequence[Line], yes: str) -> None:
        super().__init__(title, text, line(span(" y", "key"), span(f" {yes}    ")))

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


@dataclass(frozen=True)
class Option(Generic[T]):
    """Option of a choice."""

    key: str
    """Letter that selects the option."""
    label: str
    value: T
    note: str = ""
    why_not: str = ""
    """Reason why the option is unavailable; empty if it is available."""


class Choice(ModalScreen[T | None], Generic[T]):
    """Choice of one option, by its letter or by enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "take", show=False),
        Binding("escape,q", "cancel", "cancel", show=False),
    ]

    def __init__(self, title: str, options: Sequence[Option[T]], *, selected: int = 0) -> None:
        super().__init__()
        self._title = title
        self._options = options
        self._start = selected

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content(clean(self._title))
            yield ItemList(id="choices")
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        found = self.query_one("#choices", ItemList)
        found.styles.height = min(len(self._options) + 2, 24)
        widest = max((len(one.label) for one in self._options), default=0)
        found.show((), [(number, self._line(one, min(widest, 40))) for number, one in enumerate(self._options)])
        found.select_key(self._start)
        found.focus()
        self.query_one("#dialog-keys", Row).show(
            line(span(" ⏎", "key"), span(" or its letter    "), span("esc", "key"), span(" cancel"))
        )

    def _line(self, one: Option[T], cells: int) -> Line:
        role = "note" if one.why_not else ""
        return line(
            span(f" {one.key}  ", "note" if one.why_not else "key"),
            span(fit(clean(one.label), cells), role),
            span(f"   {one.why_not or one.note}", "note"),
        )

    def on_key(self, event: events.Key) -> None:
        for one in self._options:
            if event.character == one.key:
                event.stop()
                event.prevent_default()
                self._take(one)
                return

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        number = self.query_one("#choices", ItemList).selected_key
        if isinstance(number, int):
            self._take(self._options[number])

    def _take(self, one: Option[T]) -> None:
        if one.why_not:
            self.notify(one.why_not, severity="warning", markup=False)
        else:
            self.dismiss(one.value)

    def action_cancel(self) -> None:
        self.dismiss(None)


class Ask(ModalScreen[str | None]):
    """Prompt for one line of text, which must be valid."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", show=False)]

    def __init__(
        self, title: str, text: Sequence[Line], *, value: str = "", check: Callable[[str], str] = lambda _: ""
    ) -> None:
        """`check` returns the error in a text, empty if it is valid."""
        super().__init__()
        self._title = title
        self._text = text
        self._value = value
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content(clean(self._title))
            yield TextPane(id="dialog-text", indent=2)
            yield ShortInput(self._value, compact=True, id="ask-input", select_on_focus=False)
            yield Row(id="ask-problem")
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        pane = self.query_one("#dialog-text", TextPane)
        pane.can_focus = False
        pane.styles.height = len(self._text) + 1
        pane.show(self._text)
        field = self.query_one("#ask-input", Input)
        field.cursor_position = len(self._value)
        field.focus()
        self.query_one("#dialog-keys", Row).show(
            line(span(" ⏎", "key"), span(" go on    "), span("esc", "key"), span(" cancel"))
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one("#ask-problem", Row).show(())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        problem = self._check(event.value)
        if problem:
            self.query_one("#ask-problem", Row).show(line(span(f" {problem}", "bad")))
        else:
            self.dismiss(event.value)

    def action_cancel(self) -> None:
        self.dismiss(None)


class ColumnsDialog(ModalScreen[Sequence[str] | None]):
    """Columns of a list, and their order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,x", "toggle_column", "toggle", show=False),
        Binding("K,less_than_sign", "shift(-1)", "earlier", show=False),
        Binding("J,greater_than_sign", "shift(1)", "later", show=False),
        Binding("r", "reset", "reset", show=False),
        Binding("enter", "take", "take", show=False),
        Binding("escape,q", "cancel", "cancel", show=False),
    ]

    def __init__(self, known: Sequence[str], chosen: Sequence[str]) -> None:
        super().__init__()
        self._order = [*chosen, *[name for name in known if name not in chosen]]
        self._chosen = set(chosen)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content("Columns")
            yield ItemList(id="choices")
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        found = self.query_one("#choices", ItemList)
        found.styles.height = len(self._order) + 2
        self._show()
        found.focus()
        keys_line = [("space", "on/off"), ("J K", "move"), ("r", "as it was made"), ("⏎", "take"), ("esc", "cancel")]
        parts = [part for key, word in keys_line for part in (span(f" {key}", "key"), span(f" {word}  "))]
        self.query_one("#dialog-keys", Row).show(line(*parts))

    def _show(self) -> None:
        self.query_one("#choices", ItemList).show(
            (),
            [
                (name, line(span(" ✓ " if name in self._chosen else " · ", "good" if name in self._chosen else "note"),
                            span(name, "" if name in self._chosen else "note")))
                for name in self._order
            ],
        )  # fmt: skip

    @property
    def _selected(self) -> str:
        return str(self.query_one("#choices", ItemList).selected_key)

    def action_toggle_column(self) -> None:
        self._chosen ^= {self._selected}
        self._show()

    def action_shift(self, by: int) -> None:
        place = self._order.index(self._selected)
        name = self._order.pop(place)
        self._order.insert(max(0, min(len(self._order), place + by)), name)
        self._show()

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_take()

    def action_take(self) -> None:
        self.dismiss([name for name in self._order if name in self._chosen])

    def action_reset(self) -> None:
        self.dismiss([])

    def action_cancel(self) -> None:
        self.dismiss(None)


class Reading(ModalScreen[None]):
    """Text to read in full."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,E", "close", "close", show=False)]

    def __init__(self, title: str, lines: Sequence[Line], *, at_end: bool = False) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._at_end = at_end

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-tall") as box:
            box.border_title = Content(clean(self._title))
            yield TextPane(id="dialog-text", indent=20)
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        pane = self.query_one("#dialog-text", TextPane)
        pane.show(self._lines)
        pane.focus()
        if self._at_end:
            self.call_after_refresh(pane.action_scroll_edge, 1)
        self.query_one("#dialog-keys", Row).show(
            line(span(" esc", "key"), span(" close   "), span("j k g G", "key"), span(" move"))
        )

    def action_close(self) -> None:
        self.dismiss(None)


class Help(ModalScreen[None]):
    """Keys of a screen, and the words of the filter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,f1", "close", "close", show=False)]

    def __init__(self, screen: str, table: Sequence[keys.Key] = keys.KEYS) -> None:
        super().__init__()
        self._screen = screen
        self._table = table

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-tall") as box:
            box.border_title = Content(f"Keys on {self._screen.capitalize()}, and the filter")
            yield TextPane(id="dialog-text", indent=20)
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        self.query_one("#dialog-text", TextPane).show(help_lines(self._screen, self._table))
        self.query_one("#dialog-keys", Row).show(
            line(span(" esc", "key"), span(" close   "), span("j k", "key"), span(" move"))
        )

    def action_close(self) -> None:
        self.dismiss(None)


def help_lines(screen: str, keys_table: Sequence[keys.Key] = keys.KEYS) -> list[Line]:
    """Format the help of a screen, from the table of keys and the filter's fields."""
    here = [key for key in keys.on_screen(screen, keys_table) if key.keys]
    rows: list[tuple[Span, ...]] = [(span(f" {key.shown}", "key"), span(key.help)) for key in here]
    fields = [(span(f" {one.name}", "key"), span(one.example, "strong"), span(one.meaning)) for one in FIELDS]
    return [
        *table(rows),
        line(),
        line(
            span(" The filter ", "heading"),
            span("a space means and; or, not (or -), parentheses; , or | between values"),
        ),
        line(),
        *table(fields),
        line(),
        line(span(' "free text" and /regex/ look into rows, statement and table name', "note")),
        line(span(" in the console also is:marked, is:edited, is:failed and is:gap; Tab completes", "note")),
    ]
