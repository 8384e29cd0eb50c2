"""Middleware: context managers of the user's around every call of a callback, in its own thread or task."""

import inspect
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, cast, overload

from pg_events.callbacks.callback import Callback, Dispatcher, import_object, is_async_function, name_of
from pg_events.errors import UsageError
from pg_events.event import Event, parse

SETTING: Final = "PG_EVENTS_MIDDLEWARE"


@dataclass(frozen=True)
class Call:
    """Call of a callback that a middleware surrounds."""

    callback: str
    """Name of the callback: `my_module:function`."""
    consumer: str | None
    """Name of the worker's consumer; None in a replay."""
    attempt: int
    """Number of the call with this event or batch, from 1."""
    value: object
    """Argument that the callback is called with: a payload, or the list of a batch callback."""

    @property
    def is_batch(self) -> bool:
        """True if the callback takes a batch."""
        return isinstance(self.value, list)

    @cached_property
    def events(self) -> Sequence[Event]:
        """Typed events, one unless it is a batch; each is parsed when it is first looked at."""
        return LazyEvents(cast("list[str | Event]", self.value) if self.is_batch else [cast("str", self.value)])


class LazyEvents(Sequence[Event]):
    """Typed events of payloads, parsed one by one as they are looked at."""

    def __init__(self, values: Sequence[str | Event]) -> None:
        self._values = values
        self._parsed: dict[int, Event] = {}

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        value = self._values[index]
        if not isinstance(value, str):
            return value
        number = index % len(self)
        if number not in self._parsed:
            self._parsed[number] = parse(value)
        return self._parsed[number]

    def __iter__(self) -> Iterator[Event]:
        return (self[number] for number in range(len(self)))


Middleware = Callable[[Call], AbstractContextManager[Any]]
"""Function that returns the context manager of a call. A generator function that yields once is made one."""


def resolve_middleware(references: Sequence[object]) -> tuple[Middleware, ...]:
    """Import the middleware of the settings. Raises `UsageError`."""
    return tuple(map(_resolve_one, references))


def _resolve_one(reference: object) -> Middleware:
    function, shown = (
        import_object(reference, SETTING) if isinstance(reference, str) else (reference, name_of(reference))
    )
    where = f"{SETTING}: {shown!r}"
    if not callable(function):
        raise UsageError(f"{where} is not callable")
    plain = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        raise UsageError(
            f"{where} is async; write a generator function with 'def' that yields once, for async callbacks too"
        )
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{where} cannot be called with the call ({error}); write 'def middleware(call): … yield'"
        ) from error
    if inspect.isgeneratorfunction(plain):
        return contextmanager(cast("Callable[[Call], Generator[None]]", function))
    return cast("Middleware", function)


def with_middleware(callback: Callback, middleware: Sequence[Middleware]) -> Callback:
    """Callback whose calls the middleware surrounds, the first of it outermost; without any, the callback itself."""
    if not middleware:
        return callback
    function = _WithMiddleware(callback, middleware)
    return replace(callback, function=function, accepts=function.accepts)


class _WithMiddleware(Dispatcher):
    """Function of a callback with the middleware around it."""

    def __init__(self, callback: Callback, middleware: Sequence[Middleware]) -> None:
        self._callback = callback
        self._middleware = middleware
        # An async call is entered in its own task: a context that is set there is that of the callback.
        self._is_awaited = any(is_async_function(function) for function in callback.functions)

    @property
    def accepts(self) -> frozenset[str]:
        return self._callback.accepts | {"attempt"}

    @property
    def is_async(self) -> bool:
        return self._callback.is_async

    @property
    def functions(self) -> Sequence[object]:
        return self._callback.functions

    def check(self, where: str) -> None:
        """Nothing to check: the callback was, before it was surrounded."""

    def __call__(self, payload: object, **given: object) -> object:
        if self._is_awaited:
            return self._awaited(payload, given)
        with ExitStack() as stack:
            result = self._call(stack, payload, given)
            if not inspect.isawaitable(result):
                return result
            # A decorator hides that the function is async.
            return _finished(cast("Awaitable[object]", result), stack.pop_all())
        return None

    async def _awaited(self, payload: object, given: dict[str, object]) -> object:
        with ExitStack() as stack:
            result = self._call(stack, payload, given)
            return await result if inspect.isawaitable(result) else result
        return None

    def _call(self, stack: ExitStack, payload: object, given: dict[str, object]) -> object:
        callback = self._callback
        call = Call(callback.name, callback.consumer, cast("int", given.get("attempt", 1)), payload)
        for middleware in self._middleware:
            stack.enter_context(middleware(call))
        accepted = {name: value for name, value in given.items() if name in callback.accepts}
        return callback.function(payload, **accepted)


async def _finished(awaitable: Awaitable[object], stack: ExitStack) -> object:
    """Wait for a function that a decorator hides to be async, and leave the middleware."""
    with stack:
        return await awaitable
    return None
