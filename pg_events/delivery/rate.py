"""Rate limit of a consumer's calls, over all of its workers.

The database has the time of the consumer's next call. A worker reserves a few calls at a time by moving that time; those
that it does not make in time are lost, so that the limit is never exceeded by much.
"""

import time
from typing import Final

from pg_events.delivery.shares import Shares

_WINDOW_SECONDS: Final = 0.1
"""Maximum time that a worker reserves at once, unless a single call takes more."""
_LATE_SECONDS: Final = 0.02
"""Time after which a reserved call is lost."""


class RateLimit:
    """Turns of one worker. Not thread-safe."""

    def __init__(self, shares: Shares, calls_per_second: float | None) -> None:
        """Limit the calls; None for no limit."""
        self._shares = shares
        self._rate = calls_per_second
        self._count = 1
        """Number of calls to reserve next."""
        self._left = 0
        """Reserved calls that were not made yet."""
        self._next_at = self._until = 0.0

    @property
    def is_limited(self) -> bool:
        return self._rate is not None

    def delay(self) -> float:
        """Seconds until the next call may begin; 0.0 takes the turn. Raises `DatabaseUnreachable`."""
        if self._rate is None:
            return 0.0
        now = time.monotonic()
        if not self._left or now > self._until:
            self._reserve(self._rate)
            now = time.monotonic()
        if now < self._next_at:
            return self._next_at - now
        self._left -= 1
        self._next_at += 1 / self._rate
        return 0.0

    def _reserve(self, rate: float) -> None:
        """Reserve more calls than last time if all were made, else as many as were made."""
        made = self._count - self._left
        maximum = max(1, int(rate * _WINDOW_SECONDS))
        self._count = min(maximum, self._count * 2 if not self._left else max(1, made))
        self._left = self._count
        seconds = self._count / rate
        wait = self._shares.reserve_calls(seconds)
        self._next_at = time.monotonic() + max(0.0, wait)
        self._until = self._next_at + seconds + _LATE_SECONDS
