"""How tests wait: for the thing itself where it can be waited for, and by looking again where it cannot."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
"""Longer than anything here takes: a test waits so long only when it fails."""


def until(
    condition: Callable[[], object],
    what: str = "what was waited for",
    said: Callable[[], object] = str,
    seconds: float = PATIENCE_SECONDS,
) -> None:
    """Look until it is true. Only for states that nobody tells of: what another process has made of its files, what a
    server's views show, how far a thread of the program under test is. `said` is what to show when it stays false."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{said()}"
        time.sleep(0.01)


def ended(pids: Iterable[int], seconds: float = PATIENCE_SECONDS) -> None:
    """Until none of the processes runs, children or not; one that nobody has reaped has ended."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([handle], [], [], seconds)[0], f"process {pid} still runs"
        finally:
            os.close(handle)


class Arrivals(list[Any]):
    """What a callback in another thread appends, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def append(self, item: Any) -> None:
        with self._changed:
            super().append(item)
            self._changed.notify_all()

    def until(self, condition: Callable[["Arrivals"], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), PATIENCE_SECONDS), f"only {self}"

    def wait(self, number: int) -> None:
        self.until(lambda found: len(found) >= number)


class Signal:
    """A named pipe between a test and a callback in another process.

    The callback says something by `open(name, "w").write("x")`, and waits by `open(name).read(1)`.
    """

    def __init__(self, name: str | Path) -> None:
        os.mkfifo(name)
        self._descriptor = os.open(name, os.O_RDWR)  # both ends: neither side waits for the other to open it

    def wait(self) -> None:
        assert select.select([self._descriptor], [], [], PATIENCE_SECONDS)[0], "nothing was said"
        os.read(self._descriptor, 1)

    def give(self) -> None:
        os.write(self._descriptor, b"x")

    def __del__(self) -> None:
        os.close(self._descriptor)
