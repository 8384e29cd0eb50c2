"""The current context: values that hold for a block of code, in its task or thread alone.

A callback runs in the context of its event, with `caused_by`: the consumer and the event that its writes follow from.
Nothing is sent here. An integration of `pg_events.contrib`, or `set_context`, gives the context to a transaction.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, LiteralString, Protocol, cast

from pg_events.event import context_object, id_and_context

log = logging.getLogger(__name__)

MAX_CHARACTERS: Final = 4096
"""Length to which the database cuts a context."""

STATEMENT: Final = "select pg_catalog.set_config('pgevents.context', %s, true)"
"""Statement that gives a context, its parameter, to the current transaction."""

_current: ContextVar[Mapping[str, Any]] = ContextVar("pg_events_context", default={})  # noqa: B039 - never changed
_is_calling: ContextVar[bool] = ContextVar("pg_events_is_calling", default=False)
"""True while a function of the context is called."""


_call: ContextVar[tuple[str, str | Sequence[str]] | None] = ContextVar("pg_events_call", default=None)
"""Consumer and payload, or payloads, of the call of a callback that this code is part of."""


def enter_call(consumer: str, payload: str | Sequence[str]) -> None:
    """Note that a callback of a consumer is called with an event or a batch, until `leave_call()`."""
    _call.set((consumer, payload))


def leave_call() -> None:
    """Note that the call has returned."""
    _call.set(None)


def _of_call() -> dict[str, Any]:
    """Context that follows from the current call: its cause, and the context of its event.

    Of a batch, the cause is the event that the most callbacks led to, and the context what all its events have.
    """
    call = _call.get()
    if call is None:
        return {}
    consumer, payloads = call
    cause, contexts = {"consumer": consumer, "event": 0, "depth": 0}, list[dict[str, Any]]()
    for payload in (payloads,) if isinstance(payloads, str) else payloads:
        try:
            event_id, text = id_and_context(payload)
        except (ValueError, RecursionError):
            return {}
        context = (None if text is None else context_object(text)) or {}
        before: Any = context.pop(CAUSE, None)
        depth: Any = cast("dict[str, Any]", before).get("depth") if isinstance(before, dict) else None
        depth = depth + 1 if type(depth) is int else 1
        if depth >= cast("int", cause["depth"]):
            cause |= {"event": event_id, "depth": depth}
        contexts.append(context)
    first = contexts[0] if contexts else {}
    common = {key: value for key, value in first.items() if all(key in c and c[key] == value for c in contexts[1:])}
    return {CAUSE: cause, **common}


CAUSE: Final = "caused_by"
"""Key of the context that names the consumer and the event whose callback wrote a change."""


@contextmanager
def context(**values: Any) -> Generator[None]:
    """Add keys to the context of a block of code, or as a decorator of a function.

        with pg_events.context(user=42, request="r-1"):
            place_order()

    Contexts nest: an inner one adds keys, or replaces those of the same name; None removes a key. A value is what JSON
    can express, else its `str()`; a function is called for its value at the first write. The block of another thread or
    task has a context of its own.
    """
    merged = {key: value for key, value in {**_current.get(), **values}.items() if value is not None}
    token = _current.set(merged)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Mapping[str, Any]:
    """Keys and values of the current context; functions are not called."""
    return {**_of_call(), **_current.get()}


def serialized(*, ascii_only: bool = False) -> str:
    """Return the current context as a JSON object; empty if there is none.

    Never raises. A function that raises leaves its key out; a value that is too long is cut, and what then still exceeds
    4,096 characters is left out, with a warning. `ascii_only` is for connections in another encoding than UTF-8.

    A function that writes to the database itself does so with a context without the values of functions.
    """
    if not (context := current()):
        return ""
    found = ((key, _value(key, value)) for key, value in context.items())
    values = {key: value for key, value in found if value is not None}
    if not values:
        return ""
    text = _json(values, ascii_only)
    if len(text) <= MAX_CHARACTERS:
        return text
    kept: dict[str, Any] = {}
    for key, value in values.items():
        short = value[:_CUT_CHARACTERS] if isinstance(value, str) else value
        if len(_json({**kept, key: short}, ascii_only)) <= MAX_CHARACTERS:
            kept[key] = short
    log.warning("the context exceeds %d characters; its long values are cut or left out", MAX_CHARACTERS)
    return _json(kept, ascii_only)


_CUT_CHARACTERS: Final = 200


def _value(key: str, value: Any) -> Any:
    if not callable(value):
        return value
    if _is_calling.get():
        return None
    token = _is_calling.set(True)
    try:
        return cast("Callable[[], Any]", value)()
    except Exception as error:  # noqa: BLE001 - code of the application; its write must not fail for it
        log.warning("the context's function for %s failed (%s); the key is left out", key, type(error).__name__)
        return None
    finally:
        _is_calling.reset(token)


def _json(values: Mapping[str, Any], ascii_only: bool) -> str:
    try:
        text = _dumped(values, ascii_only)
    except Exception:  # noqa: BLE001 - str() of a value can raise anything; the write must not fail for it
        text = _dumped({key: _expressible(value) for key, value in values.items()}, ascii_only)
    # PostgreSQL's text holds neither; in JSON they can only be in strings.
    return text.replace("\\u0000", "\\ufffd").encode("utf-8", "replace").decode("utf-8")


def _dumped(value: object, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, default=str, allow_nan=False, skipkeys=True)


def _expressible(value: Any) -> Any:
    """Return the value, or a text for one that JSON does not have."""
    with contextlib.suppress(Exception):
        _dumped(value, False)
        return value
    with contextlib.suppress(Exception):
        return str(value)
    return f"<{type(value).__name__}>"


class _Connection(Protocol):
    def execute(self, query: LiteralString, params: list[str], /) -> object: ...


def set_context(connection: _Connection, **values: Any) -> None:
    """Give the current context, with these keys, to the current transaction of a psycopg connection.

    It holds until the transaction ends. In autocommit mode it has no effect: begin a transaction first. Raises what the
    connection raises. For an async connection await `connection.execute(*context_statement(**values))`.
    """
    connection.execute(*context_statement(**values))


def context_statement(**values: Any) -> tuple[LiteralString, list[str]]:
    """Statement, with its parameter, that gives the current context and these keys to a transaction."""
    with context(**values):
        return STATEMENT, [serialized()]
