"""Completion of a typed filter: its fields, and the values seen so far. Pure."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from pg_events.filter.conditions import quote
from pg_events.filter.parser import FIELDS
from pg_events_tui.commands.completion import Completion, matching
from pg_events_tui.model.filtering import CONSOLE_WORDS

Seen = Callable[[str], Sequence[str]]
"""Returns the names seen so far of a kind: `table`, `user`, `app`, `tag` or `column`."""

_LAST: Final = re.compile(r"""[^\s()]*$""")
_CONDITION: Final = re.compile(r"(\w+)(!=|:|=)(.*[,|])?(.*)$")
_PATH: Final = re.compile(r"(new|old)\.(\w*)$")
_VALUES: Final = {
    "is": ("ddl", "data", "extension", *CONSOLE_WORDS),
    "op": ("insert", "update", "delete", "truncate", "ddl"),
}
_SEEN: Final = {"table": "table", "user": "user", "app": "app", "tag": "tag", "event": "event", "col": "column"}


def completion(text: str, seen: Seen) -> Completion:
    """Complete the last word: a field, or a value of the field before it."""
    last = _LAST.search(text)
    assert last is not None
    start = last.start() + (last[0].startswith("-"))
    word = text[start:]
    path = _PATH.match(word)
    if path is not None:
        return Completion(start + len(path[1]) + 1, matching(map(_spelt, seen("column")), path[2]))
    condition = _CONDITION.match(word)
    if condition is not None:
        begin = condition[4]
        values = _VALUES.get(condition[1]) or list(map(_spelt, seen(_SEEN.get(condition[1], ""))))
        found = matching(values, begin)
        if not found and condition[1] == "table":  # a table matches without its schema, too
            found = matching((name.rpartition(".")[2] for name in values), begin)
        return Completion(len(text) - len(begin), found)
    fields = [f"{one.name}{'.' if one.name in ('new', 'old') else ':'}" for one in FIELDS]
    return Completion(start, matching(fields, word))


def _spelt(name: str) -> str:
    return name if re.fullmatch(r"[\w.]+", name) else quote(name)
