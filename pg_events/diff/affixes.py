"""Common beginning and end of two texts. Fast for texts of any size. Pure."""

from collections.abc import Callable
from typing import Final, NamedTuple

_BLOCK: Final = 65_536


class Common(NamedTuple):
    """Number of common characters at both ends; they do not overlap in either text."""

    start: int
    end: int


def common(old: str, new: str) -> Common:
    """Common affixes; the difference is `old[start:len(old) - end]`, and likewise in `new`."""
    shorter = min(len(old), len(new))
    start = _shared(shorter, lambda begin, end: old[begin:end] == new[begin:end])
    left, right = len(old), len(new)
    end = _shared(
        shorter - start, lambda begin, end: old[left - end : left - begin] == new[right - end : right - begin]
    )
    return Common(start, end)


def _shared(length: int, are_equal: Callable[[int, int], bool]) -> int:
    """Number of equal characters among the first `length`; `are_equal` compares a range."""
    begin = 0
    while begin < length and are_equal(begin, min(begin + _BLOCK, length)):
        begin += _BLOCK
    end = min(begin + _BLOCK, length)
    while begin < end:
        middle = (begin + end + 1) // 2
        if are_equal(begin, middle):
            begin = middle
        else:
            end = middle - 1
    return min(begin, length)
