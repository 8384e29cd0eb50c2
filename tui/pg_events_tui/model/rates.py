"""Counts of events, in total and by table, over the last seconds and minutes; and their delays. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

SECONDS: Final = 60
MINUTES: Final = 60
MAX_TABLES: Final = 2_000
"""Maximum number of tables counted separately."""
OTHERS: Final = "(others)"


class Series:
    """Counts by second and by minute."""

    __slots__ = ("last", "minutes", "most", "seconds", "total")

    def __init__(self) -> None:
        self.seconds: dict[int, int] = {}
        self.minutes: dict[int, int] = {}
        self.total = 0
        self.last = 0.0
        """Time of the last event."""
        self.most = 0
        """Maximum in one second."""

    def add(self, count: int, now: float) -> None:
        second, minute = int(now), int(now // 60)
        self.seconds[second] = self.seconds.get(second, 0) + count
        self.minutes[minute] = self.minutes.get(minute, 0) + count
        self.total += count
        self.last = now
        self.most = max(self.most, self.seconds[second])
        for kept, oldest in ((self.seconds, second - SECONDS), (self.minutes, minute - MINUTES)):
            if len(kept) > SECONDS + 4:
                for old in [one for one in kept if one < oldest]:
                    del kept[old]

    def per_second(self, now: float) -> float:
        """Mean of the last two whole seconds."""
        second = int(now)
        return (self.seconds.get(second - 1, 0) + self.seconds.get(second - 2, 0)) / 2

    def by_second(self, now: float, length: int, step: int = 1) -> list[int]:
        """Counts of the last `length` spans of `step` whole seconds, oldest first."""
        return _series(self.seconds, int(now), length, step)

    def by_minute(self, now: float, length: int) -> list[int]:
        """Counts of the last `length` minutes, including the current one, oldest first."""
        return _series(self.minutes, int(now // 60) + 1, length, 1)


def _series(counts: Mapping[int, int], end: int, length: int, step: int) -> list[int]:
    return [sum(counts.get(end - back * step + one, 0) for one in range(step)) for back in range(length, 0, -1)]


class TableRates:
    """Series by table."""

    def __init__(self) -> None:
        self.tables: dict[str, Series] = {}
        self.since = 0.0
        """Time at which counting began."""

    def add(self, counts: Mapping[str, int], now: float) -> None:
        self.since = self.since or now
        for table, count in counts.items():
            name = table if table in self.tables or len(self.tables) < MAX_TABLES else OTHERS
            self.tables.setdefault(name, Series()).add(count, now)


def percentiles(values: Iterable[float], shares: Sequence[float] = (0.5, 0.99, 1.0)) -> list[float]:
    """Return the percentiles of the values; empty without values."""
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in shares] if ordered else []
