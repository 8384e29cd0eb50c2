"""Parses ages and sizes such as `30d` and `10GB`."""

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_POWERS: Final = {"B": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4}
_LONGEST: Final = timedelta(days=366 * 1000)
_SMALLEST: Final = 1_000_000
"""Minimum size in bytes; an empty log takes a few hundred thousand."""


def age(text: str) -> timedelta:
    """Parse `90m`, `12h`, `30d` or `8w`. Raises `ValueError` with a description of valid values."""
    match = re.fullmatch(r"([0-9]{1,7})([smhdw])", text.strip())
    if match is None:
        raise ValueError("an age: a number and s, m, h, d or w, such as 30d")
    found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if found > _LONGEST:
        raise ValueError("an age of less than a thousand years, such as 30d")
    return found


def size(text: str) -> int:
    """Parse `500MB`, `10GB` or `1.5TB` into bytes, in powers of 1000. Raises `ValueError` describing valid values."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([KMGT]?B)", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError("a size: a number and MB, GB or TB, such as 10GB")
    found = int(float(match[1]) * 1000 ** _POWERS[match[2].upper()])
    if found < _SMALLEST:
        raise ValueError("a size of at least 1MB, such as 10GB")
    return found
