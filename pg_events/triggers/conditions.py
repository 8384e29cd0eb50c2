"""Check of the conditions in `PG_EVENTS_WHEN`: they run inside the users' writes with the rights of the schema's owner."""

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
    """Raise `UsageError` when a condition reaches outside the row and PostgreSQL's own functions, types and operators.

    Without a schema a name means PostgreSQL's own, so a name is only a danger behind another one and a dot.
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
    """A name as PostgreSQL reads it; None for a token that is no name."""
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return name.lower() if re.match(r"[^\W\d]", name) else None
