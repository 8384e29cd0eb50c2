"""Time of the console: the current moment and the time zone of the display."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo


def _system_time() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True)
class Clock:
    """Current moment and time zone; tests stop the former."""

    now: Callable[[], datetime] = _system_time
    zone: tzinfo | None = None
    """Time zone of the display; None is local time."""

    @property
    def seconds(self) -> float:
        """Seconds since 1970."""
        return self.now().timestamp()
