"""The filter of a screen: its text, whether it is on, and what was wrong with what is being typed. Knows no Textual."""

from collections.abc import Callable
from typing import Any, Final

from pg_events.errors import FilterError
from pg_events.filter import Filter, parse
from pg_events.filter_value import quote

MAX_HISTORY: Final = 50


class Filtering:
    """A text that cannot be read leaves the last one that could in force."""

    def __init__(self, read: Callable[[str], Filter] = parse) -> None:
        """`read` makes a filter of a text, or raises `FilterError`."""
        self._read = read
        self.text = ""
        """What is applied; kept while the filter is off."""
        self.on = False
        self.wanted: Filter | None = None
        """What is in force; None shows everything."""
        self.error: FilterError | None = None
        self.history: list[str] = []
        """Filters that were kept, the newest last."""
        self._before = ("", False)

    def apply(self, text: str, on: bool) -> bool:
        """Put a text in force, or take it off; False when it cannot be read: see `error`."""
        try:
            wanted = self._read(text) if on else None
        except FilterError as error:
            self.error = error
            return False
        self.error, self.wanted, self.text, self.on = None, wanted, text, on
        return True

    def begin(self) -> None:
        """The user starts to type: what is in force now can be had back."""
        self._before = (self.text, self.on)
        self.error = None

    def take_back(self) -> None:
        self.apply(*self._before)

    def keep(self) -> None:
        """The user is content with what was typed."""
        self.error = None
        remember(self.history, self.text)


def remember(history: list[str], text: str) -> None:
    """Put the text at the end of a history without doubles."""
    if text.strip():
        history[:] = [*[one for one in history if one != text], text][-MAX_HISTORY:]


def narrowed(text: str, condition: str) -> str:
    """The filter that asks for the condition, too."""
    if not text.strip():
        return condition
    return f"({text}) {condition}" if " or " in text.lower() else f"{text} {condition}"


def spelt(value: Any) -> str:
    """A value as a filter reads it: text in quotes, the rest as it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    return str(value)
