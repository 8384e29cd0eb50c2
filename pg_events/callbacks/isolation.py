"""Prepares the callbacks of the settings: in this process, or in a child process with `PG_EVENTS_ISOLATE`.

The child process is started once, makes one call at a time, and is replaced when it ends.
"""

import codecs
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TextIO

from pg_events.callbacks.batch import Items, Payloads
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
from pg_events.callbacks.middleware import resolve_middleware, with_middleware
from pg_events.config.settings import Settings
from pg_events.errors import CallbackUnavailable, UsageError
from pg_events.text import clean, counted

log = logging.getLogger(__name__)

OUTPUT_BYTES: Final = 65_536
"""Maximum output of one call that is passed on; the rest is counted and dropped."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Pauses between attempts to start a process: a callback that started thousands may just have been killed."""


_FIELDS: Final = {False: "data_update_callback", True: "db_schema_update_callback"}


def ready(settings: Settings, runner: Runner | None = None, consumer: str | None = None) -> dict[bool, Callback]:
    """Callbacks of the settings, by whether they take schema events; `consumer` is the cause of what they write.

    Both share the event loop of the `runner`, and so the clients they hold. Raises `UsageError` if one cannot be used.
    """
    _check_together(settings)
    set_ = {is_schema: name for is_schema, name in _FIELDS.items() if getattr(settings, name) is not None}
    if settings.isolate:
        targets = [replace(target(settings, name), consumer=consumer) for name in set_.values()]
        return dict(zip(set_, isolated(targets, settings.callback_timeout_seconds), strict=True)) if targets else {}
    runner, limit = runner or Runner(), settings.callback_timeout_seconds
    callbacks = {
        is_schema: resolve(getattr(settings, name), f"PG_EVENTS_{name.upper()}", runner, limit, consumer)
        for is_schema, name in set_.items()
    }
    for callback in callbacks.values():
        _check_connection(callback, settings.transactional)
        if limit is not None and not callback.is_async:
            raise UsageError(
                f"PG_EVENTS_CALLBACK_TIMEOUT_SECONDS = {limit:g}: {callback.name} is not an async function, so "
                "it can only be stopped in a separate process; set PG_EVENTS_ISOLATE = True, or start the worker with --isolate"
            )
    if settings.concurrency > 1 and False in callbacks and not callbacks[False].is_async:
        raise UsageError(
            f"PG_EVENTS_CONCURRENCY = {settings.concurrency}: {callbacks[False].name} is not an async function, or not all "
            "functions of the router are, and only async functions run concurrently; write 'async def', or start more "
            "workers with the same name instead"
        )
    if settings.transactional and callbacks and not any("connection" in one.accepts for one in callbacks.values()):
        name = next(iter(callbacks.values())).name
        raise UsageError(
            f"PG_EVENTS_TRANSACTIONAL = True: {name} takes no connection; write 'def function(payload, connection)'"
        )
    middleware = resolve_middleware(settings.middleware)
    return {is_schema: with_middleware(callback, middleware) for is_schema, callback in callbacks.items()}


def _check_together(settings: Settings) -> None:
    """Raise `UsageError` for settings that exclude each other."""
    if settings.transactional and settings.isolate:
        raise UsageError(
            "PG_EVENTS_TRANSACTIONAL = True: a connection cannot be passed to a separate process; remove PG_EVENTS_ISOLATE "
            "and --isolate, or PG_EVENTS_TRANSACTIONAL"
        )
    if settings.concurrency > 1 and (settings.transactional or settings.isolate):
        other = "PG_EVENTS_TRANSACTIONAL" if settings.transactional else "PG_EVENTS_ISOLATE"
        reason = "one transaction holds one call" if settings.transactional else "one process makes one call"
        raise UsageError(
            f"PG_EVENTS_CONCURRENCY = {settings.concurrency}: with {other} {reason} at a time; remove one of the two, and "
            "start more workers with the same name instead"
        )


def _check_connection(callback: Callback, is_transactional: bool) -> None:
    """Raise `UsageError` if a function takes a connection that it cannot get."""
    if not is_transactional and (name := in_need_of_connection(callback)):
        raise UsageError(
            f"{name} takes a connection, which only PG_EVENTS_TRANSACTIONAL = True gives; set it, or give the parameter "
            "a default"
        )
    for function in callback.functions:
        name = callback.name if len(callback.functions) == 1 else name_of(function)
        if is_transactional and is_async_function(function) and "connection" in accepted(function, name):
            raise UsageError(
                f"PG_EVENTS_TRANSACTIONAL = True: {name} is async, and only 'def' functions get the connection; "
                "write it with 'def', or remove its parameter 'connection'"
            )


def isolated(targets: Sequence[Target], timeout_seconds: float | None = None) -> list[Callback]:
    """Callbacks of the targets, called in one child process.

    The process is started now, so that an unusable callback is reported at once. Its output goes to standard output and
    error of this process, without control characters. Raises `UsageError`.
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
                    f"{one.name} takes a connection, which cannot be passed to a separate process: "
                    "remove the parameter, or PG_EVENTS_ISOLATE"
                )

    def callback(self, number: int) -> Callback:
        """Callback for the worker; always sync, because the child process has the event loop."""

        def function(payload: Payloads, *, attempt: int) -> None:
            self._call(number, payload, attempt)

        loaded = self._loaded[number]
        return Callback(
            loaded.name,
            False,
            function,
            accepts=frozenset({"attempt"}),
            on_close=self._close,
            items=loaded.items and Items.PAYLOADS,  # the process makes events of them
        )

    def _call(self, number: int, payload: Payloads, attempt: int) -> None:
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
        """Start a new process in place of one that ended."""
        log.info("callbacks: the child process exited; started a new one")
        for pause in _PAUSES:
            try:
                return self._started()
            except CallbackUnavailable as error:
                log.warning("%s; retrying in %g s", error, pause)
                time.sleep(pause)
        return self._started()

    def _close(self) -> None:
        with self._lock:
            self._child.close()
            self._relay.end_of_call()


class _Relay:
    """Relays output of callbacks to the outputs of this process: immediately, without control characters, bounded per call."""

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
    """Write text that the stream can show; errors of the stream do not fail a callback in another process."""
    text = clean(text, keep_newlines=True)
    encoding = stream.encoding or "utf-8"
    with contextlib.suppress(OSError, ValueError):
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
