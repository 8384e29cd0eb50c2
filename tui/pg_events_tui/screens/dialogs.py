"""What stands in front of a screen: a question, or the help. A question's default is no, and it prints its keys."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from pg_events.filter import FIELDS
from pg_events_tui import keys
from pg_events_tui.lines import Line, Span, line, span, table
from pg_events_tui.widgets.rows import Row
from pg_events_tui.widgets.text_pane import TextPane


class Question(ModalScreen[bool]):
    """Yes with `y`, and with nothing else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", show=False),
        Binding("n,escape,q,enter", "answer(False)", "no", show=False),
    ]

    def __init__(self, title: str, text: Sequence[Line], yes: str) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            yield TextPane(id="dialog-text", indent=2)
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        pane = self.query_one("#dialog-text", TextPane)
        pane.styles.height = len(self._text) + 2
        pane.show([line(), *self._text])
        self.query_one("#dialog-keys", Row).show(
            line(span(" y", "key"), span(f" {self._yes}    "), span("n / esc", "key"), span(" cancel (default)"))
        )

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Help(ModalScreen[None]):
    """All keys of a screen, and the words of the filter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,f1", "close", "close", show=False)]

    def __init__(self, screen: str) -> None:
        super().__init__()
        self._screen = screen

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-tall") as box:
            box.border_title = Content(f"Keys on {self._screen.capitalize()}, and the filter")
            yield TextPane(id="dialog-text", indent=20)
            yield Row(id="dialog-keys")

    def on_mount(self) -> None:
        self.query_one("#dialog-text", TextPane).show(help_lines(self._screen))
        self.query_one("#dialog-keys", Row).show(
            line(span(" esc", "key"), span(" close   "), span("j k", "key"), span(" move"))
        )

    def action_close(self) -> None:
        self.dismiss(None)


def help_lines(screen: str) -> list[Line]:
    """The help's text for a screen, from the table of keys and the filter's fields."""
    here = [key for key in keys.on_screen(screen) if key.keys]
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
    ]
