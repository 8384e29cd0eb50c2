"""Formats sizes, ages and durations."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from pg_events.text.cleaning import one_line, shorten

_PAIRS: Final = 6
_PAIR_CHARACTERS: Final = 40
_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def format_bytes(count: float) -> str:
    """Format bytes as `800 B`, `62 MB`, `1.3 GB`, in powers of 1000."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def format_age(age: timedelta) -> str:
    """Format an age as `30d`, in the largest unit that divides it, as in settings and options."""
    seconds = int(age.total_seconds())
    return next(f"{seconds // length}{unit}" for unit, length in _SECONDS.items() if seconds % length == 0)


def format_duration(seconds: float) -> str:
    """Format seconds as `12 s`, `3 min`, `5 h` or `40 d`, in one unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_seconds(seconds: float) -> str:
    """Format seconds as `80 ms`, `4.2 s`, `3 min`, `2 h 10 min` or `40 d`, as precise as a few characters allow."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds / 86_400:.0f} d"


def format_pairs(values: Mapping[str, object]) -> str:
    """Format a mapping as `user=42 route=/orders`, shortened to a few pairs on one line."""
    pairs = [
        f"{shorten(one_line(key), _PAIR_CHARACTERS)}={shorten(one_line(_format_value(value)), _PAIR_CHARACTERS)}"
        for key, value in [*values.items()][:_PAIRS]
    ]
    return " ".join([*pairs, "…"] if len(values) > _PAIRS else pairs)


def _format_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
