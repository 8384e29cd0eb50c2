"""How a playback goes on: told by one thread or a signal handler, obeyed by the thread that plays."""

import threading
import time
from dataclasses import dataclass
from typing import Final, Literal

Turn = Literal["deliver", "skip", "end"]

_LOOK_SECONDS: Final = 1.0
"""A signal handler may come between the look at what was told and the wait: look again so often."""


@dataclass(frozen=True)
class Pace:
    """How fast, how often, and how far."""

    speed: float | None = None
    """1 is that of the original, 10 ten times that; None is as fast as the callbacks are."""
    max_gap_seconds: float = 5.0
    """No pause is longer."""
    times: int = 1
    stop_on_error: bool = True

    def seconds(self, gap: float) -> float:
        """How long to wait where the original did for `gap` seconds."""
        return 0.0 if self.speed is None else max(0.0, min(gap / self.speed, self.max_gap_seconds))


class Steering:
    """Play, pause, step, skip, stop, at another speed: each from any thread, at any time."""

    def __init__(self, pace: Pace = Pace(), *, paused: bool = False) -> None:
        self._pace = pace
        self._is_paused = paused
        self._is_stopping = False
        self._steps = 0
        self._skips: set[int] = set()
        self._began = time.monotonic()
        self._due: float | None = None
        self._told = threading.Condition()  # on an RLock: a signal handler may interrupt the one who holds it

    # --- what is told ---------------------------------------------------------------------------------------------

    @property
    def pace(self) -> Pace:
        return self._pace

    @pace.setter
    def pace(self, pace: Pace) -> None:
        """Holds for the pause that is going on, too."""
        with self._told:
            self._pace = pace
            self._told.notify_all()

    def play(self) -> None:
        with self._told:
            self._is_paused = False
            self._steps = 0
            self._told.notify_all()

    def pause(self) -> None:
        """Finish the event in hand, then wait."""
        with self._told:
            self._is_paused = True
            self._told.notify_all()

    def step(self) -> None:
        """Deliver one event more, without waiting for its time, then wait."""
        with self._told:
            self._is_paused = True
            self._steps += 1
            self._told.notify_all()

    def skip(self, position: int) -> None:
        """Do not deliver the event at that position of the source."""
        with self._told:
            self._skips.add(position)
            self._told.notify_all()

    def stop(self) -> None:
        """Finish the event in hand and end."""
        with self._told:
            self._is_stopping = True
            self._told.notify_all()

    # --- what is so -----------------------------------------------------------------------------------------------

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping

    @property
    def due_seconds(self) -> float | None:
        """In how many seconds the next event's time comes; None when nothing waits for that."""
        due = self._due
        return None if due is None else max(0.0, due - time.monotonic())

    # --- the one who plays ----------------------------------------------------------------------------------------

    def turn(self, position: int, gap: float) -> Turn:
        """Wait until it is the turn of the event at that position, which came `gap` seconds after the one before."""
        with self._told:
            while True:
                if self._is_stopping:
                    return self._taken("end")
                if position in self._skips:
                    self._skips.remove(position)
                    return self._taken("skip")
                if self._steps:
                    self._steps -= 1
                    return self._taken("deliver")
                left = _LOOK_SECONDS
                if not self._is_paused:
                    self._due = self._began + self._pace.seconds(gap)
                    left = self._due - time.monotonic()
                    if left <= 0:
                        return self._taken("deliver")
                else:
                    self._due = None
                self._told.wait(min(left, _LOOK_SECONDS))

    def _taken(self, turn: Turn) -> Turn:
        self._due = None
        if turn == "deliver":
            self._began = time.monotonic()
        return turn
