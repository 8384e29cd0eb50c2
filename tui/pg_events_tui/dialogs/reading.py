"""Texts to read: messages, numbers, and the help."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from pg_events.filter.parser import FIELDS
from pg_events.text import clean
from pg_events_tui.text.lines import Line, Span, line, span, table
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.rows import Row
from pg_events_tui.widgets.text_pane import TextPane


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

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "documentation", "documentation", show=False),
        Binding("escape,q,question_mark,f1", "close", "close", show=False),
    ]

    def __init__(
        self, screen: str, table: Sequence[keys.Key] = keys.KEYS, *, open_documentation: Callable[[], object]
    ) -> None:
        super().__init__()
        self._open_documentation = open_documentation
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
            line(
                span(" d", "key"), span(" documentation   "), span("j k", "key"), span(" move   "),
                span("esc", "key"), span(" close"),
            )
        )  # fmt: skip

    def action_documentation(self) -> None:
        self.dismiss(None)
        self._open_documentation()

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
