"""Limits the time of regular expressions, which can backtrack endlessly and block everything else.

The engine of `re` checks for signals, so that a timer of CPU time can stop it, in the main thread only.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

SECONDS: Final = 1.0
"""CPU time, independent of the load of the machine."""


class TakesTooLong(Exception):
    """The time limit was exceeded."""


@contextmanager
def limited(seconds: float = SECONDS) -> Generator[None]:
    """Raise `TakesTooLong` in a block that exceeds the limit. Without effect outside the main thread; do not nest."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise TakesTooLong

    signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
