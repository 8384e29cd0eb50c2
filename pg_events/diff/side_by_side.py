"""Two rows side by side: entry by entry, down into JSON values. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from pg_events.diff.changes import MAX_DEPTH, Member, Sign, Step, alike, members, same, sign

INSIDE: Final = object()
"""Marker of a value whose members follow, one level deeper."""

MAX_ENTRIES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """Value of the old row, and its counterpart in the new one; `MISSING` if there is none."""

    sign: Sign
    depth: int
    """Depth of the value; 0 for a column."""
    at_old: Step
    """Column, key or position in the old row."""
    at_new: Step
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Fold:
    """Number of equal entries that are omitted."""

    depth: int
    count: int


Page = list[Entry | Fold]


def split(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, *, whole: bool = False) -> Page:
    """Differences with their context, up to `MAX_ENTRIES`; `whole` includes equal entries."""
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
    """Fold for equal entries, unless it is a single small one, which takes no more space itself."""
    if depth and len(left_out) == 1 and not isinstance(left_out[0].new, dict | list):
        yield Entry(" ", depth, *left_out[0])
    elif left_out:
        yield Fold(depth, len(left_out))
