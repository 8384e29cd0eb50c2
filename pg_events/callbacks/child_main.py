"""Program of a child process: calls callbacks for `pg_events.callbacks.child_process` and reports each outcome.

Requests and answers go over one socket; standard output and error belong to the callbacks, standard input is empty.
A request is a header and a payload, an answer a header and a JSON value; the first request says what to call.
"""

import contextlib
import faulthandler
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any, Final

from pg_events.callbacks.callback import Callback, Runner, describe_failure, in_need_of_connection, resolve, spelled
from pg_events.callbacks.middleware import resolve_middleware, with_middleware
from pg_events.config.settings import load
from pg_events.errors import PgEventsError

REQUEST: Final = struct.Struct("!BIQ")
"""Header of a request: callback number, attempt, bytes of the following payload."""
ANSWER: Final = struct.Struct("!BdI")
"""Header of an answer: outcome, milliseconds of the call, bytes of the following JSON."""
RETURNED, RAISED, UNUSABLE = range(3)
LAST: Final = 0x80
"""Flag of an answer's first field: the process ends now, because a callback has closed a descriptor it needs."""
WHERE_SIGNAL: Final = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
"""Signal that makes the process write its traceback, even while it hangs in a function written in C."""

_OUTPUTS: Final = (0, 1, 2)


def main(link: int, lifeline: int, traces: int) -> None:
    """Serve until the other end closes the socket.

    Descriptors: requests and answers; a pipe that is never written to and ends with the parent; a file for tracebacks
    of crashes.
    """
    die_with_the_parent(lifeline)
    faulthandler.enable(traces, all_threads=False)
    faulthandler.register(WHERE_SIGNAL, traces, all_threads=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    be_the_first_to_go()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A service manager sends these to every process of the service. The parent decides when this one ends. Not
        # SIG_IGN, which programs that a callback starts would inherit.
        signal.signal(number, _pass)
    _line_by_line()
    Program(socket.socket(fileno=link)).serve()


def _pass(*_: object) -> None:
    pass


def die_with_the_parent(lifeline: int) -> None:
    """Have the kernel end this process and its children when the parent has ended, for whatever reason.

    The end of the pipe raises SIGIO in this process group, and SIGIO ends a process. Unlike a waiting thread, this needs
    no running interpreter and leaves callbacks free to fork; unlike PR_SET_PDEATHSIG, it does not depend on which thread
    of the parent started the process.
    """
    os.set_inheritable(lifeline, False)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def be_the_first_to_go() -> None:
    """Make the kernel kill this process first when memory runs out, not the parent or the database."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("500")


def _line_by_line() -> None:
    """Flush each line, because a process that dies loses buffered output."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


class Program:
    """Loop that reads a request, makes a call and writes an answer."""

    def __init__(self, link: socket.socket) -> None:
        os.set_inheritable(link.fileno(), False)
        self._link = link
        self._reader = link.makefile("rb")
        self._pid = os.getpid()
        self._files = {number: _identity(number) for number in (link.fileno(), *_OUTPUTS)}
        self._spells = False

    def serve(self) -> None:
        """Serve all requests. Raises `SystemExit` at the end, so that `atexit` functions run."""
        runner = Runner()
        callbacks = self._begin(runner)
        while (header := self._reader.read(REQUEST.size)) and len(header) == REQUEST.size:
            number, attempt, size = _parts(header)
            payload = self._reader.read(size)
            if len(payload) < size:
                break
            self._answer(*self._call(callbacks[number], payload.decode("utf-8", "surrogatepass"), attempt))
            del payload
        runner.close()
        sys.exit(0)

    def _begin(self, runner: Runner) -> list[Callback]:
        _, _, size = _parts(self._reader.read(REQUEST.size))
        first: Mapping[str, Any] = json.loads(self._reader.read(size))
        sys.path[:] = first["path"]
        self._spells = first["spells"]
        try:
            callbacks = [_callback(target, runner, first["timeout_seconds"]) for target in first["targets"]]
        except PgEventsError as error:
            self._answer(UNUSABLE, 0.0, str(error))
            sys.exit(0)
        self._answer(RETURNED, 0.0, [_about(one) for one in callbacks])
        return callbacks

    def _call(self, callback: Callback, payload: str, attempt: int) -> tuple[int, float, object]:
        started = perf_counter()
        try:
            # A list of payloads comes as a JSON array; a single one is an object.
            is_list = callback.is_batch and payload.startswith("[")
            returned = callback(json.loads(payload) if is_list else payload, attempt=attempt)
        except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are results here, too
            milliseconds = (perf_counter() - started) * 1000
            return RAISED, milliseconds, asdict(describe_failure(error, with_locals=self._spells))
        milliseconds = (perf_counter() - started) * 1000
        return RETURNED, milliseconds, spelled(returned) if self._spells else None

    def _answer(self, kind: int, milliseconds: float, value: object) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a fork that also returned from the callback must not answer
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        if not self._has(self._link.fileno()):
            os._exit(1)  # the number of the socket may now belong to a file of the user
        whole = all(self._has(number) for number in _OUTPUTS)
        body = b"" if value is None else json.dumps(value).encode("ascii")
        self._link.sendall(ANSWER.pack(kind if whole else kind | LAST, milliseconds, len(body)) + body)
        if not whole:
            os._exit(0)

    def _has(self, number: int) -> bool:
        """Return True if a descriptor is still the file it was at the start."""
        try:
            return _identity(number) == self._files[number]
        except OSError:
            return False


def _parts(header: bytes) -> tuple[int, int, int]:
    return REQUEST.unpack(header)


def _identity(descriptor: int) -> tuple[int, int]:
    told = os.fstat(descriptor)
    return told.st_dev, told.st_ino


def _callback(target: Mapping[str, Any], runner: Runner, timeout_seconds: float | None) -> Callback:
    """Resolve a callback; loads the settings first, which may prepare it or define it."""
    reference: object = target["reference"]
    middleware: Sequence[object] = target["middleware"] or ()
    if target["settings"] is not None:
        settings = load(target["settings"], require_database=False)
        reference = reference or getattr(settings, target["setting"])
        middleware = settings.middleware
    name = target["written_in"] or f"PG_EVENTS_{target['setting'].upper()}"
    callback = resolve(reference, name, runner, timeout_seconds, target["consumer"])
    return with_middleware(callback, resolve_middleware(middleware))


def _about(callback: Callback) -> Mapping[str, object]:
    return {
        "name": callback.name, "is_async": callback.is_async, "accepts": sorted(callback.accepts),
        "needs_connection": in_need_of_connection(callback), "items": callback.items and callback.items.name,
    }  # fmt: skip
