"""Filter of a screen: its text, whether it is on, and the error while typing. Independent of Textual."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pg_events.errors import FilterError
from pg_events.filter.parser import Filter, parse
from pg_events.filter.values import quote

MAX_HISTORY: Final = 50


CONSOLE_WORDS: Final = ("marked", "edited", "failed", "gap")
"""Values of `is:` that only the console can evaluate; the log does not know them."""

_CONSOLE_WORD: Final = re.compile(rf"(?<![\w.:])(-?)is:({'|'.join(CONSOLE_WORDS)})(?![\w*.,|])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class ConsoleWord:
    """Condition that only the console can evaluate."""

    word: str
    holds: bool
    """True if the condition must hold, False if it must not."""


def divided(text: str) -> tuple[str, tuple[ConsoleWord, ...]]:
    """Split a filter into the log's part (with unchanged character positions), and the console's conditions.

    Raises `FilterError` for a console condition inside `or` or parentheses, because it applies to the whole filter.
    """
    bare = _QUOTED.sub(lambda found: "x" * len(found[0]), text)
    found = list(_CONSOLE_WORD.finditer(bare))
    if found and (re.search(r"(?i)(?<!\S)or(?!\S)", bare) or "(" in bare or re.search(r"(?i)(?<!\S)not\s+-?is:", bare)):
        word = found[0][2]
        raise FilterError(f"is:{word} stands beside the rest: not behind not, not with or, not in parentheses",
                          text, found[0].start())  # fmt: skip
    for one in found:
        text = text[: one.start()] + " " * len(one[0]) + text[one.end() :]
    return text, tuple(ConsoleWord(one[2], not one[1]) for one in found)


class Filtering:
    """Filter text and its parsed form. After an invalid text, the last valid one remains in force."""

    def __init__(self, read: Callable[[str], Filter] = parse) -> None:
        """`read` parses a text to a filter, or raises `FilterError`."""
        self._read = read
        self.text = ""
        """Applied text; kept while the filter is off."""
        self.on = False
        self.wanted: Filter | None = None
        """Filter in force; None shows everything."""
        self.console_words: tuple[ConsoleWord, ...] = ()
        """Conditions in force that only the console can evaluate."""
        self.error: FilterError | None = None
        self.history: list[str] = []
        """Filters that were accepted, the newest last."""
        self._before = ("", False)

    def apply(self, text: str, on: bool) -> bool:
        """Apply a text, or turn it off. Returns False if it is not valid; see `error`."""
        try:
            asked, words = divided(text) if on else ("", ())
            wanted = self._read(asked) if asked.strip() else None
        except FilterError as error:
            self.error = error
            return False
        self.error, self.wanted, self.text, self.on = None, wanted, text, on
        self.console_words = words
        return True

    def begin(self) -> None:
        """Begin editing, and remember the filter in force to restore it."""
        self._before = (self.text, self.on)
        self.error = None

    def take_back(self) -> None:
        self.apply(*self._before)

    def keep(self) -> None:
        """Accept the typed text."""
        self.error = None
        remember(self.history, self.text)


def remember(history: list[str], text: str) -> None:
    """Append the text to a history without duplicates."""
    if text.strip():
        history[:] = [*[one for one in history if one != text], text][-MAX_HISTORY:]


def narrowed(text: str, condition: str) -> str:
    """Return the filter with one more condition."""
    if not text.strip():
        return condition
    return f"({text}) {condition}" if " or " in text.lower() else f"{text} {condition}"


def spelt(value: Any) -> str:
    """Format a value for a filter: texts in quotes, others as they are."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    return str(value)
