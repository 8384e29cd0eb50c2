"""Controls a playback: commands come from any thread or signal handler, the playing thread obeys."""

import threading
import time
from dataclasses import dataclass
from typing import Final, Literal

Turn = Literal["deliver", "skip", "end"]

_LOOK_SECONDS: Final = 1.0
"""Interval at which commands are checked: a signal handler may run between the check and the wait."""


@dataclass(frozen=True)
class Pace:
    """Speed, repetitions and limits of a playback."""

    speed: float | None = None
    """Factor of the original speed; None is as fast as the callbacks allow."""
    max_gap_seconds: float = 5.0
    """Maximum pause between events."""
    times: int = 1
    stop_on_error: bool = True

    def seconds(self, gap: float) -> float:
        """Seconds to wait for a gap of `gap` seconds in the original."""
        return 0.0 if self.speed is None else max(0.0, min(gap / self.speed, self.max_gap_seconds))


class Steering:
    """Commands to play, pause, step, skip, stop or change speed, from any thread at any time."""

    def __init__(self, pace: Pace = Pace(), *, paused: bool = False) -> None:
        self._pace = pace
        self._is_paused = paused
        self._is_stopping = False
        self._steps = 0
        self._skips: set[int] = set()
        self._began = time.monotonic()
        self._due: float | None = None
        self._told = threading.Condition()  # an RLock, because a signal handler may interrupt the thread that holds it

    # --- what is told ---------------------------------------------------------------------------------------------

    @property
    def pace(self) -> Pace:
        return self._pace

    @pace.setter
    def pace(self, pace: Pace) -> None:
        """Current pace; a new one applies to the current pause, too."""
        with self._told:
            self._pace = pace
            self._told.notify_all()

    def play(self) -> None:
        with self._told:
            self._is_paused = False
            self._steps = 0
            self._told.notify_all()

    def pause(self) -> None:
        """Finish the current event, then wait."""
        with self._told:
            self._is_paused = True
            self._told.notify_all()

    def step(self) -> None:
        """Deliver one more event immediately, then wait."""
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
        """Finish the current event and end."""
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
        """Seconds until the next event is due; None if nothing waits for that."""
        due = self._due
        return None if due is None else max(0.0, due - time.monotonic())

    # --- the one who plays ----------------------------------------------------------------------------------------

    def turn(self, position: int, gap: float) -> Turn:
        """Wait until the event at that position is due, `gap` seconds after the one before in the original."""
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
