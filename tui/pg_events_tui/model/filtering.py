"""The filter of a screen: its text, whether it is on, and what was wrong with what is being typed. Knows no Textual."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pg_events.errors import FilterError
from pg_events.filter.parser import Filter, parse
from pg_events.filter.values import quote

MAX_HISTORY: Final = 50


CONSOLE_WORDS: Final = ("marked", "edited", "failed", "gap")
"""What `is:` can ask for in the console only: the log does not know it."""

_CONSOLE_WORD: Final = re.compile(rf"(?<![\w.:])(-?)is:({'|'.join(CONSOLE_WORDS)})(?![\w*.,|])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class ConsoleWord:
    """A condition on what only the console knows."""

    word: str
    holds: bool
    """Whether it must be so, or must not."""


def divided(text: str) -> tuple[str, tuple[ConsoleWord, ...]]:
    """What the log can be asked for (each character in its place), and what only the console knows.

    Raises `FilterError` for the latter inside `or` or parentheses: it is asked for beside the rest.
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
    """A text that cannot be read leaves the last one that could in force."""

    def __init__(self, read: Callable[[str], Filter] = parse) -> None:
        """`read` makes a filter of a text, or raises `FilterError`."""
        self._read = read
        self.text = ""
        """What is applied; kept while the filter is off."""
        self.on = False
        self.wanted: Filter | None = None
        """What is in force; None shows everything."""
        self.console_words: tuple[ConsoleWord, ...] = ()
        """And what only the console knows."""
        self.error: FilterError | None = None
        self.history: list[str] = []
        """Filters that were kept, the newest last."""
        self._before = ("", False)

    def apply(self, text: str, on: bool) -> bool:
        """Put a text in force, or take it off; False when it cannot be read: see `error`."""
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
