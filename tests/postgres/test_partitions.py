"""Tables that hang together: partitions, inheritance, cascades. One event a row, whichever way it was written."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pg_events.db.connection import connect
from pg_events.triggers import catalog

Changes = list[tuple[Any, ...]]

PARTITIONS = """
    create table p (id integer, v integer) partition by range (id);
    create table p1 partition of p for values from (0) to (10);
    create table p2 partition of p for values from (10) to (20);
"""
NOTHING = "create function nothing() returns trigger language plpgsql as 'begin return null; end'"


def changes(db: psycopg.Connection) -> Changes:
    """Data events since the last look: letter, table, and the rows as tuples of their values."""
    rows = db.execute("select kind, table_name, old_data, new_data from pgevents.log where kind <> 'S' order by id")
    found = [
        (kind, name, *(tuple(data.values()) for data in (old, new) if data is not None))
        for kind, name, old, new in rows
    ]
    db.execute("delete from pgevents.event")
    return found


def states(url: str) -> dict[str, str]:
    with connect(url, application_name="test") as connection:
        return {table.name: table.state for table in catalog.tables(connection)}


def test_a_users_row_trigger_on_a_partition_gives_no_event_twice(
    db: psycopg.Connection, built_database_url: str
) -> None:
    db.execute(PARTITIONS)
    db.execute(NOTHING)

    db.execute("create trigger mine after insert on p1 for each row execute function nothing()")
    db.execute("insert into p values (1, 1), (11, 1)")
    assert changes(db) == [("I", "p", (1, 1)), ("I", "p", (11, 1))]

    db.execute("drop trigger mine on p1")
    db.execute("insert into p values (2, 2), (12, 2)")
    assert changes(db) == [("I", "p", (2, 2)), ("I", "p", (12, 2))]
    assert set(states(built_database_url).values()) == {"covered"}


@pytest.mark.parametrize("moved", [1, 2])
def test_a_row_that_a_trigger_drops_on_its_way_between_partitions_is_deleted(
    db: psycopg.Connection, moved: int
) -> None:
    db.execute(PARTITIONS)
    db.execute(
        "create function skip() returns trigger language plpgsql as"
        " $$begin if new.v = 7 then return null; end if; return new; end$$"
    )
    db.execute("create trigger skip before insert on p2 for each row execute function skip()")
    db.execute("insert into p select number, 7 / number from generate_series(1, %s) number", [moved])
    changes(db)

    db.execute("update p set id = id + 10")

    left = db.execute("select * from p").fetchall()
    found = changes(db)
    assert ("D", "p", (1, 7)) in found
    assert [row for change in found if change[0] in "IU" for row in change[-1:]] == left


def test_a_row_that_moves_between_partitions_is_an_update(db: psycopg.Connection) -> None:
    db.execute(PARTITIONS)
    db.execute("insert into p values (1, 1), (2, 2), (11, 3)")
    changes(db)

    db.execute("update p set id = (id + 10) % 20")

    assert sorted(changes(db)) == [
        ("U", "p", (1, 1), (11, 1)),
        ("U", "p", (2, 2), (12, 2)),
        ("U", "p", (11, 3), (1, 3)),
    ]


def test_leaves_of_leaves_defaults_attached_and_detached_ones_are_covered(
    db: psycopg.Connection, built_database_url: str
) -> None:
    db.execute(PARTITIONS)
    db.execute("create table late (id integer, v integer)")
    db.execute("alter table p attach partition late for values from (20) to (30)")
    db.execute("create table rest partition of p default partition by list (v)")
    db.execute("create table rest_1 partition of rest for values in (1)")

    db.execute("insert into p values (25, 1), (99, 1)")
    db.execute("insert into rest_1 values (98, 1)")
    db.execute("insert into rest values (97, 1)")
    assert changes(db) == [("I", "p", (25, 1)), ("I", "p", (99, 1)), ("I", "p", (98, 1)), ("I", "p", (97, 1))]

    db.execute("alter table p detach partition late")
    db.execute("insert into late values (0, 0)")
    assert changes(db) == [("I", "late", (0, 0))]
    assert set(states(built_database_url).values()) == {"covered"}


def test_a_truncate_is_one_event_and_hides_no_later_one(db: psycopg.Connection) -> None:
    db.execute(PARTITIONS)

    with db.transaction():
        db.execute("truncate p1, p")
        db.execute("insert into p values (1, 1)")
        db.execute("truncate p1")
        db.execute("truncate p")

    assert changes(db) == [("T", "p1"), ("T", "p"), ("I", "p", (1, 1)), ("T", "p1"), ("T", "p")]


def test_nobody_can_hide_a_truncate(db: psycopg.Connection) -> None:
    db.execute("create table t (a integer)")

    db.execute("select set_config('pgevents.truncated', '1 ' || 't'::regclass::oid || ' ', false)")
    db.execute("truncate t")
    db.execute("select set_config('pgevents.truncated', ' ' || 't'::regclass::oid || ' ', false)")
    db.execute("truncate t")

    assert changes(db) == [("T", "t"), ("T", "t")]


def test_a_row_of_a_child_table_has_all_its_columns(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("create table parent (id integer)")
    db.execute("create table child (extra text) inherits (parent)")
    db.execute("insert into child values (1, 'x')")
    db.execute("insert into parent values (2)")

    db.execute("update parent set id = id + 10")
    db.execute("delete from parent")

    assert changes(db) == [
        ("I", "child", (1, "x")),
        ("I", "parent", (2,)),
        ("U", "parent", (2,), (12,)),
        ("U", "child", (1, "x"), (11, "x")),
        ("D", "parent", (12,)),
        ("D", "child", (11, "x")),
    ]
    assert set(states(built_database_url).values()) == {"covered"}


def test_writes_to_a_tree_with_a_foreign_partition_do_not_fail(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute(PARTITIONS)
    db.execute("create foreign data wrapper nowhere; create server far foreign data wrapper nowhere")
    db.execute("create foreign table p3 partition of p for values from (20) to (30) server far")

    db.execute("insert into p values (1, 1)")

    assert changes(db) == [("I", "p", (1, 1))]
    assert states(built_database_url) == {"p": "covered", "p1": "covered", "p2": "covered", "p3": "unsupported"}


def test_cascades_within_one_table_keep_the_order_of_each_row(db: psycopg.Connection) -> None:
    db.execute("create table s (id integer primary key, up integer references s on update cascade on delete cascade)")
    db.execute("insert into s values (1, null), (2, 1)")
    changes(db)

    db.execute("update s set id = id + 100")
    db.execute("delete from s where id = 101")

    assert changes(db) == [
        ("U", "s", (1, None), (101, None)),
        ("U", "s", (2, 1), (102, 1)),
        ("U", "s", (102, 1), (102, 101)),
        ("D", "s", (101, None)),
        ("D", "s", (102, 101)),
    ]


def test_cascades_within_one_table_keep_the_order_when_the_join_does_not_fit_in_memory(db: psycopg.Connection) -> None:
    db.execute("create table s (id integer primary key, up integer references s on update cascade, filling text)")
    db.execute("insert into s select n, nullif(n - 1, 0), repeat('x', 300) from generate_series(1, 3000) n")
    changes(db)

    db.execute("set work_mem = '64kB'")
    db.execute("update s set id = id + 10000")

    seen: dict[int, tuple[Any, ...]] = {}
    for _, _, old, new in changes(db):
        assert seen.get(old[0], old) == old
        seen[new[0]] = new


@pytest.mark.parametrize(
    "change",
    [
        "create trigger mine after insert on p1 for each row execute function nothing()",
        "alter table p1 disable trigger all",
    ],
)
def test_a_build_mends_a_tree_without_event_triggers_at_one_stroke(
    db: psycopg.Connection, built_database_url: str, build: Callable[..., Any], change: str
) -> None:
    db.execute(PARTITIONS)
    db.execute(NOTHING)
    db.execute("drop event trigger pgevents_schema_changed")
    db.execute(change)

    assert not build(built_database_url).failed

    db.execute("insert into p values (1, 1), (11, 1)")
    db.execute("insert into p1 values (2, 2)")
    assert changes(db) == [("I", "p", (1, 1)), ("I", "p", (11, 1)), ("I", "p", (2, 2))]
    assert set(states(built_database_url).values()) == {"covered"}
