"""Run one event through a callback again, in a process of its own that can be killed.

The callback may hang, print, call `sys.exit` or patch half the world: all of that stays in the child, and each replay
has a new one, which imports the callback as it is now. What it prints is kept as it comes. The event itself is never
altered: the child's payload is a copy with one more key, `"replay"`.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Literal

from pg_events import child
from pg_events.child import Child, Result, Target
from pg_events.errors import CallbackUnavailable, UsageError
from pg_events.event import SCHEMA, Record, replayed
from pg_events.settings import Settings
from pg_events.text import clean

TIMEOUT_SECONDS: Final = 30.0
MAX_OUTPUT: Final = 200_000
"""Bytes kept of each of the child's two outputs; the rest is read and dropped."""

Outcome = Literal["running", "ok", "failed", "killed", "timeout", "crashed"]


class NoTarget(Exception):
    """Why an event cannot be replayed."""


def target(settings: Settings, kind: str) -> Target:
    """The callback for events of a kind. Imports nothing. Raises `NoTarget` with the reason."""
    setting = "db_schema_update_callback" if kind == SCHEMA else "data_update_callback"
    if getattr(settings, setting) is None:
        constant = f"PG_EVENTS_{setting.upper()}"
        raise NoTarget(f"{constant} is not set: start the console with --settings that name your function")
    try:
        return child.target(settings, setting)
    except UsageError as error:
        raise NoTarget(str(error)) from error


@dataclass
class Attempt:
    """One call of a callback with one event."""

    run: str
    number: int
    """Counts the attempts of a run, from 1."""
    record: Record
    target: Target
    outcome: Outcome = "running"
    started: float = 0.0
    """On the performance counter."""
    milliseconds: float = 0.0
    """The call itself as the child measured it; until then, how long it has been running."""
    error_type: str = ""
    message: str = ""
    traceback: str = ""
    returned: str = ""
    """What the callback returned, spelled out; empty for None."""
    output: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)
    dropped_bytes: int = 0
    child: Child | None = None
    """The process, while there is one."""

    def keep(self, number: int, chunk: bytes) -> None:
        """Keep of what is printed (1 standard output, 2 standard error) what there is room for."""
        kept = self.output if number == 1 else self.errors
        room = max(0, MAX_OUTPUT - len(kept))
        kept.extend(chunk[:room])
        self.dropped_bytes += len(chunk) - len(chunk[:room])

    @property
    def words(self) -> str:
        """The outcome in a word or two."""
        if self.outcome == "failed":
            return f"ERR {self.error_type.rpartition('.')[2]}"
        return {"crashed": "CRASHED", "killed": "KILLED", "timeout": "TIMEOUT"}.get(self.outcome, self.outcome)


async def run(attempt: Attempt, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Start the child, wait for its result, and write what became of it into `attempt`. Raises nothing."""
    attempt.started = perf_counter()
    try:
        await asyncio.to_thread(_run, attempt, timeout_seconds)
    except asyncio.CancelledError:
        kill(attempt)
        raise


def _run(attempt: Attempt, timeout_seconds: float) -> None:
    try:
        one = Child([attempt.target], attempt.keep, time_limit_seconds=timeout_seconds, spells=True)
    except OSError as error:
        _end(attempt, "crashed", f"the process could not be started: {error.strerror}")
        return
    attempt.child = one
    if attempt.outcome != "running":
        one.kill()  # it was asked for before there was a process
    try:
        one.begin()
        result = one.call(0, replayed(attempt.record.payload, attempt.run, attempt.number))
    except CallbackUnavailable as error:
        _end(attempt, "crashed", str(error))
    except UsageError as error:
        _end(attempt, "failed", str(error), "cannot be called")
    else:
        _finish(attempt, result)
    finally:
        one.end()
        attempt.child = None


def _finish(attempt: Attempt, result: Result) -> None:
    if attempt.outcome != "running":
        return
    attempt.milliseconds = result.milliseconds
    attempt.returned = result.returned
    if result.failure is not None:
        attempt.error_type = result.failure.type
        attempt.message = result.failure.message
        attempt.traceback = result.failure.traceback
    attempt.outcome = result.outcome


def _end(attempt: Attempt, outcome: Outcome, message: str, error_type: str = "") -> None:
    if attempt.outcome != "running":
        return
    attempt.milliseconds = (perf_counter() - attempt.started) * 1000
    attempt.error_type = error_type
    attempt.message = clean(message)
    attempt.outcome = outcome


def kill(attempt: Attempt) -> bool:
    """End a running attempt, and all that its process started; False when it is not running."""
    if attempt.outcome != "running":
        return False
    _end(attempt, "killed", "killed from the console")
    if (one := attempt.child) is not None:
        one.kill()
    return True
