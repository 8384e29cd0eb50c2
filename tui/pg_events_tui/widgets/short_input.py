"""A field for what a person types: whatever somebody pastes, it stays quick."""

from typing import Any, Final

from textual import events
from textual.widgets import Input

MAX_CHARACTERS: Final = 10_000


class ShortInput(Input):
    """Takes one line that a person can have meant, and says so when it is given more."""

    def __init__(self, value: str = "", **options: Any) -> None:
        """`options` are those of Textual's."""
        super().__init__(value, max_length=MAX_CHARACTERS, **options)

    def on_paste(self, event: events.Paste) -> None:
        """Lines become one, with a blank between them: Textual would leave all but the first out."""
        lines = event.text.splitlines()
        text = " ".join(line.strip() for line in lines if line.strip()) if len(lines) > 1 else event.text
        size = len(self.value) + len(text)
        if size <= MAX_CHARACTERS and len(lines) <= 1:
            return
        event.stop()
        event.prevent_default()
        if size > MAX_CHARACTERS:
            self.notify(
                f"{size:,} characters are too many: {MAX_CHARACTERS:,} at most; nothing was pasted", severity="warning"
            )
        else:
            self.replace(text, *self.selection)
