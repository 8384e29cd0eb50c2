"""Callbacks: resolves the references of the settings, calls the functions, and describes failures."""

import asyncio
import builtins
import difflib
import functools
import importlib
import inspect
import math
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from pg_events.callbacks import django
from pg_events.callbacks.batch import Items, Payloads, argument, items_of
from pg_events.callbacks.local_variables import variables
from pg_events.callbacks.signatures import signature
from pg_events.contexts.current import enter_call, leave_call
from pg_events.errors import CallbackUnavailable, Discard, RetryAfter, UsageError
from pg_events.text import clean, describe_error, message, without_passwords
from pg_events.text.hints import hint

# --- calling ------------------------------------------------------------------------------------------------------


class Runner:
    """Event loop of async callbacks: created by the first call, kept between calls.

    Callbacks that share clients or pools must share a loop, so several `Callback`s may hold one Runner. A background
    task that a callback leaves behind makes progress only while a callback runs. One call at a time, from any thread
    that has no running loop of its own.

    A signal handler that ends a callback raises `KeyboardInterrupt`: asyncio swallows most others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runner: asyncio.Runner | None = None

    def run(self, awaitable: Awaitable[object]) -> object:
        """Wait for the awaitable; return its result or raise its exception."""
        with self._lock:
            self._runner = self._runner or asyncio.Runner()
            try:
                result, error = self._runner.run(_guarded(awaitable))
            except asyncio.CancelledError:
                raise  # by the callback itself
            except BaseException:  # whatever a signal handler raises
                # A signal struck inside the loop and may have left the task half done: cancel it now, not in the
                # middle of the next event.
                self._close()
                raise
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Cancel what callbacks left running and close the loop. A later call starts a new one."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()


async def _guarded(awaitable: Awaitable[object]) -> tuple[object, BaseException | None]:
    """Return the exception of a callback as a value, to distinguish it from one that a signal raises inside the loop."""
    try:
        return await awaitable, None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - raised again by the caller
        return None, error


@dataclass(frozen=True)
class Callback:
    """User function that is ready to be called with a payload, or with those of a batch."""

    name: str
    """`my_module:function`."""
    is_async: bool
    """True if a call returns a coroutine; determined once."""
    function: Callable[..., object] = field(repr=False)
    runner: Runner = field(default_factory=Runner, repr=False, compare=False)
    accepts: frozenset[str] = frozenset()
    """Optional parameters of the function besides the payload: `attempt`, `connection`."""
    timeout_seconds: float | None = None
    """Time limit after which an async function is cancelled, which is a failure. Sync functions need a process that can be
    killed: see `pg_events.callbacks.child_process`."""
    on_close: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    consumer: str | None = None
    """Consumer that calls it: named as the cause of what it writes. None for other calls, such as replays."""
    items: Items | None = None
    """Items of the list that a batch callback takes; None for a function of single events."""

    @property
    def is_batch(self) -> bool:
        """True if the function takes several events at once."""
        return self.items is not None

    def __call__(self, payload: Payloads, *, attempt: int = 1, connection: object = None) -> object:
        """Call the function, on the runner's loop if it is async; return its result or raise its exception.

        `payload` is one, or a list of them for a batch callback. `attempt` counts the calls with them from 1; `connection`
        is that of the transactional mode. The function gets both by keyword, if it accepts them.
        """
        if self.consumer is not None:
            enter_call(self.consumer, payload)
        try:
            value = payload if self.items is None else argument(self.items, payload)
            result = self.function(value, **self.given(attempt, connection)) if self.accepts else self.function(value)
            return result if result is None else self._finished(payload, result)
        except Exception:  # the user's function can raise anything: raised again once the connections are closed
            django.close_broken_connections()
            raise
        finally:
            if self.consumer is not None:
                leave_call()

    def _finished(self, payload: Payloads, result: object) -> object:
        """Wait for the result of an async function; return it.

        A decorator may hide that a function is async: its coroutine must not be dropped without running. A router whose
        functions are all async returns no awaitable for an event that matches none of them.
        """
        if not inspect.isawaitable(result):
            return result
        awaitable = django.closing_broken_connections(cast("Awaitable[object]", result))
        if self.consumer is not None:
            awaitable = _as_call(self.consumer, payload, awaitable)
        return self.runner.run(awaitable if self.timeout_seconds is None else _limited(awaitable, self.timeout_seconds))

    async def awaited(self, payload: Payloads, *, attempt: int = 1) -> object:
        """Call the function within a running loop; a sync function blocks the loop."""
        if self.consumer is not None:
            enter_call(self.consumer, payload)
        try:
            value = payload if self.items is None else argument(self.items, payload)
            result = self.function(value, **self.given(attempt))
        except Exception:  # the user's function can raise anything: raised again once the connections are closed
            django.close_broken_connections()
            raise
        if not inspect.isawaitable(result):
            return result
        awaitable = django.closing_broken_connections(cast("Awaitable[object]", result))
        return await (awaitable if self.timeout_seconds is None else _limited(awaitable, self.timeout_seconds))

    def given(self, attempt: int, connection: object = None) -> dict[str, object]:
        """Keyword arguments of the call; without a connection, the function's own default applies."""
        given = {"attempt": attempt, "connection": connection}
        return {name: given[name] for name in self.accepts if name != "connection" or connection is not None}

    @property
    def functions(self) -> Sequence[object]:
        """Functions that are finally called."""
        return self.function.functions if isinstance(self.function, Dispatcher) else (self.function,)

    def close(self) -> None:
        """Close the loop of the runner, or the child process, for all callbacks that share it."""
        self.runner.close()
        if self.on_close is not None:
            self.on_close()


async def _as_call(consumer: str, payload: Payloads, awaitable: Awaitable[object]) -> object:
    """Wait for a callback, on a loop whose context is not that of the caller."""
    enter_call(consumer, payload)
    return await awaitable


async def _limited(awaitable: Awaitable[object], seconds: float) -> object:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaitable
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(overdue(seconds)) from error
        raise  # the callback's own


def overdue(seconds: float) -> str:
    """Message for a call that exceeded the time limit."""
    return f"it did not return within the time limit of {seconds:g} s"


class Dispatcher(ABC):
    """Callback made of several functions, such as `pg_events.Router`; it provides the properties of a function itself."""

    @property
    @abstractmethod
    def accepts(self) -> frozenset[str]:
        """Optional parameters, see `Callback.accepts`."""

    @property
    @abstractmethod
    def is_async(self) -> bool:
        """True if a call returns a coroutine, see `Callback.is_async`."""

    @property
    @abstractmethod
    def functions(self) -> Sequence[object]:
        """Functions that are finally called, see `Callback.functions`."""

    @abstractmethod
    def check(self, where: str) -> None:
        """Raise `UsageError`, prefixed with `where`, if no event could be handled."""

    @abstractmethod
    def __call__(self, payload: str, **given: object) -> object:
        """Handle an event with the accepted arguments; returns an awaitable if necessary."""


# --- resolving ----------------------------------------------------------------------------------------------------


def resolve(
    reference: object,
    name: str,
    runner: Runner | None = None,
    timeout_seconds: float | None = None,
    consumer: str | None = None,
) -> Callback:
    """Resolve a reference to a callback: `"my_module.function"`, `"my_module:Class.method"` or a function.

    `name` is the setting or option it was written in, for messages. Imports the module, from `sys.path` as
    `settings.load` left it. Callbacks given the same `runner` share an event loop. Raises `UsageError` of one line.
    """
    if isinstance(reference, str):
        function, shown = import_object(reference, name)
    elif callable(reference):
        function, shown = reference, name_of(reference)
    elif reference is None:
        raise UsageError(
            f"{name} is not set; set it to a function that takes the payload, for example 'my_module.function'"
        )
    else:
        raise UsageError(f"{name} must be 'my_module.function' or the function itself, not {type(reference).__name__}")
    where = f"{name} = {shown!r}"
    if isinstance(function, Dispatcher):
        function.check(where)
        accepts, is_async, items = function.accepts, function.is_async, None
    else:
        accepts, is_async = accepted(function, where), is_async_function(function)
        items = items_of(cast("Callable[..., object]", function), where)
    return Callback(
        shown,
        is_async,
        cast("Callable[..., object]", function),
        runner or Runner(),
        accepts,
        timeout_seconds,
        consumer=consumer,
        items=items,
    )


def exception_name(reference: object, setting: str) -> str:
    """Name of an exception class, as `Failure.type` has it: of the class itself, or imported by its name.

    Raises `UsageError` of one line.
    """
    found: object = reference
    if isinstance(reference, str):
        found = getattr(builtins, reference, None) if reference.isidentifier() else import_object(reference, setting)[0]
    if isinstance(found, type) and issubclass(found, BaseException):
        return class_name(found)
    raise UsageError(
        f"{setting}: {clean(str(reference))!r} is not an exception class; write 'TimeoutError' or 'my_module.MyError'"
    )


def import_object(reference: str, name: str) -> tuple[object, str]:
    """Object that a reference names, and its name with a colon between module and object. Raises `UsageError`."""
    where = f"{name} = {clean(reference)!r}"
    module_path, colon, attributes = reference.partition(":")
    parts = module_path.split(".") + (attributes.split(".") if colon else [])
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise UsageError(f"{where}: use 'my_module.function' or 'my_module:function'")
    if colon:
        module = _import(module_path, where)
        path = attributes.split(".")
    else:
        module, path = _longest_module(parts, where)
    return _attribute(module, path, where), f"{module.__name__}:{'.'.join(path)}"


def _longest_module(parts: list[str], where: str) -> tuple[ModuleType, list[str]]:
    """Module and remaining path of `package.module.Class.method`."""
    for cut in range(len(parts) - 1, 1, -1):
        try:
            return _import(".".join(parts[:cut]), where), parts[cut:]
        except _MissingModuleError:
            continue
    return _import(parts[0], where), parts[1:]


class _MissingModuleError(UsageError):
    """Raised if the module itself is missing, in contrast to one that cannot be imported."""


def _import(module: str, where: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise _MissingModuleError(
                f"{where}: no module {error.name!r} in the current directory, the folder of the settings, or installed"
            ) from error
        raise UsageError(f"{where}: importing {module!r} failed: {describe_error(error)}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{where}: importing {module!r} failed: {describe_error(error)}") from error


def _attribute(module: ModuleType, path: list[str], where: str) -> object:
    found: object = module
    reached = module.__name__
    for part in path:
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise UsageError(f"{where}: {reached!r} has no {part!r}{_closest(part, found)}") from error
        except Exception as error:  # any __getattr__ may raise anything
            raise UsageError(f"{where}: reading {part!r} of {reached!r} failed: {describe_error(error)}") from error
        reached = f"{reached}.{part}"
    return found


def _closest(name: str, owner: object) -> str:
    near = difflib.get_close_matches(name, dir(owner), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


_OPTIONAL: Final = ("attempt", "connection")
"""Names of optional parameters, so that no other second parameter is filled by accident."""


def accepted(function: object, where: str) -> frozenset[str]:
    """Optional parameters that the function has.

    Rejects a function that could never handle a payload now, not at the first event.
    """
    if not callable(function):
        raise UsageError(f"{where} is not callable but {type(function).__name__}; pass a function")
    plain = _plain(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise UsageError(f"{where} contains 'yield', so a call would run none of it; make it an ordinary function")
    try:
        found = signature(function)
    except (TypeError, ValueError):
        return frozenset()  # some callables written in C have no signature
    others = [*found.parameters.values()][1:]  # the first is the payload's place, whatever it is called
    accepts = {one.name for one in others if one.name in _OPTIONAL and one.kind in _BY_KEYWORD} - _bound(function)
    try:
        found.bind("payload", **dict.fromkeys(accepts))
    except TypeError as error:
        remedy = "write 'def function(payload: str)'; optional parameters are 'attempt' and 'connection'"
        if next(iter(found.parameters), "") == "self":
            remedy = "it is a method: use a bound method, or make it a @staticmethod or @classmethod"
        raise UsageError(f"{where} cannot be called with the payload ({error}); {remedy}") from error
    return frozenset(accepts)


_BY_KEYWORD: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def in_need_of_connection(callback: Callback) -> str | None:
    """Name of a function that requires a connection; None if there is none."""
    for function in callback.functions:
        if _needs_connection(function):
            return callback.name if len(callback.functions) == 1 else name_of(function)
    return None


def _needs_connection(function: object) -> bool:
    if "connection" not in accepted(function, name_of(function)):
        return False
    parameter = signature(cast("Callable[..., object]", function)).parameters["connection"]
    return parameter.default is inspect.Parameter.empty


def _bound(function: object) -> set[str]:
    """Keywords that the user has already bound with `functools.partial`."""
    found: set[str] = set()
    while isinstance(function, functools.partial):
        partial = cast("functools.partial[Any]", function)
        found |= partial.keywords.keys()
        function = partial.func
    return found


def is_async_function(function: object) -> bool:
    """Return True if a call returns a coroutine; looks through `functools.partial` and `__call__` of an object."""
    return inspect.iscoroutinefunction(_plain(function))


def _plain(function: object) -> object:
    """Function that is finally called, below `functools.partial` and `__call__` of an object."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__ if callable(function) else function


def name_of(function: object) -> str:
    """`my_module:function`."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


# --- failing ------------------------------------------------------------------------------------------------------

MESSAGE_CHARACTERS: Final = 2_000
TRACEBACK_CHARACTERS: Final = 20_000
RETURNED_CHARACTERS: Final = 2_000
"""Maximum length of the repr of a return value."""


@dataclass(frozen=True)
class Failure:
    """Failure of a callback as text that can be stored and shown: bounded, no control characters, passwords masked."""

    type: str
    """Class of the exception, with its module unless that is builtins: `psycopg.errors.UniqueViolation`."""
    message: str
    """Message of the exception, up to `MESSAGE_CHARACTERS`, with line breaks."""
    traceback: str
    """Traceback as printed by Python, only with frames of user code; up to `TRACEBACK_CHARACTERS`, cut in the middle."""
    retry_after: float | None = None
    """Seconds that the callback asked to wait with `RetryAfter`; None for any other exception."""
    is_discard: bool = False
    """True if the callback discarded the event with `Discard`."""
    classes: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Names of the exception's class and of its base classes, as `type` has it."""

    def is_any_of(self, classes: Iterable[object]) -> bool:
        """Return True if the exception is of one of these classes, named as in `type`."""
        return not {self.type, *self.classes}.isdisjoint(classes)


class Reported(Exception):
    """Failure of a callback that was called and described in another process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.type}: {failure.message}")
        self.failure = failure


def is_failure(error: BaseException) -> bool:
    """Return True if the exception counts as a failure of the callback.

    All do, except an interrupt by the user (`KeyboardInterrupt`), `GeneratorExit`, and errors that prevent the call.
    `SystemExit` does, too: a callback that calls `sys.exit()` has not handled its event, and must not stop the worker
    that would retry it.
    """
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup((KeyboardInterrupt, GeneratorExit)) is None  # pyright: ignore[reportUnknownMemberType]
    return not isinstance(error, KeyboardInterrupt | GeneratorExit | CallbackUnavailable)


def describe_failure(error: BaseException, *, with_locals: bool = False) -> Failure:
    """Describe an exception. Never raises, whatever the exception's own methods do.

    `with_locals` adds the local variables of the user's frames, each cut to a line, to help find the cause.
    """
    if isinstance(error, Reported):
        return error.failure
    kind = type(error)
    name = class_name(kind)
    try:
        text = _traceback(error, with_locals)
    except Exception as broken:  # noqa: BLE001 - `__notes__` and `__cause__` are a stranger's too
        text = f"{name}: <its traceback cannot be shown: {type(broken).__name__}>\n"
    return Failure(
        clean(name),
        bounded(message(error) + hint(error), MESSAGE_CHARACTERS),
        bounded(text, TRACEBACK_CHARACTERS),
        *_outcome(error),
    )


def class_name(kind: type) -> str:
    """Name of a class with its module, unless that is builtins."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _outcome(error: BaseException) -> tuple[float | None, bool, tuple[str, ...]]:
    """Seconds of a `RetryAfter`, whether it is a `Discard`, and its classes; also of the only exception of a group."""
    kinds = list(type(error).__mro__)
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        members: Sequence[BaseException] = cast("BaseExceptionGroup[BaseException]", inner).exceptions
        if len(members) > 1:
            break
        inner = next(iter(members))
        kinds += inner.__class__.__mro__
    seconds = getattr(inner, "seconds", None) if isinstance(inner, RetryAfter) else None
    return valid_seconds(seconds), isinstance(inner, Discard), tuple(clean(class_name(kind)) for kind in kinds)


def valid_seconds(seconds: object) -> float | None:
    """Seconds that `RetryAfter` accepts; None for any other value, as a subclass or another process may give."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if 0 <= seconds < math.inf else None


def _traceback(error: BaseException, with_locals: bool) -> str:
    """The traceback with the user's frames only; idea from mitmproxy's `cut_traceback`."""
    described = traceback.TracebackException.from_exception(error, compact=True)
    if with_locals:
        for told, (frame, _) in zip(described.stack, traceback.walk_tb(error.__traceback__), strict=False):
            told.locals = variables(frame)
    for each in _with_causes(described):
        each.stack = traceback.StackSummary.from_list([frame for frame in each.stack if not is_ours(frame.filename)])
    return "".join(described.format())


def _with_causes(described: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield the exception, its causes, and the members of exception groups."""
    waiting = [described]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(
            other for other in (each.__cause__, each.__context__, *(each.exceptions or ())) if other is not None
        )


_PACKAGE: Final = Path(__file__).parents[1]
_OURS: Final = (f"{_PACKAGE}/", f"{Path(asyncio.__file__).parent}/")
_DEMO: Final = f"{_PACKAGE}/demo/"
"""Directory of the demo, whose callbacks count as user code."""


def is_ours(filename: str) -> bool:
    """Return True for a file of this package, or of asyncio, which runs the user's coroutines."""
    return filename.startswith(_OURS) and not filename.startswith(_DEMO)


def bounded(text: str, limit: int) -> str:
    """Clean text without passwords; a long one is reduced to its beginning and end."""
    # Cut twice, so that a message of 50 MB is not searched for passwords, and none is cut in half.
    return _ends(clean(without_passwords(_ends(text, 4 * limit)), keep_newlines=True), limit)


def _ends(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = (limit - 20) // 2
    return f"{text[:half]}\n  … cut …\n{text[-half:]}"


def spelled(returned: object) -> str | None:
    """Repr of a return value, bounded and without secrets; None for None."""
    if returned is None:
        return None
    try:
        return without_passwords(repr(returned)[: 4 * RETURNED_CHARACTERS])[:RETURNED_CHARACTERS]
    except Exception as error:  # noqa: BLE001 - a stranger's __repr__
        return f"<its repr raised {type(error).__name__}>"
