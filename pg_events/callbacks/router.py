"""Decorators that route events to functions.

    events = pg_events.Router()

    @events.on("public.orders", "INSERT", "UPDATE", where="new.total>100")
    def large_order(event: pg_events.DataEvent) -> None: ...

The router is the callback: `PG_EVENTS_DATA_UPDATE_CALLBACK = "my_module.events"`, and for schema events likewise.
"""

import asyncio
import difflib
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from pg_events.callbacks.batch import items_of
from pg_events.callbacks.callback import Dispatcher, accepted, is_async_function, is_failure, name_of
from pg_events.callbacks.signatures import signature
from pg_events.errors import UsageError
from pg_events.event import APPLICATION, METHODS, Event, Record, head, parse, record
from pg_events.filter.conditions import And, Condition, Kinds, Names, Tag
from pg_events.filter.parser import Filter
from pg_events.filter.parser import parse as parse_filter
from pg_events.filter.values import Value

Handler = TypeVar("Handler", bound=Callable[..., object])

_LETTERS: Final = {method: letter for letter, method in METHODS.items()}


@dataclass(frozen=True)
class _Route:
    """Selection of events for a function, and its way of being called."""

    by_head: Filter
    """Filter on table, operation or tag, which need only the head of a payload."""
    where: Filter | None
    """Filter that needs the whole payload."""
    function: Callable[..., object]
    accepts: frozenset[str]
    is_async: bool
    takes_text: bool
    """True if the function takes the payload, not the typed event."""


class _Event:
    """Payload that is parsed only as far as the routes need."""

    def __init__(self, payload: str) -> None:
        self.payload = payload
        self.head = head(payload)
        self._record: Record | None = None
        self._parsed: Event | None = None

    def goes_to(self, route: _Route) -> bool:
        if not route.by_head.matches(self.head):
            return False
        if route.where is None:
            return True
        self._record = self._record or record(self.payload)
        return route.where.matches(self._record)

    def as_wanted(self, route: _Route) -> object:
        if route.takes_text:
            return self.payload
        self._parsed = self._parsed or parse(self.payload)
        return self._parsed


class Router(Dispatcher):
    """Callback that passes each event to the functions registered for it, in the order of registration.

    All of them are called, even if one before has failed; then the attempt has failed, and the next one calls all of
    them again. An event without a registered function counts as handled. Sync and async functions may be mixed.
    """

    def __init__(self) -> None:
        self._routes: list[_Route] = []

    def on(
        self,
        table: str | None = None,
        *operations: str,
        tag: str | Sequence[str] | None = None,
        where: str | None = None,
    ) -> Callable[[Handler], Handler]:
        """Register the decorated function for events, and return it unchanged. Decorators can be stacked.

        `table` is a name or a glob (`public.orders`, `orders`, `shop.*`), optionally with `operations` such as
        `"INSERT"`. `tag` selects schema events instead: the command or a glob (`"ALTER TABLE"`, `"DROP *"`), and
        `table` is then the object. `where` is an additional filter. Without arguments, all events are selected.

        The function gets a `DataEvent` or a `SchemaEvent`; if its first parameter is annotated `str`, the payload.
        Raises `UsageError`.
        """
        return self._registration(by_head(table, operations, tag), where)

    def on_event(self, *names: str, where: str | None = None) -> Callable[[Handler], Handler]:
        """Register the decorated function for events of the application, `pgevents.emit(name, …)`, and return it unchanged.

        A name may be a glob (`"order.*"`); without names, all events of the application are selected. The function gets
        an `ApplicationEvent`; if its first parameter is annotated `str`, the payload. Raises `UsageError`.
        """
        return self._registration(by_event(names), where)

    def _registration(self, head_filter: Filter, where: str | None) -> Callable[[Handler], Handler]:
        chosen = None if where is None else parse_filter(where)

        def register(function: Handler) -> Handler:
            name = f"the handler {name_of(function)}"
            accepts = accepted(function, name)
            if items_of(function, name) is not None:
                raise UsageError(f"{name} takes a list: a router passes single events; set it as the callback itself")
            takes_text = _takes_text(function)
            self._routes.append(_Route(head_filter, chosen, function, accepts, is_async_function(function), takes_text))
            return function

        return register

    # --- as a callback ------------------------------------------------------------------------------------------

    @property
    def accepts(self) -> frozenset[str]:
        return frozenset[str]().union(*(route.accepts for route in self._routes))

    @property
    def functions(self) -> Sequence[object]:
        return [route.function for route in self._routes]

    @property
    def is_async(self) -> bool:
        return all(route.is_async for route in self._routes)

    def check(self, where: str) -> None:
        if not self._routes:
            raise UsageError(f"{where} has no handlers: decorate functions with .on(…), and import their modules there")

    def __call__(self, payload: str, **given: object) -> object:
        event = _Event(payload)
        # Each function once, however many of its decorators match.
        routes = list({id(route.function): route for route in self._routes if event.goes_to(route)}.values())
        calls = _Calls(routes, event, given)
        awaitable = calls.until_one_must_be_awaited()
        return calls.end() if awaitable is None else calls.go_on(awaitable)


class _Calls:
    """Sequential calls of an event's functions; exceptions are kept until the last call."""

    def __init__(self, routes: Sequence[_Route], event: _Event, given: Mapping[str, object]) -> None:
        self._number = len(routes)
        self._left = iter(routes)
        self._event = event
        self._given = given
        self._errors: list[BaseException] = []

    def until_one_must_be_awaited(self) -> Awaitable[object] | None:
        """Make calls until one returns an awaitable, and return that; None after the last call."""
        for route in self._left:
            try:
                given = {name: self._given[name] for name in route.accepts if name in self._given}
                result = route.function(self._event.as_wanted(route), **given)
            except BaseException as error:  # noqa: BLE001 - see _keep()
                self._keep(error)
            else:
                if inspect.isawaitable(result):
                    return cast("Awaitable[object]", result)
        return None

    async def go_on(self, awaitable: Awaitable[object] | None) -> None:
        while awaitable is not None:
            try:
                await awaitable
            except asyncio.CancelledError:
                raise  # the time limit applies to all of them
            except BaseException as error:  # noqa: BLE001 - see _keep()
                self._keep(error)
            awaitable = self.until_one_must_be_awaited()
        self.end()

    def _keep(self, error: BaseException) -> None:
        if not is_failure(error):
            raise error
        self._errors.append(error)

    def end(self) -> None:
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise BaseExceptionGroup(f"{len(self._errors)} of {self._number} handlers failed", self._errors)


# --- what stands in on(…) -----------------------------------------------------------------------------------------


def by_head(table: object, operations: Sequence[object], tag: object) -> Filter:
    """Filter of `Router.on` for the head of a payload. Raises `UsageError`."""
    parts: list[Condition] = []
    if table is not None:
        parts.append(Names("table", (_table(table),)))
    if tag is not None:
        if operations:
            raise UsageError(
                f"on(…, {operations[0]!r}, tag=…): data events have an operation, schema events have a tag"
            )
        tags = cast("Sequence[object]", tag) if isinstance(tag, list | tuple) else [tag]
        parts.append(Tag(tuple(_name(one, "a tag is a name such as 'ALTER TABLE'") for one in tags)))
    elif table is not None or operations:
        letters = [_letter(operation) for operation in operations] or [*METHODS]
        parts.append(Kinds("".join(letter for letter in METHODS if letter in letters)))
    return Filter(And(tuple(parts)))


def by_event(names: Sequence[object]) -> Filter:
    """Filter of `Router.on_event` for the head of a payload. Raises `UsageError`."""
    if names and inspect.isfunction(names[0]):
        raise UsageError(f"on_event needs parentheses before it decorates {name_of(names[0])}: @….on_event()")
    parts: list[Condition] = [Kinds(APPLICATION)]
    if names:
        wanted = "an event of the application has a name such as 'order.paid'"
        parts.append(Names("event", tuple(_name(name, wanted) for name in names)))
    return Filter(And(tuple(parts)))


def _table(table: object) -> Value:
    if inspect.isfunction(table):
        raise UsageError(f"on needs parentheses before it decorates {name_of(table)}: @….on()")
    if table in _LETTERS:
        raise UsageError(f"on({table!r}): the table comes first, for any table on('*', {table!r})")
    return _name(table, "a table is a name such as 'public.orders'")


def _name(value: object, wanted: str) -> Value:
    if not isinstance(value, str) or not value:
        raise UsageError(f"on(): {wanted}, not {value!r:.40}")
    return Value.name(value)


def _letter(operation: object) -> str:
    word = operation.upper() if isinstance(operation, str) else ""
    if word not in _LETTERS:
        near = difflib.get_close_matches(word, _LETTERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known operations: {', '.join(_LETTERS)}"
        raise UsageError(f"on(): there is no operation {operation!r:.40}; {hint}")
    return _LETTERS[word]


def _takes_text(function: Callable[..., object]) -> bool:
    """Return True if the first parameter is annotated `str`, even with `from __future__ import annotations`."""
    try:
        parameters = [*signature(function).parameters.values()]
    except (TypeError, ValueError):
        return False
    return bool(parameters) and parameters[0].annotation in (str, "str")
