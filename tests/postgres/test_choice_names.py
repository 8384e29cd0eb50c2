"""What was chosen holds for what is renamed, made later, attached, restored: nothing leaks."""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.postgres.choosing import BY_ROW, USERS, Build, changes, plan, states, without_event_triggers


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {"exclude_columns": {"public.users": ("password_hash",)}},
        {"redact": {"users": {"password_hash": "mask"}}},
        {"include_columns": {"public.users": ("id", "email", "card")}},
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        "alter table users rename password_hash to pw",
        "alter table users rename password_hash to pw; alter table users rename pw to p",
        "alter table users rename card to c; alter table users rename password_hash to card",
        "alter table users rename to accounts",
        "alter table users rename to accounts; alter table accounts rename password_hash to pw",
        "create schema other; alter table users set schema other",
        "alter table users alter password_hash type varchar(20)",
        "alter table users drop card; alter table users rename password_hash to pw",
        "alter table users add other text; alter table users rename password_hash to pw",
    ],
)
def test_a_rename_leaks_nothing(
    db: psycopg.Connection, url: str, build: Build, settings: Any, change: str, seen: bool
) -> None:
    if "include_columns" in settings and "password_hash to card" in change:
        pytest.skip("the settings say that a column of that name is to be captured")
    db.execute(USERS)
    build(url, **settings)
    if seen:
        db.execute(change.encode())
    else:
        with without_event_triggers(db):
            db.execute(change.encode())
    ((schema, name),) = db.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relname in ('users', 'accounts') and c.relkind = 'r'"
    ).fetchall()
    table = sql.Identifier(schema, name)
    insert = sql.SQL("insert into {} values (1, 'a', 'hunter2')").format(table)

    db.execute(insert)
    assert not build(url, **settings).failed
    db.execute(sql.SQL("delete from {}").format(table))
    db.execute(insert)
    db.execute(sql.SQL("update {} set id = 2").format(table))

    found = changes(db)
    assert [kind for kind, _, _ in found] == ["I", "D", "I", "U"]
    assert "hunter2" not in str(found)
    assert all("id" in (old or new) for _, old, new in found)
    assert plan(url, **settings).steps == ()


def test_who_stops_asking_for_it_gets_a_renamed_column(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(USERS)
    build(url, exclude_columns={"users": ("password_hash",)})
    db.execute("alter table users rename password_hash to shown")
    db.execute("insert into users values (1, 'a', 'x')")
    build(url)
    db.execute("insert into users values (2, 'a', 'x')")

    assert ["shown" in new for _, _, new in changes(db)] == [False, True]


def test_a_condition_goes_with_its_table(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer)")
    build(url, when={"public.t": "new.id > 1"})

    db.execute("alter table t rename to u")
    db.execute("insert into u values (1), (2)")

    assert changes(db) == [("I", None, {"id": 2})]


def test_tables_made_later_are_treated_as_the_settings_say(db: psycopg.Connection, url: str, build: Build) -> None:
    build(url, exclude_columns={"*": ("*password*",)}, redact={"public.users": {"email": "mask"}})

    db.execute("set standard_conforming_strings = off; set backslash_quote = on")
    db.execute('create table users (id integer, email text, "PassWord" text, the_password text, "back\\slash" text)')
    db.execute("alter table users add password2 text default 'p'")
    db.execute("insert into users values (1, 'a', 'x', 'y', 'z')")

    assert changes(db) == [("I", None, {"id": 1, "email": "***", "PassWord": "x", "back\\slash": "z"})]


PARTITIONS = """
    create table p (id integer, secret text, v text) partition by range (id);
    create table p1 partition of p for values from (0) to (10);
    create table p2 (gone integer, v text, secret text, id integer);
    alter table p2 drop gone;
    alter table p attach partition p2 for values from (10) to (20);
"""


@pytest.mark.parametrize("by_row", [False, True])
def test_partitions_are_treated_as_their_root_is(db: psycopg.Connection, url: str, build: Build, by_row: bool) -> None:
    db.execute(PARTITIONS)
    if by_row:
        db.execute(BY_ROW.format("p1").encode())
    settings = {
        "exclude_columns": {"public.p": ("secret",)},
        "when": {"public.p": "new.v <> 'no'"},
        "skip_unchanged": ("*",),
    }
    assert not build(url, **settings).failed

    db.execute("insert into p values (1, 's', 'a'), (11, 's', 'b'), (12, 's', 'no')")
    db.execute("insert into p2 (id, secret, v) values (13, 's', 'c')")
    db.execute("update p set id = id + 5 where id = 1; update p2 set id = 8 where false")
    db.execute("update p set id = id - 10 where id = 11")
    found = changes(db)
    assert [kind for kind, _, _ in found][:3] == ["I", "I", "I"]
    assert "secret" not in str(found)
    assert found[-1] == ("U", {"id": 11, "v": "b"}, {"id": 1, "v": "b"}) or by_row
    assert {(old or new)["v"] for _, old, new in found} == {"a", "b", "c"}

    db.execute("alter table p rename secret to hidden")
    db.execute("create table p3 partition of p for values from (20) to (30)")
    db.execute("insert into p values (2, 's', 'd'), (15, 's', 'e'), (25, 's', 'f')")
    db.execute("insert into p3 values (26, 's', 'g')")
    db.execute("alter table p detach partition p3")
    db.execute("insert into p3 values (27, 's', 'h')")
    found = changes(db)
    assert sorted(new["v"] for _, _, new in found) == ["d", "e", "f", "g", "h"]
    assert "hidden" not in str(found)
    assert not build(url, **settings).failed
    assert set(states(url, **settings).values()) == {"covered"}


def test_a_row_that_is_dropped_on_its_way_to_another_partition_is_asked_about(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(PARTITIONS)
    db.execute("create function skip() returns trigger language plpgsql as 'begin return null; end'")
    db.execute("create trigger skip before insert on p2 for each row execute function skip()")
    build(url, exclude_columns={"p": ("secret",)}, when={"p": "coalesce(old.v, new.v) <> 'no'"})
    db.execute("insert into p values (1, 's', 'a'), (2, 's', 'no'), (3, 's', 'b')")
    changes(db)

    db.execute("update p set id = case id when 3 then 4 else id + 10 end")

    assert sorted(changes(db), key=str) == [
        ("D", {"id": 1, "v": "a"}, None),
        ("D", {"id": 3, "v": "b"}, None),
        ("I", None, {"id": 4, "v": "b"}),
    ]


def test_what_a_restore_numbers_anew_leaks_nothing(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (gone integer, id integer, secret text, v text)")
    db.execute("alter table t drop gone")
    settings = {"exclude_columns": {"t": ("secret",)}, "include_columns": {"t": ("id", "v", "secret")}}
    build(url, **settings)
    triggers = [
        definition
        for (definition,) in db.execute(
            "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 't'::regclass and tgname like '00%'"
        )
    ]
    with without_event_triggers(db):
        # As pg_dump writes it down: without the column that was dropped, and with the triggers as they were.
        db.execute("drop table t; create table t (id integer, secret text, v text)")
        for definition in triggers:
            db.execute(definition)

    db.execute("insert into t values (1, 'hunter2', 'x')")

    assert changes(db) == [("I", None, {})]
    assert not build(url, **settings).failed
    db.execute("insert into t values (1, 'hunter2', 'x')")
    assert "hunter2" not in str(changes(db))
