"""Targets of `@`: an event's number, or a time. Independent of Textual."""

import re
from collections.abc import Callable
from typing import Final

from pg_events.errors import FilterError
from pg_events.filter.conditions import And, Condition, Time
from pg_events.filter.parser import Filter, parse
from pg_events.filter.values import quote
from pg_events_tui.model.store import Store

_NUMBER: Final = re.compile(r"#\d{1,19}|\d{1,19}", re.ASCII)


def row(store: Store, text: str, read: Callable[[str], Filter] = parse) -> int | None:
    """Return the target row, or None if there is none; see `problem`. `read` parses a text to a filter."""
    wanted = text.strip()
    if _NUMBER.fullmatch(wanted):
        return store.row_of_id(int(wanted.removeprefix("#")))
    moment = _moment(wanted, read)
    return None if moment is None else store.row_at(moment)


def problem(store: Store, text: str, read: Callable[[str], Filter] = parse) -> str:
    """Describe the error in the text; empty if it is valid."""
    wanted = text.strip()
    if _NUMBER.fullmatch(wanted):
        number = wanted.removeprefix("#")
        return "" if row(store, wanted) is not None else f"event #{number} is not among those kept here"
    return (
        "" if _moment(wanted, read) is not None else "no time and no number: 14:01:07, 2026-08-22T14:01, 5m or #184220"
    )


def _moment(text: str, read: Callable[[str], Filter]) -> float | None:
    """Parse a time as in filters, as seconds since 1970."""
    try:
        condition: Condition = read(f"since:{quote(text)}").condition
    except FilterError:
        return None
    parts = condition.parts if isinstance(condition, And) else (condition,)
    return next((part.at.timestamp() for part in parts if isinstance(part, Time)), None)
