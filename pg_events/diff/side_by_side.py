"""Two rows as two pages that lie side by side: entry for entry, down into JSON values. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from pg_events.diff.changes import MAX_DEPTH, Member, Sign, Step, alike, members, same, sign

INSIDE: Final = object()
"""The value is told by the entries that follow, one level deeper."""

MAX_ENTRIES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One value on the old page, and what lies beside it on the new one; `MISSING` where nothing does."""

    sign: Sign
    depth: int
    """0 for a column."""
    at_old: Step
    """The column, key or position on the old page."""
    at_new: Step
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Fold:
    """So many entries are the same on both pages, and left out."""

    depth: int
    count: int


Page = list[Entry | Fold]


def split(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, *, whole: bool = False) -> Page:
    """What differs, and what it stands in; `whole` tells also what is the same. At most `MAX_ENTRIES`."""
    return list(islice(_entries(old or {}, new or {}, 0, whole), MAX_ENTRIES))


def _entries(old: Any, new: Any, depth: int, whole: bool) -> Iterator[Entry | Fold]:
    left_out: list[Member] = []
    for member in members(old, new):
        before, after = member.old, member.new
        if same(before, after):
            if whole:
                yield Entry(" ", depth, *member)
            else:
                left_out.append(member)
            continue
        yield from _folded(left_out, depth)
        left_out.clear()
        if depth < MAX_DEPTH and alike(before, after):
            yield Entry("~", depth, member.at_old, member.at_new, INSIDE, INSIDE)
            yield from _entries(before, after, depth + 1, whole)
        else:
            yield Entry(sign(before, after), depth, *member)
    yield from _folded(left_out, depth)


def _folded(left_out: Sequence[Member], depth: int) -> Iterator[Entry | Fold]:
    """A line about them; a single small one of a JSON value takes no more room itself, and tells more."""
    if depth and len(left_out) == 1 and not isinstance(left_out[0].new, dict | list):
        yield Entry(" ", depth, *left_out[0])
    elif left_out:
        yield Fold(depth, len(left_out))
