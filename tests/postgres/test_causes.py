"""Causes: what callbacks write names the consumer and the event that it follows from."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pg_events
from pg_events.config.settings import Settings
from pg_events.contexts.cause import cause_in
from pg_events.contexts.current import context_statement
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker


def deliver(url: str, callback: object, name: str = "billing", **settings: Any) -> Worker:
    worker = Worker(Settings(url, data_update_callback=callback, **settings), name, start=OLDEST)  # type: ignore[arg-type]
    worker.run(once=True)
    return worker


def rows(db: psycopg.Connection, table: str) -> list[tuple[int, dict[str, Any] | None]]:
    return db.execute(
        "select id, context::json from pgevents.log where table_name = %s order by id", [table]
    ).fetchall()


@pytest.fixture
def shop(db: psycopg.Connection) -> psycopg.Connection:
    for table in ("orders", "invoice", "mail"):
        db.execute(f"create table {table} (id integer generated always as identity primary key, n integer)".encode())
    return db


def writing(url: str, statement: str) -> Callable[[str], None]:
    """A callback that writes on a connection of its own, with the current context."""

    def callback(payload: str) -> None:
        with psycopg.connect(url) as connection:
            pg_events.set_context(connection)
            connection.execute(statement.encode())

    return callback


def test_what_a_callback_writes_names_its_event_and_keeps_the_context(shop: psycopg.Connection, url: str):
    with shop.transaction():
        pg_events.set_context(shop, user=42)
        shop.execute("insert into orders (n) values (1)")
    deliver(url, writing(url, "insert into invoice (n) values (1)"), max_causes=1)
    [(order, _)] = rows(shop, "orders")
    [(invoice, context), *_] = rows(shop, "invoice")
    assert context == {"user": 42, "caused_by": {"consumer": "billing", "event": order, "depth": 1}}
    assert invoice > order


def test_the_connection_of_the_transactional_mode_names_the_event_of_each_call(shop: psycopg.Connection, url: str):
    def callback(payload: str, connection: psycopg.Connection) -> None:
        if "orders" in payload:
            connection.execute("insert into invoice (n) values (%s)", [json.loads(payload)["new_data"]["id"]])

    shop.execute("insert into orders (n) values (1), (2)")
    deliver(url, callback, transactional=True)
    causes = [cause_in(json.dumps(context)) for _, context in rows(shop, "invoice")]
    assert [cause.event_id for cause in causes if cause] == [event for event, _ in rows(shop, "orders")]


def test_concurrent_async_callbacks_have_each_their_own_event(shop: psycopg.Connection, url: str):
    async def callback(payload: str) -> None:
        event = json.loads(payload)
        if event["table_name"] == "orders":
            async with await psycopg.AsyncConnection.connect(url) as connection:
                statement = context_statement(seen=event["id"])
                await connection.execute(*statement)
                await connection.execute("insert into invoice (n) values (1)")

    shop.execute("insert into orders (n) select 1 from generate_series(1, 20)")
    deliver(url, callback, concurrency=8)
    contexts = [context for _, context in rows(shop, "invoice")]
    assert len(contexts) == 20
    assert all(context and context["caused_by"]["event"] == context["seen"] for context in contexts)


def test_own_changes_are_ignored_by_their_context_whatever_the_connection_is_called(shop: psycopg.Connection, url: str):
    calls: list[str] = []
    write = writing(make_conninfo(url, application_name="renamed by a library"), "insert into orders (n) values (2)")

    def callback(payload: str) -> None:
        calls.append(payload)
        write(payload)

    shop.execute("insert into orders (n) values (1)")
    for _ in range(3):
        deliver(url, callback, ignore_own_changes=True)
    assert len(calls) == 1


def test_a_claim_of_another_role_hides_nothing(shop: psycopg.Connection, url: str):
    shop.execute("drop role if exists claimer")
    shop.execute("create role claimer login")
    try:
        shop.execute("grant insert on orders to claimer")
        with psycopg.connect(make_conninfo(url, user="claimer")) as claimer:
            cause = {"caused_by": {"consumer": "billing", "event": 1, "depth": 1000}}
            claimer.execute("select set_config('pgevents.context', %s, true)", [json.dumps(cause)])
            claimer.execute("insert into orders (n) values (1)")
        calls: list[str] = []
        deliver(url, calls.append, ignore_own_changes=True, max_causes=3)
        assert len(calls) == 1
    finally:
        shop.execute("drop owned by claimer; drop role claimer")


@pytest.mark.parametrize("depth", [4, 1000])
def test_a_claimed_depth_without_its_chain_stops_nothing(shop: psycopg.Connection, url: str, depth: int):
    with shop.transaction():
        pg_events.set_context(shop, caused_by={"consumer": "x", "event": 1, "depth": depth})
        shop.execute("insert into orders (n) values (1)")
    calls: list[str] = []
    deliver(url, calls.append, max_causes=3)
    assert len(calls) == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_a_loop_is_named_with_its_path_and_stopped(
    shop: psycopg.Connection, url: str, is_async: bool, caplog: pytest.LogCaptureFixture
):
    write = writing(url, "insert into orders (n) values (1)")
    calls: list[str] = []

    def callback(payload: str) -> None:
        calls.append(payload)
        write(payload)

    async def async_callback(payload: str) -> None:
        callback(payload)

    shop.execute("insert into orders (n) values (1)")
    for _ in range(8):
        deliver(url, async_callback if is_async else callback, max_causes=3, concurrency=4 if is_async else 1)
    assert len(calls) == 4  # the first event, and three that callbacks caused
    [(error, attempts)] = shop.execute("select error, attempts from pgevents.failed").fetchall()
    assert "public.orders ← billing ← public.orders ← billing" in error
    assert "PG_EVENTS_MAX_CAUSES" in error
    assert attempts == 0
    assert "ends a loop" in caplog.text
