"""Checks the conditions of `PG_EVENTS_WHEN`, which run inside users' writes with the privileges of the schema's owner."""

import re
from typing import Final

from pg_events.errors import UsageError
from pg_events.text import one_line

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
    |(?P<refused>/\*|[uU]&["'])
    |(?P<text>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<number>\d+(?:\.\d*)?|\.\d+)
    |(?P<name>"(?:[^"]|"")*"|[^\W\d][\w$]*)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_QUALIFIERS: Final = frozenset({"old", "new", "pg_catalog"})


def check_names(condition: str) -> None:
    """Raise `UsageError` if a condition uses anything but the row and PostgreSQL's own functions, types and operators.

    A name without a schema is PostgreSQL's own, so only qualified names are a danger.
    """
    before: list[str] = []
    for token in _TOKEN.finditer(condition):
        if token["space"]:
            continue
        if token["refused"]:
            raise UsageError(f"{one_line(condition)!r}: write it without {token[0]}")
        if token["name"] and before[-1:] == ["."] and len(before) > 1:
            qualifier = _folded(before[-2])
            if qualifier is not None and qualifier not in _QUALIFIERS:
                raise UsageError(
                    f"{one_line(condition)!r}: {one_line(before[-2])}.{one_line(token[0])} is not PostgreSQL's own; a condition "
                    "may use old, new and what is in pg_catalog"
                )
        before = [*before[-1:], token[0]]


def _folded(name: str) -> str | None:
    """Name as PostgreSQL reads it; None for a token that is not a name."""
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return name.lower() if re.match(r"[^\W\d]", name) else None
