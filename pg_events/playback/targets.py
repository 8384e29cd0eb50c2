"""Targets of replayed events: callbacks in this process or a child process, and the routing between them."""

import codecs
import contextlib
import io
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TextIO

from pg_events.callbacks.callback import (
    Callback,
    Failure,
    Runner,
    describe_failure,
    in_need_of_connection,
    is_failure,
    resolve,
    spelled,
)
from pg_events.callbacks.child_process import Child, Target, target
from pg_events.callbacks.middleware import resolve_middleware, with_middleware
from pg_events.config.settings import Settings
from pg_events.errors import CallbackUnavailable, UsageError
from pg_events.filter.parser import Filter
from pg_events.playback.runs import Asked
from pg_events.playback.source import Item
from pg_events.text import clean, without_passwords

OUTPUT_CHARACTERS: Final = 20_000
"""Maximum output of one call that is kept."""


@dataclass(frozen=True)
class Result:
    """Outcome of one call."""

    milliseconds: float
    failure: Failure | None = None
    returned: str | None = None
    """Repr of the return value; None for None."""
    output: str = ""
    """Output of the callback."""

    @property
    def error(self) -> str | None:
        if self.failure is None:
            return None
        return f"{self.failure.type}: {self.failure.message}" if self.failure.message else self.failure.type


class Caller(Protocol):
    """Calls callbacks by index."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the callbacks to display."""
        ...

    def call(self, number: int, payload: str, attempt: int) -> Result:
        """Make one call. Never raises exceptions of the callback."""
        ...

    def kill(self) -> None:
        """End the current call if possible, from any thread."""
        ...

    def close(self) -> None: ...


class Here:
    """Calls callbacks in this process."""

    def __init__(self, callbacks: Sequence[Callback], debugger: Callable[[BaseException], None] | None = None) -> None:
        """Prepare the caller; `debugger` is called first with an exception of a callback."""
        self.names = [callback.name for callback in callbacks]
        self._callbacks = callbacks
        self._debugger = debugger

    def call(self, number: int, payload: str, attempt: int) -> Result:
        kept = _Kept()
        started = time.perf_counter()
        try:
            with contextlib.redirect_stdout(_Tee(sys.stdout, kept)), contextlib.redirect_stderr(_Tee(sys.stderr, kept)):
                returned = self._callbacks[number](payload, attempt=attempt)
        except BaseException as error:  # SystemExit of a callback is a failure, see is_failure()
            milliseconds = _since(started)
            if not is_failure(error):
                raise
            if self._debugger is not None:
                self._debugger(error)
            own = error.__traceback__
            return Result(
                milliseconds, describe_failure(error.with_traceback(own.tb_next if own else None)), output=str(kept)
            )
        return Result(_since(started), returned=spelled(returned), output=str(kept))

    def kill(self) -> None:
        """Do nothing: a call in this process cannot be ended from outside."""

    def close(self) -> None:
        for callback in self._callbacks:
            callback.close()


class _Kept:
    """Beginning of the output, without secrets, because runs are kept."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = OUTPUT_CHARACTERS

    def add(self, text: str) -> None:
        if self._room > 0:
            self._parts.append(text[: self._room])
            self._room -= len(text)

    def __str__(self) -> str:
        return without_passwords("".join(self._parts)) + ("\n… cut …" if self._room < 0 else "")


class _Tee(io.TextIOBase):
    """Stream that also keeps its text."""

    def __init__(self, stream: TextIO, kept: _Kept) -> None:
        self._stream = stream
        self._kept = kept

    def write(self, s: str, /) -> int:
        self._kept.add(s)
        return self._stream.write(s)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class There:
    """Calls callbacks in a child process, with the current code: see `pg_events.callbacks.child_process`."""

    def __init__(
        self,
        targets: Sequence[Target],
        output: Callable[[int, str], None] = lambda _number, _text: None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Prepare the process. A call that takes longer than `timeout_seconds` is ended and has failed.

        `output` receives output as it comes: 1 for standard output or 2 for standard error, and the text.
        """
        self._targets = targets
        self._output = output
        self._timeout_seconds = timeout_seconds
        self._decoders = {number: codecs.getincrementaldecoder("utf-8")("replace") for number in (1, 2)}
        self._kept = _Kept()
        self._names: Sequence[str] = ()
        self.calling: int | None = None
        """Index of the callback that is called or was called last, and so produces the output."""
        self._child: Child | None = None
        self._is_killed = False

    @property
    def names(self) -> Sequence[str]:
        """Names of the callbacks, known after the start."""
        return self._names

    def start(self) -> None:
        """Start the process and wait until it has imported the callbacks; may be killed meanwhile.

        Raises `UsageError` if a callback cannot be used, `CallbackUnavailable` if there is no process.
        """
        self._started()

    def call(self, number: int, payload: str, attempt: int) -> Result:
        self.calling = number
        child = self._child
        if child is None or not child.is_alive:
            if self._is_killed:
                return Result(0.0, Failure("Killed", "its process was killed", ""))
            if child is not None:
                child.end()
            child = self._started()
        self._kept = _Kept()
        result = child.call(number, payload, attempt)
        return Result(round(result.milliseconds, 3), result.failure, result.returned or None, str(self._kept))

    def kill(self) -> None:
        self._is_killed = True
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        if self._child is not None:
            self._child.close()

    def _started(self) -> Child:
        try:
            child = Child(self._targets, self._hear, timeout_seconds=self._timeout_seconds, spells=True)
        except OSError as error:
            raise CallbackUnavailable(f"no process can be started for the callbacks: {error.strerror}") from error
        self._child = child
        if self._is_killed:  # killed before the process existed
            child.kill()
        loaded = child.begin()
        try:
            for one in loaded:
                _check_connection(one.needs_connection)
        except UsageError:
            child.end()
            raise
        self._names = [one.name for one in loaded]
        return child

    def _hear(self, number: int, chunk: bytes) -> None:
        text = clean(self._decoders[number].decode(chunk), keep_newlines=True)
        self._kept.add(text)
        self._output(number, text)


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


@dataclass(frozen=True)
class Routes:
    """Index of the callback for each kind of event; None if there is none."""

    data: int | None
    schema: int | None
    shadow: int | None = None

    def of(self, item: Item) -> int | None:
        return self.schema if item.is_schema else self.data


def chosen(
    settings: Settings, callback: object = None, shadow: object = None
) -> tuple[list[tuple[object, str]], Routes]:
    """Callbacks with the option or setting that names each, and their routes.

    `callback` gets every event; without it, those of the settings get theirs. Raises `UsageError` if there is none.
    """
    found: list[tuple[object, str]] = []
    if callback is not None:
        found.append((callback, "--callback"))
        routes = Routes(0, 0)
    else:
        data = schema = None
        if settings.data_update_callback is not None:
            data = len(found)
            found.append((settings.data_update_callback, "PG_EVENTS_DATA_UPDATE_CALLBACK"))
        if settings.db_schema_update_callback is not None:
            schema = len(found)
            found.append((settings.db_schema_update_callback, "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK"))
        if not found:
            raise UsageError(
                "no callback: pass --callback my_module.function, or --settings that set PG_EVENTS_DATA_UPDATE_CALLBACK"
            )
        routes = Routes(data, schema)
    if shadow is not None:
        routes = Routes(routes.data, routes.schema, len(found))
        found.append((shadow, "--shadow"))
    return found, routes


def reference_names(found: Sequence[tuple[object, str]]) -> list[str]:
    """Names of the callbacks before they are imported."""
    return [one if isinstance(one, str) else getattr(one, "__qualname__", "?") for one, _ in found]


def resolved(found: Sequence[tuple[object, str]], middleware: Sequence[object] = ()) -> list[Callback]:
    """Import the callbacks, which share an event loop, and the middleware around their calls. Raises `UsageError`."""
    runner = Runner()
    callbacks = [resolve(reference, name, runner) for reference, name in found]
    for callback in callbacks:
        _check_connection(in_need_of_connection(callback))
    surrounding = resolve_middleware(middleware)
    return [with_middleware(callback, surrounding) for callback in callbacks]


def _check_connection(name: str | None) -> None:
    """Reject a function that requires a connection, before any call."""
    if name is not None:
        raise UsageError(
            f"{name} takes a connection, which a replay does not provide; "
            "give it a default (connection=None), or name another callback"
        )


def here(
    found: Sequence[tuple[object, str]],
    debugger: Callable[[BaseException], None] | None = None,
    middleware: Sequence[object] = (),
) -> Here:
    """Prepare the callbacks in this process, with the middleware of the settings. Raises `UsageError`."""
    return Here(resolved(found, middleware), debugger)


def there(settings: Settings, found: Sequence[tuple[object, str]], output: Callable[[int, str], None]) -> There:
    """Prepare the callbacks in a child process, which first loads any settings. Raises `UsageError`."""
    caller = unstarted(settings, found, output)
    caller.start()
    return caller


def unstarted(settings: Settings, found: Sequence[tuple[object, str]], output: Callable[[int, str], None]) -> There:
    """Prepare the callbacks in a child process that is not started, so that it can be killed meanwhile. Raises `UsageError`."""
    targets = [_target(settings, reference, name) for reference, name in found]
    return There(targets, output, settings.callback_timeout_seconds)


def _target(settings: Settings, reference: object, name: str) -> Target:
    if name.startswith("PG_EVENTS_"):
        return target(settings, name.removeprefix("PG_EVENTS_").lower())
    of_settings = target(replace(settings, data_update_callback=reference), "data_update_callback")
    return replace(of_settings, written_in=name)


def described(source: str, wanted: Filter, caller: Caller, routes: Routes, **more: Any) -> Asked:
    """Description of the callbacks for the file of a run."""
    names = {kind: caller.names[n] for kind, n in (("data", routes.data), ("schema", routes.schema)) if n is not None}
    shadow = caller.names[routes.shadow] if routes.shadow is not None else None
    return Asked(source, str(wanted), names, shadow, **more)
