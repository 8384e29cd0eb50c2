"""Events of the application: from `pgevents.emit()` to callbacks, files and filters."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import pg_events
from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker
from pg_events.testing.capture import capture
from pg_events.triggers.build import apply, grant_steps, make_plan


@pytest.fixture
def role(server: Any, url: str) -> Iterator[str]:
    """A role without rights, dropped afterwards."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = f"shop_{connection.info.backend_pid}"
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("drop owned by {0} cascade; drop role {0}").format(sql.Identifier(name)))


def grant(url: str, role: str, capability: str | None) -> None:
    with connect(url, application_name="test") as connection:
        plan = make_plan(connection, Settings(url))
        steps = (*plan.steps, *grant_steps(connection, role, capability))
    applied = apply(url, type(plan)(**{**plan.__dict__, "steps": steps}))
    assert not applied.failed


def deliver(url: str, callback: Callable[..., object], **settings: Any) -> None:
    Worker(Settings(url, data_update_callback=callback, **settings), start=OLDEST).run(once=True)


def test_an_event_of_the_application_is_delivered_with_its_name_key_and_payload(db: psycopg.Connection, url: str):
    with db.transaction():
        db.execute("select set_config('pgevents.context', '{\"user\": 1}', true)")
        db.execute("select pgevents.emit('order.paid', '{\"id\": 7, \"total\": 1.50}', key => '7')")
    pg_events.emit(db, "mail.sent", ["a", 2], 8)
    pg_events.emit(db, "nothing")
    payloads: list[str] = []
    deliver(url, payloads.append)

    paid, sent, nothing = map(pg_events.parse, payloads)
    assert isinstance(paid, pg_events.ApplicationEvent)
    assert (paid.event, paid.key, paid.context) == ("order.paid", "7", {"user": 1})
    assert json.loads(payloads[0])["payload"] == {"id": 7, "total": 1.50}
    assert '"total": 1.50' in payloads[0]
    assert isinstance(sent, pg_events.ApplicationEvent)
    assert (sent.key, sent.payload) == ("8", ["a", 2])
    assert isinstance(nothing, pg_events.ApplicationEvent)
    assert (nothing.key, nothing.payload) == (None, None)
    assert "payload" not in json.loads(payloads[2])


def test_it_is_written_with_the_transaction_and_gone_with_it(db: psycopg.Connection, url: str):
    with db.transaction(force_rollback=True):
        pg_events.emit(db, "order.paid")
    with db.transaction():
        pg_events.emit(db, "order.paid", 1)
        with db.transaction(force_rollback=True):
            pg_events.emit(db, "order.paid", 2)
    payloads: list[str] = []
    deliver(url, payloads.append)
    assert [json.loads(payload)["payload"] for payload in payloads] == [1]


def test_a_router_has_functions_for_events_by_name(db: psycopg.Connection, url: str):
    router, calls = pg_events.Router(), list[tuple[str, object]]()

    @router.on_event("order.*", where="event:*paid or event:*shipped")
    def order(event: pg_events.ApplicationEvent) -> None:
        calls.append(("order", event.event))

    @router.on_event()
    def everything(payload: str) -> None:
        calls.append(("everything", json.loads(payload)["event"]))

    @router.on("*")
    def row(event: pg_events.DataEvent) -> None:
        calls.append(("row", event.table_name))

    db.execute("create table note (id integer primary key)")
    for name in ("order.paid", "order.lost", "mail.sent"):
        pg_events.emit(db, name)
    db.execute("insert into note values (1)")
    deliver(url, router)
    assert calls == [
        ("order", "order.paid"), ("everything", "order.paid"), ("everything", "order.lost"), ("everything", "mail.sent"),
        ("row", "note"),
    ]  # fmt: skip
    with pytest.raises(pg_events.UsageError, match="on_event needs parentheses"):
        router.on_event(order)  # type: ignore[arg-type]


def test_a_failed_event_holds_up_those_of_its_key_alone(db: psycopg.Connection, url: str):
    for number in range(3):
        for key in ("a", "b", None):
            pg_events.emit(db, "step", number, key)
    calls: list[tuple[str | None, int]] = []

    def callback(payload: str) -> None:
        event = json.loads(payload)
        if (event.get("key"), event["payload"]) == ("a", 0):
            raise ValueError
        calls.append((event.get("key"), event["payload"]))

    deliver(url, callback, on_failure="hold", max_attempts=1)
    assert calls == [(key, number) for number in range(3) for key in ("b", None)]


def test_events_of_a_key_keep_their_order_side_by_side(db: psycopg.Connection, url: str):
    import asyncio

    for number in range(60):
        pg_events.emit(db, "step", number // 3, key=number % 3)
    seen: dict[str, list[int]] = {}

    async def callback(payload: str) -> None:
        event = json.loads(payload)
        await asyncio.sleep(0)
        seen.setdefault(event["key"], []).append(event["payload"])

    deliver(url, callback, concurrency=10)
    assert seen == {key: list(range(20)) for key in ("0", "1", "2")}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("pgevents.emit('')", "1 to 200 characters"),
        ("pgevents.emit(null)", "1 to 200 characters"),
        ("pgevents.emit(repeat('x', 201))", "1 to 200 characters"),
        ("pgevents.emit('a', key => repeat('x', 1001))", "1,000 characters"),
        ("pgevents.emit('a', '{')", "invalid input syntax for type json"),
    ],
)
def test_bad_input_has_one_clear_line(db: psycopg.Connection, call: str, reason: str):
    with pytest.raises(psycopg.Error, match=reason):
        db.execute(f"select {call}".encode())


def test_hostile_names_keys_and_payloads_arrive_as_they_are(db: psycopg.Connection, url: str):
    names = ['"', "\\", "\x1b[31m", "'; drop table x; --", "ü€😀", "a\nb", '{"table_schema": "x"}']
    for name in names:
        pg_events.emit(db, name, {"deep": {"event": name, "command_tag": "x"}}, key=name)
    payloads: list[str] = []
    deliver(url, payloads.append)
    events = [*map(pg_events.parse, payloads)]
    assert [(event.event, event.key, event.payload["deep"]["event"]) for event in events] == [(n, n, n) for n in names]  # type: ignore[union-attr]
    assert all("\n" not in payload for payload in payloads)


def test_only_who_is_granted_it_may_emit(db: psycopg.Connection, url: str, role: str):
    as_role = make_conninfo(url, user=role)
    emit = "select pgevents.emit('order.paid')"

    def may(question: str) -> bool:
        with psycopg.connect(as_role, autocommit=True) as connection:
            try:
                connection.execute(question.encode())
            except psycopg.errors.InsufficientPrivilege:
                return False
            return True

    read, write = "select * from pgevents.log", "insert into pgevents.event (kind) values ('E')"
    wanted = [
        (None, (False, False, False)),
        ("emitter", (True, False, False)),
        ("reader", (True, True, False)),
        (None, (False, False, False)),
        ("reader", (False, True, False)),
        ("emitter", (True, True, False)),
        ("worker", (True, True, False)),
        ("reader", (True, True, False)),
        (None, (False, False, False)),
    ]
    for capability, rights in wanted:
        grant(url, role, capability)
        assert (may(emit), may(read), may(write)) == rights, capability
        assert make_plan_is_empty(url)


def test_a_build_that_replaces_the_function_leaves_who_may_call_it(
    db: psycopg.Connection, url: str, role: str, build: Any
):
    grant(url, role, "emitter")
    for characters in (100, 8192):
        build(url, query_characters=characters)
        with psycopg.connect(make_conninfo(url, user=role), autocommit=True) as connection:
            connection.execute("select pgevents.emit('order.paid')")
    db.execute("drop function pgevents.emit(text, json, text)")
    db.execute("grant execute on all functions in schema pgevents to public")
    build(url)
    with psycopg.connect(make_conninfo(url, user=role), autocommit=True) as connection:
        connection.execute("select pgevents.emit('order.paid')")
    [_owner, *others] = db.execute(
        "select a.grantee::regrole::text from pg_proc p, aclexplode(p.proacl) a where p.proname = 'emit' order by a.grantee"
    ).fetchall()
    assert others == [(role,)]


def make_plan_is_empty(url: str) -> bool:
    with connect(url, application_name="test") as connection:
        return not make_plan(connection, Settings(url)).steps


def test_the_fixture_and_files_have_them(db: psycopg.Connection, url: str, tmp_path: Path):
    with capture(url) as captured:
        pg_events.emit(db, "order.paid", {"id": 7}, key=7)
        pg_events.emit(db, "order.lost")
    assert [event.key for event in captured.of_event("order.paid")] == ["7"]  # type: ignore[union-attr]
    assert len(captured.of_event("order.*", where="event:order.lost")) == 1
    assert "EVENT order.paid" in repr(captured)

    file = tmp_path / "events.jsonl"
    file.write_text("".join(record.payload + "\n" for record in captured.records))
    events = [*pg_events.read(file, where="event:order.paid")]
    assert [(event.event, event.payload) for event in events] == [("order.paid", {"id": 7})]  # type: ignore[union-attr]
    payloads: list[str] = []
    report = pg_events.replay(url, payloads.append, where="is:event")
    assert report.handled == 2 if hasattr(report, "handled") else len(payloads) == 2
