"""Completion of typed text: the common part first, then each candidate in turn. Pure."""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple


class Completion(NamedTuple):
    """Candidates for the text from a position to its end."""

    start: int
    candidates: Sequence[str]


NOTHING: Final = Completion(0, ())


def matching(names: Iterable[str], begin: str) -> list[str]:
    """Return the names with this beginning in any case, without duplicates and in their order."""
    low = begin.casefold()
    return list(dict.fromkeys(name for name in names if name.casefold().startswith(low)))


class Completer:
    """Completion by the Tab key in a field."""

    def __init__(self, find: Callable[[str], Completion]) -> None:
        self._find = find
        self._told = ""
        self._round: tuple[str, Completion] | None = None
        self._place = 0

    def candidates(self, text: str) -> Sequence[str]:
        """Return the candidates for the end of the text."""
        if self._round is not None and text == self._told:
            return self._round[1].candidates
        return self._find(text).candidates

    def press(self, text: str, back: bool = False) -> str:
        """Return the completed text; if pressed again, with the next candidate instead of the last."""
        if self._round is not None and text == self._told:
            self._place += -1 if back else 1
        else:
            found = self._find(text)
            if not found.candidates:
                return text
            certain = text[: found.start] + _certain(text[found.start :], found.candidates)
            if certain != text:
                self._round = None
                return certain
            self._round, self._place = (text, found), len(found.candidates) - 1 if back else 0
        text, found = self._round
        self._told = text[: found.start] + found.candidates[self._place % len(found.candidates)]
        return self._told


def _certain(begin: str, candidates: Sequence[str]) -> str:
    """Return the common beginning of all candidates."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*candidates, strict=False))
    prefix = "".join(letters[0] for letters in alike)
    return prefix if len(prefix) > len(begin) or len(candidates) == 1 else begin
