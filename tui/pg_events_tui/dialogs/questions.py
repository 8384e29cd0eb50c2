"""Questions, choices and prompts. A question's default is no, and it shows its keys."""

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

from pg_events.text import clean
from pg_events_tui.text.lines import Line, fit, line, span
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
