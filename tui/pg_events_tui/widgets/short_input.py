"""Input field that stays responsive whatever is pasted."""

from typing import Any, Final

from textual import events
from textual.widgets import Input

MAX_CHARACTERS: Final = 10_000


class ShortInput(Input):
    """Field for one line of reasonable length, with a message if it is exceeded."""

    def __init__(self, value: str = "", **options: Any) -> None:
        """`options` are those of Textual's `Input`."""
        super().__init__(value, max_length=MAX_CHARACTERS, **options)

    def on_paste(self, event: events.Paste) -> None:
        """Join pasted lines with spaces; Textual would keep only the first one."""
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
