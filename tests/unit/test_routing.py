"""A router hands each event to the functions registered for it, in order, and tells what failed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pg_events
from pg_events import DataEvent, Router, SchemaEvent
from pg_events.callbacks.callback import Runner, describe_failure, resolve
from pg_events.delivery.metrics import Stopwatch
from pg_events.errors import FilterError, UsageError
from pg_events.event import Record, head, record

NAME = "PG_EVENTS_DATA_UPDATE_CALLBACK"


def data(table: str = "public.orders", kind: str = "U", new: str = '{"id": 1, "total": 150}', **more: Any) -> str:
    schema, name = table.split(".")
    old = '{"id": 1, "total": 50}' if kind in "UD" else None
    record = Record(1, 2, "2026-01-01T00:00:00+00:00", kind, schema, name, "app", None, None, old, new, None)
    return record._replace(**more).payload


def ddl(tag: str = "ALTER TABLE", identity: str = "public.orders") -> str:
    told = json.dumps({"command_tag": tag, "schema_name": "public", "object_identity": identity})
    return Record(
        3, 4, "2026-01-01T00:00:00+00:00", "S", "public", identity, "app", None, None, None, None, told
    ).payload


@pytest.fixture
def events() -> Router:
    return Router()


def reached(events: Router, *payloads: str, **on: Any) -> list[bool]:
    """Whether a handler registered so gets each of them."""
    got: list[str] = []

    @events.on(*on.pop("table", ()), **on)
    def handler(payload: str) -> None:
        got.append(payload)

    found: list[bool] = []
    for payload in payloads:
        got.clear()
        events(payload)
        found.append(got == [payload])
    return found


@pytest.mark.parametrize(
    ("on", "gets"),
    [
        ({}, "data insert shop ddl index"),
        ({"table": ["public.orders"]}, "data insert"),
        ({"table": ["public.orders", "UPDATE"]}, "data"),
        ({"table": ["public.orders", "update", "INSERT"]}, "data insert"),
        ({"table": ["orders"]}, "data insert shop"),
        ({"table": ["shop.*"]}, "shop"),
        ({"table": ["*", "INSERT"]}, "insert"),
        ({"table": [None, "INSERT"]}, "insert"),
        ({"tag": "ALTER TABLE"}, "ddl"),
        ({"tag": ["alter table", "CREATE INDEX"]}, "ddl index"),
        ({"tag": "*"}, "ddl index"),
        ({"table": ["public.orders"], "tag": "*"}, "ddl"),
        ({"where": "new.total>100"}, "data insert"),
        ({"table": ["public.orders", "UPDATE"], "where": "new.total>100 old.total<100"}, "data"),
        ({"table": ["public.orders"], "where": "new.total>1000"}, ""),
        ({"where": "is:ddl or op:D"}, "ddl index"),
    ],
)
def test_an_event_goes_to_the_handlers_that_want_it(events: Router, on: dict[str, Any], gets: str) -> None:
    payloads = {
        "data": data(),
        "insert": data(kind="I"),
        "shop": data("shop.orders", new='{"id": 1, "total": 5}'),
        "ddl": ddl(),
        "index": ddl("CREATE INDEX", "public.orders_pkey"),
    }

    found = reached(events, *payloads.values(), **on)

    assert [name for name, is_reached in zip(payloads, found, strict=True) if is_reached] == gets.split()


def test_a_handler_gets_the_typed_event_unless_it_asks_for_the_text(events: Router) -> None:
    got: list[object] = []

    @events.on("public.orders")
    def typed(event: DataEvent) -> None:
        got.append(event)

    @events.on(tag="*")
    def untyped(event) -> None:  # type: ignore[no-untyped-def]
        got.append(event)

    @events.on("public.orders")
    def text(payload: "str") -> None:
        got.append(payload)

    payload = data(new='{"id": 1, "total": 1.10}')
    events(payload)
    events(ddl())

    first, second, third = got
    assert isinstance(first, DataEvent)
    assert (first.table, first.new_data) == ("public.orders", {"id": 1, "total": Decimal("1.10")})
    assert second == payload
    assert isinstance(third, SchemaEvent)


def test_all_handlers_of_an_event_are_called_in_the_order_of_their_registration(events: Router) -> None:
    called: list[str] = []

    def handler(name: str, is_async: bool) -> Callable[[str], object]:
        async def later(payload: str) -> None:
            await asyncio.sleep(0)
            called.append(name)

        return later if is_async else lambda payload: called.append(name)

    for name, is_async in {"a": False, "b": True, "c": False, "d": False, "e": True, "f": True}.items():
        events.on()(handler(name, is_async))
    callback = resolve(events, NAME)
    callback(data())
    callback.close()

    assert called == ["a", "b", "c", "d", "e", "f"]


def test_a_function_with_several_decorators_is_called_once(events: Router) -> None:
    called: list[str] = []

    @events.on("public.orders", "UPDATE")
    @events.on("public.*")
    @events.on(tag="ALTER TABLE")
    def handler(payload: str) -> None:
        called.append(payload)

    events(data())
    events(ddl())

    assert called == [data(), ddl()]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_that_fails_does_not_keep_the_event_from_the_others(events: Router, is_async: bool) -> None:
    called: list[str] = []

    @events.on()
    def bad(event: DataEvent) -> None:
        raise KeyError("bad")

    @events.on()
    def leaves(event: DataEvent) -> None:
        raise SystemExit(3)

    @events.on(tag="*")
    def other(event: SchemaEvent) -> None:
        raise AssertionError

    if is_async:

        @events.on()
        async def later(event: DataEvent) -> None:
            await asyncio.sleep(0)
            raise ValueError("later")

    @events.on()
    def good(event: DataEvent) -> None:
        called.append("good")

    callback = resolve(events, NAME)
    with pytest.raises(BaseExceptionGroup) as raised:
        callback(data())
    callback.close()
    failure = describe_failure(raised.value)

    assert called == ["good"]
    assert raised.value.message == ("3 of 4 handlers failed" if is_async else "2 of 3 handlers failed")
    assert "in bad" in failure.traceback
    assert "/pg_events/callbacks/router.py" not in failure.traceback


def test_a_single_failure_is_the_failure(events: Router) -> None:
    @events.on()
    def bad(event: DataEvent) -> None:
        raise KeyError("bad")

    @events.on()
    def good(event: DataEvent) -> None: ...

    with pytest.raises(KeyError, match="bad"):
        events(data())


def test_an_interrupt_stops_at_once(events: Router) -> None:
    called: list[str] = []

    @events.on()
    def first(event: DataEvent) -> None:
        raise KeyboardInterrupt

    @events.on()
    def second(event: DataEvent) -> None:
        called.append("second")

    with pytest.raises(KeyboardInterrupt):
        events(data())
    assert called == []


def test_a_time_limit_is_for_all_handlers_of_an_event(events: Router) -> None:
    called: list[str] = []

    @events.on()
    async def hangs(event: DataEvent) -> None:
        await asyncio.Event().wait()

    @events.on()
    async def second(event: DataEvent) -> None:
        called.append("second")

    callback = resolve(events, NAME, timeout_seconds=0.05)
    with pytest.raises(TimeoutError, match=r"within the time limit of 0\.05 s"):
        callback(data())
    callback.close()

    assert called == []


def test_a_router_accepts_what_its_handlers_do(events: Router) -> None:
    got: list[object] = []

    @events.on()
    def one(event: DataEvent, attempt: int) -> None:
        got.append(attempt)

    @events.on()
    async def other(event: DataEvent, *, connection: object) -> None:
        got.append(connection)

    callback = resolve(events, NAME)
    callback(data(), attempt=3, connection="link")
    callback.close()

    assert callback.accepts == {"attempt", "connection"}
    assert not callback.is_async
    assert got == [3, "link"]


def test_a_router_of_async_handlers_is_async(events: Router) -> None:
    @events.on()
    async def later(event: DataEvent) -> None: ...

    assert resolve(events, NAME).is_async


def test_a_row_that_cannot_be_read_fails_only_those_who_want_it(events: Router) -> None:
    deep = data("public.trees", new='{"id": ' + "[" * 100_000 + "]" * 100_000 + "}")
    got: list[str] = []

    @events.on("public.orders", where="new.total>100")
    def other(event: DataEvent) -> None: ...

    events(deep)

    @events.on("public.trees")
    def text(payload: str) -> None:
        got.append(payload)

    events(deep)
    assert got == [deep]

    @events.on("public.trees")
    def typed(event: DataEvent) -> None: ...

    with pytest.raises(RecursionError):
        events(deep)


@given(st.tuples(*[st.text(st.characters(codec="utf-8"))] * 4), st.sampled_from("IUDT"))
def test_the_head_of_a_payload_is_read_as_the_whole_is(names: tuple[str, ...], kind: str) -> None:
    schema, table, user, application = names
    of_data = Record(
        1, 2, "2026-01-01T00:00:00+00:00", kind, schema, table, user, application or None, None, None, None, None
    )

    assert head(of_data._replace(new_data='{"method": "x"}', query="select").payload) == of_data
    assert record(of_data.payload) == of_data
    assert head(ddl()) == record(ddl())


def test_what_stands_in_an_unmatched_row_costs_nothing(events: Router) -> None:
    @events.on("public.orders")
    def other(event: DataEvent) -> None: ...

    large = data("public.files", new='{"id": "' + "x" * 50_000_000 + '"}')
    before = time.process_time()
    events(large)

    assert time.process_time() - before < 0.05


@pytest.mark.parametrize(
    ("register", "says"),
    [
        (lambda events: events.on("public.orders", "UPDAT"), "no operation 'UPDAT'; did you mean 'UPDATE'?"),
        (
            lambda events: events.on("public.orders", 5),
            "no operation 5; known operations: INSERT, UPDATE, DELETE, TRUNCATE",
        ),
        (lambda events: events.on("UPDATE"), "the table comes first, for any table on('*', 'UPDATE')"),
        (lambda events: events.on(""), "a table is a name such as 'public.orders', not ''"),
        (lambda events: events.on(5), "a table is a name such as 'public.orders', not 5"),
        (lambda events: events.on(tag=5), "a tag is a name such as 'ALTER TABLE', not 5"),
        (lambda events: events.on("a", "UPDATE", tag="b"), "data events have an operation, schema events have a tag"),
        (lambda events: events.on(lambda event: None), "on needs parentheses before it decorates"),
        (lambda events: events.on()(lambda: None), "<lambda> cannot be called with the payload"),
        (lambda events: events.on()(5), "is not callable but int"),
        (lambda events: resolve(events, NAME), "has no handlers: decorate functions with .on(…)"),
    ],
)
def test_a_mistake_is_told_where_it_is_made(events: Router, register: Callable[[Router], object], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        register(events)

    assert says in str(raised.value)


def test_a_filter_that_cannot_be_read_is_told_where_it_stands(events: Router) -> None:
    with pytest.raises(FilterError):
        events.on(where="new.total>")


def test_the_package_has_the_router() -> None:
    assert pg_events.Router is Router
    assert not hasattr(pg_events, "Rooter")


def test_a_decorated_function_stays_what_it_is(events: Router) -> None:
    @events.on()
    def handler(event: DataEvent) -> str:
        return event.method

    parsed = pg_events.parse(data())
    assert isinstance(parsed, DataEvent)
    assert handler(parsed) == "UPDATE"


def test_an_async_handler_hidden_by_a_decorator_is_awaited(events: Router) -> None:
    called: list[str] = []

    async def later() -> None:
        called.append("later")

    @events.on()
    def hidden(event: DataEvent) -> Awaitable[None]:
        return later()

    runner = Runner()
    resolve(events, NAME, runner)(data())
    runner.close()

    assert called == ["later"]


def test_an_event_that_no_async_function_wants_is_handled_timed_or_not() -> None:
    events = Router()

    @events.on("nothing")
    async def never(payload: str) -> None: ...

    callback = resolve(events, "A")
    payload = '{"id": 1, "xid": 1, "at": "", "table_schema": "public", "table_name": "item", "method": "INSERT"}'

    assert callback(payload) is None
    assert Stopwatch().around(callback)(payload) is None
    callback.close()
