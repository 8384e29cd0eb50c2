"""Run one event through a callback again, in a process of its own that can be killed.

The callback may hang, print, call `sys.exit` or patch half the world: all of that stays in the child. Its standard
output and error are read as they come; what became of the call comes back over a third pipe. The event itself is
never altered: the child's payload is a copy with one more key, `"replay"`.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Literal, cast

from pg_events.event import SCHEMA, Record
from pg_events.settings import Settings
from pg_events.text import clean

TIMEOUT_SECONDS: Final = 30.0
MAX_OUTPUT: Final = 200_000
"""Bytes kept of each of the child's two outputs; the rest is read and dropped."""

Outcome = Literal["running", "ok", "failed", "killed", "timeout", "crashed"]


@dataclass(frozen=True)
class Target:
    """The callback a replay goes to."""

    name: str
    """For people: `shop.handlers:on_order`."""
    reference: str | None
    """What the child resolves; None when it has to load the settings to get at the function."""
    settings: str | None = None
    """Where the settings come from."""
    setting: str = ""
    """The field of `Settings` with the callback."""


class NoTarget(Exception):
    """Why an event cannot be replayed."""


def target(settings: Settings, kind: str) -> Target:
    """The callback for events of a kind. Imports nothing. Raises `NoTarget` with the reason."""
    field_name = "db_schema_update_callback" if kind == SCHEMA else "data_update_callback"
    found = getattr(settings, field_name)
    constant = f"PG_EVENTS_{field_name.upper()}"
    if found is None:
        raise NoTarget(f"{constant} is not set: start the console with --settings that name your function")
    if isinstance(found, str):
        return Target(found, found, settings.source or None, field_name)
    name = f"{getattr(found, '__module__', '?')}:{getattr(found, '__qualname__', type(found).__name__)}"
    if settings.source and not settings.source.startswith(("--", "PG_EVENTS_")):
        return Target(name, None, settings.source, field_name)
    return Target(name, name, None, field_name)


def replayed(payload: str, run: str, attempt: int) -> str:
    """The payload with the key that says it is a replay; every other byte as it was."""
    return f'{payload[:-1]}, "replay": {json.dumps({"run": run, "attempt": attempt})}}}'


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
    process: asyncio.subprocess.Process | None = None

    @property
    def words(self) -> str:
        """The outcome in a word or two."""
        if self.outcome == "failed":
            return f"ERR {self.error_type.rpartition('.')[2]}"
        return {"crashed": "CRASHED", "killed": "KILLED", "timeout": "TIMEOUT"}.get(self.outcome, self.outcome)


async def run(
    attempt: Attempt, *, timeout_seconds: float = TIMEOUT_SECONDS, changed: Callable[[], None] = lambda: None
) -> None:
    """Start the child, wait for its result, and write what became of it into `attempt`. Raises nothing."""
    attempt.started = perf_counter()
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pg_events_tui.replay_child", str(write_end),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            pass_fds=[write_end], start_new_session=True, env=_environment(),
        )  # fmt: skip
    except OSError as error:
        os.close(read_end)
        os.close(write_end)
        _end(attempt, "crashed", f"the process could not be started: {error.strerror}")
        return
    os.close(write_end)
    attempt.process = process
    try:
        async with asyncio.timeout(timeout_seconds):
            result = await _talk(attempt, process, read_end, changed)
            await process.wait()
    except TimeoutError:
        _end(attempt, "timeout", f"killed after {timeout_seconds:g} s without an end")
        result = None
    except asyncio.CancelledError:
        kill(attempt)
        raise
    finally:
        kill_process(process)
        await process.wait()
        attempt.process = None
    if attempt.outcome == "running":
        _finish(attempt, result, process.returncode)
    changed()


async def _talk(
    attempt: Attempt, process: asyncio.subprocess.Process, read_end: int, changed: Callable[[], None]
) -> bytes:
    """Send the request; read the outputs and the result until the child closes the result's pipe."""
    loop = asyncio.get_running_loop()
    results = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(results), os.fdopen(read_end, "rb", 0)
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    request = {
        "reference": attempt.target.reference,
        "settings": attempt.target.settings,
        "setting": attempt.target.setting,
        "payload": replayed(attempt.record.payload, attempt.run, attempt.number),
    }
    outputs = [
        asyncio.ensure_future(_drain(attempt, process.stdout, attempt.output, changed)),
        asyncio.ensure_future(_drain(attempt, process.stderr, attempt.errors, changed)),
    ]
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(request).encode("ascii"))
            await process.stdin.drain()
            process.stdin.close()
        result = await results.read()
        # A grandchild may hold the outputs open for ever; what the callback printed is there at once.
        await asyncio.wait(outputs, timeout=0.5)
        return result
    finally:
        for output in outputs:
            output.cancel()
        await asyncio.gather(*outputs, return_exceptions=True)
        transport.close()


async def _drain(attempt: Attempt, stream: asyncio.StreamReader, kept: bytearray, changed: Callable[[], None]) -> None:
    while chunk := await stream.read(65_536):
        room = max(0, MAX_OUTPUT - len(kept))
        kept.extend(chunk[:room])
        attempt.dropped_bytes += len(chunk) - len(chunk[:room])
        changed()


def _finish(attempt: Attempt, result: bytes | None, exit_code: int | None) -> None:
    told = _told(result)
    if told is None:
        _end(attempt, "crashed", f"the process ended with exit code {exit_code} before the callback returned")
        return
    attempt.milliseconds = float(told.get("milliseconds", 0.0))
    attempt.returned = str(told.get("returned", ""))
    attempt.error_type = str(told.get("type", ""))
    attempt.message = str(told.get("message", ""))
    attempt.traceback = str(told.get("traceback", ""))
    attempt.outcome = "ok" if told.get("ok") is True else "failed"


def _told(result: bytes | None) -> Mapping[str, Any] | None:
    try:
        found = json.loads(result or b"")
    except ValueError:
        return None
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else None


def _end(attempt: Attempt, outcome: Outcome, message: str) -> None:
    attempt.milliseconds = (perf_counter() - attempt.started) * 1000
    attempt.outcome = outcome
    attempt.message = clean(message)


def kill(attempt: Attempt) -> bool:
    """End a running attempt, and all that its process started; False when it is not running."""
    if attempt.process is None or attempt.outcome != "running":
        return False
    _end(attempt, "killed", "killed from the console")
    kill_process(attempt.process)
    return True


def kill_process(process: asyncio.subprocess.Process) -> None:
    """The child leads a session of its own, so that what it started goes with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """The child finds what the console would: the user's modules, and this package."""
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
