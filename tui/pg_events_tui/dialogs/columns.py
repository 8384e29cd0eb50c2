"""Choice of the columns of a list."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from pg_events_tui.text.lines import line, span
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import Row


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
