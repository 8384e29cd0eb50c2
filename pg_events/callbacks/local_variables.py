"""Text of the local variables of a frame: bounded, without secrets, and robust against their own methods."""

import itertools
import reprlib
from types import FrameType
from typing import Any, Final

from pg_events.text import one_line, shorten
from pg_events.text.masking import MASK, is_secret, without_passwords

MAX_VARIABLES: Final = 20
VALUE_CHARACTERS: Final = 200
_MASKED_CHARACTERS: Final = 4_000
"""Maximum length of a repr that is searched for secrets; the rest is dropped, so that no secret is cut in half."""


def variables(frame: FrameType) -> dict[str, str] | None:
    """Variables of a function, each cut to a line; None for a module, which has too many."""
    if frame.f_code.co_name == "<module>":
        return None
    found = itertools.islice(frame.f_locals.items(), MAX_VARIABLES)
    return {
        name: MASK if is_secret(name) else shorten(one_line(_spelled(value)), VALUE_CHARACTERS) for name, value in found
    }


class _Spelling(reprlib.Repr):
    """Repr as of `reprlib`, but values are masked before they are cut, and only the beginning is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlong = 100
        self.maxdict = self.maxlist = self.maxtuple = 12
        self.characters = 100

    def repr_str(self, x: str, level: int) -> str:  # noqa: ARG002 - reprlib's signature
        return self._cut(repr(without_passwords(x[:_MASKED_CHARACTERS])))

    def repr_instance(self, x: object, level: int) -> str:  # noqa: ARG002
        try:
            return self._cut(repr(x))
        except Exception:  # noqa: BLE001 - a stranger's __repr__; its neighbours are shown all the same
            return f"<{type(x).__name__} instance at {id(x):#x}>"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if not x:
            return "{}"
        if level <= 0:
            return "{...}"
        pairs = [
            f"{self.repr1(key, level - 1)}: {repr(MASK) if _is_secret(key) else self.repr1(value, level - 1)}"
            for key, value in itertools.islice(x.items(), self.maxdict)
        ]
        return "{" + ", ".join(pairs + ["..."] * (len(x) > self.maxdict)) + "}"

    def _cut(self, text: str) -> str:
        return shorten(without_passwords(text[:_MASKED_CHARACTERS]), self.characters)


def _is_secret(key: object) -> bool:
    if isinstance(key, bytes):
        key = key[:200].decode("latin-1")
    return isinstance(key, str) and is_secret(key[:200])


_SPELLED: Final = _Spelling()


def _spelled(value: object) -> str:
    try:
        return without_passwords(_SPELLED.repr(value))
    except Exception as error:  # noqa: BLE001 - a stranger's __repr__, __len__ or __iter__
        return f"<its repr raised {type(error).__name__}>"
