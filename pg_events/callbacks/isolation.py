"""The callbacks of the settings, ready to be called: in this process, or with `PG_EVENTS_ISOLATE` in one of their own.

That process is started once, calls one callback after the other, and gives way to a new one when it is broken.
"""

import codecs
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, TextIO

from pg_events.callbacks.callback import (
    Callback,
    Reported,
    Runner,
    accepted,
    in_need_of_connection,
    is_async_function,
    name_of,
    resolve,
)
from pg_events.callbacks.child_process import Child, Loaded, Target, target
from pg_events.config.settings import Settings
from pg_events.errors import CallbackUnavailable, UsageError
from pg_events.text import clean, counted

log = logging.getLogger(__name__)

OUTPUT_BYTES: Final = 65_536
"""Of what is printed during one call so much is passed on; the rest is counted and dropped."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Between attempts to start a process: a callback that started thousands has just been killed with them."""


_FIELDS: Final = {False: "data_update_callback", True: "db_schema_update_callback"}


def ready(settings: Settings, runner: Runner | None = None) -> dict[bool, Callback]:
    """Whether it is a schema event -> the callback, of those that are set.

    Both share an event loop, that of the `runner`, and so the clients they hold. Raises `UsageError` when one cannot be used.
    """
    _check_together(settings)
    set_ = {is_schema: name for is_schema, name in _FIELDS.items() if getattr(settings, name) is not None}
    if settings.isolate:
        targets = [target(settings, name) for name in set_.values()]
        return dict(zip(set_, isolated(targets, settings.callback_timeout_seconds), strict=True)) if targets else {}
    runner, limit = runner or Runner(), settings.callback_timeout_seconds
    callbacks = {
        is_schema: resolve(getattr(settings, name), f"PG_EVENTS_{name.upper()}", runner, limit)
        for is_schema, name in set_.items()
    }
    for callback in callbacks.values():
        _check_connection(callback, settings.transactional)
        if limit is not None and not callback.is_async:
            raise UsageError(
                f"PG_EVENTS_CALLBACK_TIMEOUT_SECONDS = {limit:g}: {callback.name} is no async function, so only a process of its "
                "own can be stopped; set PG_EVENTS_ISOLATE = True, or start the worker with --isolate"
            )
    if settings.concurrency > 1 and False in callbacks and not callbacks[False].is_async:
        raise UsageError(
            f"PG_EVENTS_CONCURRENCY = {settings.concurrency}: {callbacks[False].name} is no async function, or not all "
            "functions of the router are, and only those run side by side; write 'async def', or start more workers of the "
            "same name instead"
        )
    if settings.transactional and callbacks and not any("connection" in one.accepts for one in callbacks.values()):
        name = next(iter(callbacks.values())).name
        raise UsageError(
            f"PG_EVENTS_TRANSACTIONAL = True: {name} takes no connection; write 'def function(payload, connection)'"
        )
    return callbacks


def _check_together(settings: Settings) -> None:
    """Raises `UsageError` for settings that exclude each other."""
    if settings.transactional and settings.isolate:
        raise UsageError(
            "PG_EVENTS_TRANSACTIONAL = True: a connection cannot be handed to a process of its own; remove PG_EVENTS_ISOLATE "
            "and --isolate, or PG_EVENTS_TRANSACTIONAL"
        )
    if settings.concurrency > 1 and (settings.transactional or settings.isolate):
        other = "PG_EVENTS_TRANSACTIONAL" if settings.transactional else "PG_EVENTS_ISOLATE"
        reason = "there is one transaction" if settings.transactional else "there is one process, which makes one call"
        raise UsageError(
            f"PG_EVENTS_CONCURRENCY = {settings.concurrency}: with {other} {reason} at a time; remove one of the two, and "
            "start more workers of the same name instead"
        )


def _check_connection(callback: Callback, is_transactional: bool) -> None:
    """Raises `UsageError` when a function could not be lent the connection that it takes."""
    if not is_transactional and (name := in_need_of_connection(callback)):
        raise UsageError(
            f"{name} takes a connection, which only PG_EVENTS_TRANSACTIONAL = True gives; set it, or give the parameter "
            "a default"
        )
    for function in callback.functions:
        name = callback.name if len(callback.functions) == 1 else name_of(function)
        if is_transactional and is_async_function(function) and "connection" in accepted(function, name):
            raise UsageError(
                f"PG_EVENTS_TRANSACTIONAL = True: {name} is async, and the connection is lent to 'def' functions only; "
                "write it with 'def', or remove its parameter 'connection'"
            )


def isolated(targets: Sequence[Target], timeout_seconds: float | None = None) -> list[Callback]:
    """The callbacks of the targets, called in a process of their own that they share, and share with nobody else.

    It is started now, so that a callback that cannot be used is told at once. What they print comes out of this
    process' standard output and error, without control characters. Raises `UsageError`.
    """
    isolation = _Isolation(targets, timeout_seconds)
    return [isolation.callback(number) for number in range(len(targets))]


class _Isolation:
    def __init__(self, targets: Sequence[Target], timeout_seconds: float | None) -> None:
        self._targets = targets
        self._time_limit_seconds = timeout_seconds
        self._relay = _Relay()
        self._lock = threading.Lock()
        self._child, self._loaded = self._started()
        for one in self._loaded:
            if "connection" in one.accepts:
                self._child.end()
                raise UsageError(
                    f"{one.name} takes a connection, which cannot be handed to a process of its own: "
                    "remove the parameter, or PG_EVENTS_ISOLATE"
                )

    def callback(self, number: int) -> Callback:
        """What a worker calls. It is no async one, whatever the function is: the process has the event loop."""

        def function(payload: str, *, attempt: int) -> None:
            self._call(number, payload, attempt)

        return Callback(
            self._loaded[number].name, False, function, accepts=frozenset({"attempt"}), on_close=self._close
        )

    def _call(self, number: int, payload: str, attempt: int) -> None:
        with self._lock:
            if not self._child.is_alive:
                self._child.end()
                self._child, self._loaded = self._again()
            try:
                result = self._child.call(number, payload, attempt)
            finally:
                self._relay.end_of_call()
        if result.failure is not None:
            raise Reported(result.failure)

    def _started(self) -> tuple[Child, Sequence[Loaded]]:
        try:
            child = Child(self._targets, self._relay, timeout_seconds=self._time_limit_seconds)
            return child, child.begin()
        except OSError as error:
            raise CallbackUnavailable(f"no process can be started for the callbacks: {error.strerror}") from error
        finally:
            self._relay.end_of_call()

    def _again(self) -> tuple[Child, Sequence[Loaded]]:
        """A new process in the place of one that died."""
        log.info("callbacks: a new process takes the place of the one that ended")
        for pause in _PAUSES:
            try:
                return self._started()
            except CallbackUnavailable as error:
                log.warning("%s; again in %g s", error, pause)
                time.sleep(pause)
        return self._started()

    def _close(self) -> None:
        with self._lock:
            self._child.close()
            self._relay.end_of_call()


class _Relay:
    """What callbacks print, on this process' own outputs: as it comes, without control characters, bounded for a call."""

    def __init__(self) -> None:
        self._decoders = {number: codecs.getincrementaldecoder("utf-8")("replace") for number in (1, 2)}
        self._room = OUTPUT_BYTES
        self._dropped = 0

    def __call__(self, number: int, chunk: bytes) -> None:
        kept = chunk[: self._room]
        self._room -= len(kept)
        self._dropped += len(chunk) - len(kept)
        if kept:
            _write(sys.stdout if number == 1 else sys.stderr, self._decoders[number].decode(kept))

    def end_of_call(self) -> None:
        if self._dropped:
            _write(sys.stderr, f"\n… {counted(self._dropped, 'byte')} more that the callback printed were dropped\n")
        self._room, self._dropped = OUTPUT_BYTES, 0


def _write(stream: TextIO, text: str) -> None:
    """Write what this stream can show. One that is closed or full is no reason to fail a callback in another process."""
    text = clean(text, keep_newlines=True)
    encoding = stream.encoding or "utf-8"
    with contextlib.suppress(OSError, ValueError):
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
