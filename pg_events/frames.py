"""The local variables of a frame, spelled out: bounded, and whatever their own methods do."""

import itertools
import reprlib
from types import FrameType
from typing import Final

from pg_events.text import one_line, shorten

MAX_VARIABLES: Final = 20
VALUE_CHARACTERS: Final = 200

_SPELLED: Final = reprlib.Repr()
_SPELLED.maxstring = _SPELLED.maxother = _SPELLED.maxlong = 100
_SPELLED.maxdict = _SPELLED.maxlist = _SPELLED.maxtuple = 12


def variables(frame: FrameType) -> dict[str, str] | None:
    """Those of a function, each cut to a line; None of a module, which has everything."""
    if frame.f_code.co_name == "<module>":
        return None
    found = itertools.islice(frame.f_locals.items(), MAX_VARIABLES)
    return {name: shorten(one_line(_spelled(value)), VALUE_CHARACTERS) for name, value in found}


def _spelled(value: object) -> str:
    try:
        return _SPELLED.repr(value)
    except Exception as error:  # noqa: BLE001 - a stranger's __repr__, __len__ or __iter__
        return f"<its repr raised {type(error).__name__}>"
