"""Callbacks in a child process: a hang, `os._exit`, a segmentation fault or a flood of output costs one call.

`Child` is one such process; `pg_events.callbacks.isolation` keeps one for a worker, the console starts one for each
replay. The program that runs in it is `pg_events.callbacks.child_main`.
"""

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from pg_events.callbacks.batch import Items, Payloads
from pg_events.callbacks.callback import (
    MESSAGE_CHARACTERS,
    RETURNED_CHARACTERS,
    TRACEBACK_CHARACTERS,
    Failure,
    bounded,
    is_ours,
    name_of,
    overdue,
    valid_seconds,
)
from pg_events.callbacks.child_main import ANSWER, LAST, RAISED, REQUEST, RETURNED, UNUSABLE, WHERE_SIGNAL
from pg_events.config.settings import Settings
from pg_events.errors import CallbackUnavailable, UsageError
from pg_events.text import clean

START_SECONDS: Final = 60.0
"""Maximum time to import the user's modules."""
GRACE_SECONDS: Final = 1.0
"""Time for a cancelled async callback to end before its process is killed."""
CLOSE_SECONDS: Final = 5.0
"""Time for a process to end by itself and run `finally` and `atexit` of the user's code."""
_ANSWER_BYTES: Final = 1_000_000
_LOOK_SECONDS: Final = 0.1
"""Interval at which a process is checked: one that forked may die and leave its end of the socket open."""

# --- what to call -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """Callback as another process finds it."""

    name: str
    """Name to display: `shop.handlers:on_order`."""
    reference: str | None
    """Reference to import; None for a function that is only in the settings."""
    settings: str | None = None
    """Module or file of the settings, which is loaded first."""
    setting: str = ""
    """Field of `Settings` with the callback."""
    written_in: str = ""
    """Option that named the callback, for messages; empty for the setting."""
    consumer: str | None = None
    """Consumer that calls it, see `Callback.consumer`."""
    middleware: tuple[str, ...] | None = None
    """Names of the middleware; None if the process takes it from the settings."""


def target(settings: Settings, setting: str) -> Target:
    """Target for a field of the settings, which must not be None. Imports nothing. Raises `UsageError`."""
    found = getattr(settings, setting)
    source = settings.source
    source = source if source and not source.startswith(("--", "PG_EVENTS_")) else None
    return replace(_target(found, source, setting), middleware=_middleware(settings, source))


def _middleware(settings: Settings, source: str | None) -> tuple[str, ...] | None:
    if source is not None:
        return None
    return tuple(each if isinstance(each, str) else name_of(each) for each in settings.middleware)


def _target(found: object, source: str | None, setting: str) -> Target:
    if isinstance(found, str):
        return Target(found, found, source, setting)
    name = f"{getattr(found, '__module__', '?')}:{getattr(found, '__qualname__', type(found).__name__)}"
    if source is not None:
        return Target(name, None, source, setting)
    if not re.fullmatch(r"[\w.]+:[\w.]+", name) or name.startswith("__main__:"):
        raise UsageError(
            f"PG_EVENTS_{setting.upper()} = {clean(name)!r}: a separate process can only import from modules; "
            "move the function to a module and set 'my_module.function'"
        )
    return Target(name, name, None, setting)


# --- one process --------------------------------------------------------------------------------------------------

Outcome = Literal["ok", "failed", "crashed", "timeout", "killed"]
Output = Callable[[int, bytes], None]
"""Function that receives output of callbacks as it comes: 1 for stdout or 2 for stderr, and the bytes."""


@dataclass(frozen=True)
class Result:
    """Outcome of one call."""

    outcome: Outcome
    milliseconds: float
    failure: Failure | None = None
    """Failure of the call; None if the outcome is `ok`."""
    returned: str = ""
    """Repr of the return value, if requested and not None."""


class Loaded(NamedTuple):
    """Properties of an imported callback, as reported by the process."""

    name: str
    is_async: bool
    accepts: frozenset[str]
    needs_connection: str | None
    """Name of its function that requires a connection."""
    items: Items | None
    """See `Callback.items`."""


class _Gone(Exception):
    """Raised if the process ended, or its answer is not valid."""


class _Overdue(Exception):
    """Raised if there is no answer in time."""


_BOOT: Final = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from pg_events.callbacks.child_main import main; main(*map(int, sys.argv[2:]))"
)


class Child:
    """Process that has imported callbacks and calls them, one at a time.

    Methods block the caller's thread; `kill()` may be called from any other. Children of the process end with it, unless
    they have their own session.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        output: Output,
        *,
        timeout_seconds: float | None = None,
        spells: bool = False,
    ) -> None:
        """Start the process; `begin()` waits for it. With `spells`, results include the repr of the return value.

        After `timeout_seconds` an async callback is cancelled; if it does not end soon, or is sync, the process is
        killed. Raises `OSError`.
        """
        self._output = output
        self._time_limit_seconds = timeout_seconds
        self._loaded: list[Loaded] = []
        self._first = {
            "path": sys.path,
            "targets": [asdict(one) for one in targets],
            "timeout_seconds": timeout_seconds,
            "spells": spells,
        }
        self._lock = threading.Lock()
        self._is_killed = False
        self._is_ending = False
        with contextlib.ExitStack() as undo:
            self._link, theirs = socket.socketpair()
            undo.callback(self._link.close)
            lifeline, self._lifeline = os.pipe()
            undo.callback(os.close, self._lifeline)
            self._traces = undo.enter_context(tempfile.TemporaryFile())
            self._trace = ""
            descriptors = (theirs.fileno(), lifeline, self._traces.fileno())
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and numbers
                    [sys.executable, "-P", "-c", _BOOT, str(Path(__file__).parents[2]), *map(str, descriptors)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    pass_fds=descriptors, start_new_session=True,
                )  # fmt: skip
            finally:
                theirs.close()
                os.close(lifeline)
            undo.pop_all()
        self._link.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._link, selectors.EVENT_READ)
        for number, pipe in ((1, self._process.stdout), (2, self._process.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, number)

    def begin(self) -> list[Loaded]:
        """Wait until the callbacks are imported.

        Raises `UsageError` if one cannot be used, `CallbackUnavailable` if the process ends or hangs before that.
        """
        first = json.dumps(self._first).encode("ascii")
        try:
            kind, _, body = self._exchange(REQUEST.pack(0, 0, len(first)) + first, START_SECONDS)
        except _Gone:
            raise CallbackUnavailable(f"callbacks cannot be imported in a separate process: {self._died()}") from None
        except _Overdue:
            self.end()
            raise CallbackUnavailable(f"callbacks cannot be imported within {START_SECONDS:g} s") from None
        except BaseException:  # Ctrl-C too must leave no process behind
            self.end()
            raise
        value = json.loads(body)
        if kind & ~LAST == UNUSABLE:
            self.end()
            raise UsageError(str(value))
        self._is_ending = bool(kind & LAST)
        self._loaded = [
            Loaded(
                one["name"],
                one["is_async"],
                frozenset(one["accepts"]),
                one["needs_connection"],
                Items[one["items"]] if one["items"] else None,
            )
            for one in value
        ]
        return self._loaded

    @property
    def is_alive(self) -> bool:
        """True if another call can be made."""
        return not self._is_ending and not self._is_dead()

    def call(self, number: int, payload: Payloads, attempt: int = 1) -> Result:
        """Call the callback with that index in the list of targets. Never raises exceptions of the callback."""
        limit = self._time_limit_seconds
        patience = limit + GRACE_SECONDS if limit is not None and self._loaded[number].is_async else limit
        if not isinstance(payload, str):
            payload = json.dumps(payload)
        data = payload.encode("utf-8", "surrogatepass")
        started = time.perf_counter()
        try:
            kind, milliseconds, body = self._exchange(REQUEST.pack(number, attempt, len(data)) + data, patience)
        except _Overdue:
            where = self._where()
            self.end()
            assert limit is not None
            message = f"{overdue(limit)}; its process was killed"
            return Result("timeout", _since(started), Failure("TimeoutError", message, where))
        except _Gone:
            died = self._died()
            if self._is_killed:
                return Result("killed", _since(started), Failure("Killed", "its process was killed", ""))
            return Result("crashed", _since(started), Failure("Crashed", f"{died} before it returned", self._trace))
        except BaseException:  # Ctrl-C too must leave no process behind
            self.end()
            raise
        self._is_ending = bool(kind & LAST)
        if kind & ~LAST == RETURNED:
            return Result("ok", milliseconds, returned=_returned(body))
        return Result("failed", milliseconds, _failure(body))

    def kill(self) -> None:
        """Kill the process at once, from any thread; a waiting call returns."""
        self._is_killed = True
        self._kill_group()

    def close(self) -> None:
        """Let the process close its loop and run its `atexit` functions, then kill remaining processes."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + CLOSE_SECONDS
        while not self._is_dead() and time.monotonic() < deadline:
            for key, _ in self._selector.select(_LOOK_SECONDS):
                self._read(key, bytearray(), at_end=True)
        self.end()

    def end(self) -> int:
        """Kill the process if it lives, pass on its remaining output and free its resources; returns the exit code."""
        with self._lock:
            if self._process.returncode is not None:
                return self._process.returncode
        self._kill_group()
        self._is_ending = True
        with self._lock:  # after this the pid may be reused
            code = self._process.wait()
        for key in [*self._selector.get_map().values()]:
            for _ in range(2):  # a pipe holds no more
                if key.fileobj in self._selector.get_map():
                    self._read(key, bytearray(), at_end=True)
        self._trace = self._traces_text()
        self._selector.close()
        self._link.close()
        os.close(self._lifeline)
        self._traces.close()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    # --- talking ------------------------------------------------------------------------------------------------

    def _exchange(self, request: bytes, seconds: float | None) -> tuple[int, float, bytes]:
        """Send a request, pass on output meanwhile, and return the three parts of the answer."""
        deadline = None if seconds is None else time.monotonic() + seconds
        unsent = self._send(memoryview(request))
        received = bytearray()
        was_dead = False
        while True:
            left = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, max(0.0, deadline - time.monotonic()))
            events = self._selector.select(left)
            for key, mask in events:
                if mask & selectors.EVENT_WRITE:
                    unsent = self._send(unsent)
                if mask & selectors.EVENT_READ:
                    self._read(key, received)
            if (answer := _answer(received)) is not None:
                return answer
            if not events and was_dead:
                raise _Gone
            was_dead = (
                self._is_dead() if not events else was_dead
            )  # it may have answered just before its end: read once more
            if deadline is not None and time.monotonic() > deadline:
                raise _Overdue

    def _send(self, unsent: memoryview) -> memoryview:
        """Send as much as fits, and let the selector wait for room for the rest."""
        try:
            rest = unsent[self._link.send(unsent) :]
        except BlockingIOError:
            rest = unsent
        except OSError:
            rest = unsent[:0]  # it is dead; reading will report it
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if rest else 0)
        if self._selector.get_key(self._link).events != wanted:
            self._selector.modify(self._link, wanted)
        return rest

    def _read(self, key: selectors.SelectorKey, received: bytearray, at_end: bool = False) -> None:
        """Read available data once: parts of the answer into `received`, everything else to the output."""
        try:
            chunk = os.read(key.fd, 65_536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if key.data is None:
            received += chunk
            if not chunk and not at_end:
                raise _Gone
        elif chunk:
            self._output(key.data, chunk)
        if not chunk:
            self._selector.unregister(key.fileobj)

    # --- ending -------------------------------------------------------------------------------------------------

    def _is_dead(self) -> bool:
        """Return True if the process has ended; does not reap it, so that its pid stays reserved until `end()`."""
        if self._process.returncode is not None:
            return True
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _kill_group(self) -> None:
        """Kill the process and its children, which are in the session that it leads."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _died(self) -> str:
        """Message for the end of a process that closed its socket."""
        deadline = time.monotonic() + 0.5
        while not (is_dead := self._is_dead()) and time.monotonic() < deadline:
            time.sleep(0.005)
        code = self.end()
        if not is_dead:
            return "its process lost the descriptor for results"
        if code < 0:
            return f"its process was terminated by {_signal_name(-code)}"
        return f"its process ended with exit code {code}"

    def _where(self) -> str:
        """Traceback of a hanging process from its `faulthandler`; empty if it does not answer soon."""
        with contextlib.suppress(OSError):
            os.kill(self._process.pid, WHERE_SIGNAL)
            deadline = time.monotonic() + 0.5
            # It writes line by line; the last line is the outermost frame, or a note that there are too many.
            while not self._traces_raw().endswith(("<module>\n", "...\n")) and time.monotonic() < deadline:
                time.sleep(0.005)
        return self._traces_text()

    def _traces_raw(self) -> str:
        # Not read(): the process writes at the position that this would move.
        return os.pread(self._traces.fileno(), 4 * TRACEBACK_CHARACTERS, 0).decode("utf-8", "replace")

    def _traces_text(self) -> str:
        """Frames of user code in the output of `faulthandler`, the innermost first."""
        lines = [line for line in self._traces_raw().splitlines(keepends=True) if not _is_our_frame(line)]
        return bounded("".join(lines), TRACEBACK_CHARACTERS)


def _answer(received: bytearray) -> tuple[int, float, bytes] | None:
    """Parts of an answer, once it is complete. A callback may have written anything to the socket."""
    if len(received) < ANSWER.size:
        return None
    kind, milliseconds, size = ANSWER.unpack_from(received)
    if kind & ~LAST not in (RETURNED, RAISED, UNUSABLE) or size > _ANSWER_BYTES or len(received) > ANSWER.size + size:
        raise _Gone
    return (kind, milliseconds, bytes(received[ANSWER.size :])) if len(received) == ANSWER.size + size else None


def _failure(body: bytes) -> Failure:
    try:
        answer = cast("Mapping[str, object]", json.loads(body))
        kind, message, text = (str(answer[name]) for name in ("type", "message", "traceback"))
        names = answer.get("classes")
        classes = tuple(map(str, cast("list[object]", names))) if isinstance(names, list) else ()
        seconds, is_discard = valid_seconds(answer.get("retry_after")), answer.get("is_discard") is True
    except (ValueError, TypeError, KeyError):
        return Failure("Crashed", "its process sent an answer that is not valid", "")
    return Failure(
        bounded(kind, MESSAGE_CHARACTERS),
        bounded(message, MESSAGE_CHARACTERS),
        bounded(text, TRACEBACK_CHARACTERS),
        seconds,
        is_discard,
        classes,
    )


def _returned(body: bytes) -> str:
    with contextlib.suppress(ValueError):
        return str(json.loads(body))[:RETURNED_CHARACTERS] if body else ""
    return ""


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_FRAME: Final = re.compile(r'  File "(.*)", line ')


def _is_our_frame(line: str) -> bool:
    frame = _FRAME.match(line)
    return frame is not None and (is_ours(frame[1]) or frame[1] == "<string>")
