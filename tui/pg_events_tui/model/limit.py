"""Ends what takes too long: a regular expression can backtrack without end, and while it does nothing else runs.

The engine of `re` looks for signals now and then, so a timer of the processor's time can end it, in the main thread only.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

SECONDS: Final = 1.0
"""Of the processor, whatever else the machine does."""


class TakesTooLong(Exception):
    """It was ended."""


@contextmanager
def limited(seconds: float = SECONDS) -> Generator[None]:
    """Raise `TakesTooLong` out of what takes longer. Beside the main thread nothing is limited; not to be nested."""
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
