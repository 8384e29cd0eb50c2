"""Changes that are left out: those for which a condition is false, updates that change nothing."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pg_events.errors import UsageError
from tests.postgres.choosing import Build, changes, plan

# --- conditions ---------------------------------------------------------------------------------------------------


def test_a_change_is_left_out_when_its_condition_is_false(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table orders (id integer primary key, total numeric, note text)")
    captured_by("orders")
    build(url, when={"public.orders": "new.total > 100", "*": "coalesce(new.note, old.note, '') <> 'test'"})

    db.execute("insert into orders values (1, 50, ''), (2, 150, ''), (3, null, ''), (4, 500, 'test')")
    db.execute("update orders set total = total + 60")
    db.execute("delete from orders")
    db.execute("truncate orders")

    assert [(kind, (new or old or {}).get("id")) for kind, old, new in changes(db)] == [
        ("I", 2), ("I", 3),
        ("U", 1), ("U", 2), ("U", 3),
        # A condition on the new row says nothing about a row that is gone.
        ("D", 1), ("D", 2), ("D", 3),
        ("T", None),
    ]  # fmt: skip


def test_a_condition_on_the_change_itself(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table orders (id integer, status text)")
    captured_by("orders")
    build(url, when={"orders": "old.status is distinct from new.status"})

    db.execute("insert into orders values (1, 'new'), (2, 'new')")
    db.execute("update orders set status = 'paid' where id = 1")
    db.execute("update orders set status = 'paid'")
    db.execute("delete from orders where id = 1")

    assert [(kind, (new or old)["id"]) for kind, old, new in changes(db)] == [
        ("I", 1), ("I", 2), ("U", 1), ("U", 2), ("D", 1),
    ]  # fmt: skip


def test_a_condition_that_fails_fails_no_write_and_leaves_nothing_out(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (id integer, divisor integer)")
    captured_by("t")
    build(url, when={"t": "new.id / new.divisor > 3"})

    db.execute("insert into t values (1, 1)")
    db.execute("insert into t values (1, 0)")
    with db.transaction():
        db.execute("insert into t values (9, 1)")
        db.execute("update t set id = 2 where divisor = 0")
    db.execute("alter table t drop divisor")
    db.execute("insert into t values (1)")

    assert [(kind, new["id"]) for kind, _, new in changes(db)] == [("I", 1), ("I", 9), ("U", 2), ("I", 1)]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("new.totl > 100", "column new.totl does not exist"),
        ("total > 100", 'column reference "total" is ambiguous'),
        ("new.total", "argument of IS NOT FALSE must be type boolean"),
        ("new.total > 100) or (true", None),
        ("count(*) > 1", "aggregate functions are not allowed in WHERE"),
        ("new.total > 100) is not false; drop table orders; select (true", "cannot insert multiple commands"),
        ("new.total > ", "syntax error"),
        ("new.total > 1/0", "division by zero"),
        ("forbidden(new.total)", "function forbidden(numeric) does not exist"),
    ],
)
def test_a_condition_is_understood_at_the_build_or_refused(
    db: psycopg.Connection, url: str, build: Build, condition: str, says: str | None
) -> None:
    db.execute("create table orders (id integer, total numeric)")
    db.execute("create function forbidden(numeric) returns boolean language sql as 'select true'")
    db.execute("revoke execute on function forbidden from public")

    if says is None:
        assert not build(url, when={"orders": condition}).failed
        return
    with pytest.raises(UsageError) as caught:
        build(url, when={"orders": condition})

    text = str(caught.value)
    assert "PG_EVENTS_WHEN: " in text
    assert "is not a condition for public.orders: " in text
    assert says in text
    assert "\n" not in text
    assert db.execute("select to_regclass('orders') is not null").fetchone() == (True,)


def test_a_condition_for_many_rows_asks_each(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer primary key, a integer)")
    build(url, when={"t": "old.a <> new.a"})
    db.execute("insert into t select n, 0 from generate_series(1, 20000) n")
    changes(db)

    db.execute("set statement_timeout = '60s'")
    db.execute("update t set a = id % 2")

    found = changes(db)
    assert len(found) == 10_000
    assert all(old["id"] == new["id"] and new["a"] == 1 for _, old, new in found)


# --- updates that change nothing ----------------------------------------------------------------------------------


def test_updates_that_change_nothing_are_left_out(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (id integer, a json, b xml, c point, d numeric, e text)")
    captured_by("t")
    build(url, skip_unchanged=("*",))
    db.execute("""insert into t values (1, '{"x":1}', null, '(1,2)', 1.0, repeat('x', 100000))""")
    db.execute("insert into t values (2)")
    changes(db)

    db.execute("update t set id = id")
    db.execute("update t set a = a, e = e || ''")
    assert changes(db) == []

    db.execute("update t set d = 1.00 where id = 1")
    db.execute("update t set e = case id when 2 then '' else e end")
    assert [(kind, old["id"]) for kind, old, _ in changes(db)] == [("U", 1), ("U", 2)]


def test_an_update_of_what_is_not_captured_changes_nothing(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (id integer, seen integer, pin text)")
    captured_by("t")
    build(url, skip_unchanged=("*",), exclude_columns={"t": ("seen",)}, redact={"t": {"pin": "mask"}})
    db.execute("insert into t values (1, 1, 'x')")
    changes(db)

    db.execute("update t set seen = 2")
    assert changes(db) == []

    db.execute("update t set pin = 'y'")
    assert changes(db) == [("U", {"id": 1, "pin": "***"}, {"id": 1, "pin": "***"})]


@pytest.mark.parametrize("more", [{}, {"exclude_columns": {"t": ("pin",)}}, {"when": {"t": "new.a <> 7"}}])
def test_a_plan_made_for_one_row_is_no_trap_for_many(
    db: psycopg.Connection, url: str, build: Build, more: dict[str, Any]
) -> None:
    db.execute("create table t (id integer primary key, a integer, pin text)")
    build(url, skip_unchanged=("*",), **more)
    db.execute("insert into t select n, 0 from generate_series(1, 20000) n")
    for number in range(10):
        db.execute("update t set a = a + 1 where id = %s", [number])
    changes(db)

    # A nested loop takes minutes.
    db.execute("set statement_timeout = '20s'")
    db.execute("update t set a = 1 where id > 10")

    assert len(changes(db)) == 19_990


def test_only_the_update_trigger_pays_for_skipping(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer)")

    assert {step.object for step in plan(url, skip_unchanged=("*",)).steps} == {
        "setting choices",
        "trigger 00_pgevents_update",
    }
