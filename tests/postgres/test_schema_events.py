"""Schema events: what DDL is recorded as, what is not recorded, and that a failure of ours is never the user's."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture(scope="module")
def shared(server: Any, built_template: str) -> Iterator[psycopg.Connection]:
    """One database for all: DDL is rolled back like anything else."""
    url = server.create_database("schema_events", built_template)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table t (a integer primary key, b text not null)")
        connection.execute("delete from pgevents.event")
        yield connection
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("drop database schema_events with (force)")


@pytest.fixture
def db(shared: psycopg.Connection) -> Iterator[psycopg.Connection]:
    with shared.transaction(force_rollback=True):
        yield shared


def ddl(db: psycopg.Connection) -> list[dict[str, Any]]:
    """Schema events since the last look: what the event trigger told."""
    found = db.execute("select ddl from pgevents.log where kind = 'S' order by id").fetchall()
    db.execute("delete from pgevents.event")
    return [event for (event,) in found]


def told(db: psycopg.Connection, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(event.get(key) for key in keys) for event in ddl(db)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("create view v as select * from t", [("CREATE VIEW", "view", "v")]),
        ("create index i on t (b)", [("CREATE INDEX", "index", "i")]),
        ("create type ty as (a integer)", [("CREATE TYPE", "type", "ty")]),
        ('create domain "D o" as integer', [("CREATE DOMAIN", "type", "D o")]),
        ("create function f(integer) returns integer language sql as 'select 1'", [("CREATE FUNCTION", "function", "f")]),
        ("comment on table t is 'x'", [("COMMENT", "table", "t")]),
        ("grant select on t to public", [("GRANT", "TABLE", None)]),
        ("create table n as select 1 as a", [("CREATE TABLE AS", "table", "n")]),
        ("select 1 as a into n", [("SELECT INTO", "table", "n")]),
        ("create table if not exists t (a integer)", []),
        ("alter table t rename to n", [("ALTER TABLE", "table", "n")]),
        ("create sequence s", [("CREATE SEQUENCE", "sequence", "s")]),
        ("drop table t", [("DROP TABLE", "table", "t")]),
        (
            "do 'begin create table n (a integer); drop table n; end'",
            [("CREATE TABLE", "table", "n"), ("DROP TABLE", "table", "n")],
        ),
    ],
)  # fmt: skip
def test_a_command_is_recorded_as_the_object_it_touched(
    db: psycopg.Connection, command: str, expected: list[tuple[Any, ...]]
) -> None:
    db.execute(command)

    assert told(db, "command_tag", "object_type", "object_name") == expected


def test_an_index_can_still_be_built_concurrently(built_database_url: str) -> None:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table t (a integer)")
        ddl(connection)

        connection.execute("create index concurrently i on t (a)")

        assert told(connection, "command_tag", "object_name") == [("CREATE INDEX", "i")]


def test_a_cascade_tells_what_was_named_and_what_fell_with_it(db: psycopg.Connection) -> None:
    db.execute("create schema z create table q (a integer) create view qq as select * from q")
    ddl(db)

    db.execute("drop schema z cascade")

    assert told(db, "object_identity", "original", "normal") == [
        ("z", True, False), ("z.q", False, True), ("z.qq", False, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "difference"),
    [
        ("alter table t add c numeric(5,2)", ([("c", "numeric(5,2)")], [], [])),
        ("alter table t drop b", ([], [("b", "text")], [])),
        ("alter table t rename b to c", ([], [], [("c", "b", None, None)])),
        ("alter table t alter b type varchar(9)", ([], [], [("b", None, "text", None)])),
        ("alter table t alter b drop not null", ([], [], [("b", None, None, True)])),
    ],
)
def test_the_difference_of_the_columns_is_told(
    db: psycopg.Connection, command: str, difference: tuple[list[tuple[Any, ...]], ...]
) -> None:
    db.execute(command)

    columns = ddl(db)[-1]["columns"]
    added, removed = ([(c["name"], c["type"]) for c in columns[key]] for key in ("added", "removed"))
    changed = [
        tuple(c.get(key) for key in ("name", "old_name", "old_type", "old_not_null")) for c in columns["changed"]
    ]
    assert (added, removed, changed) == difference


def test_what_is_altered_on_a_parent_is_not_told_again_of_its_partition(db: psycopg.Connection) -> None:
    db.execute("create table p (a integer) partition by list (a); create table p1 partition of p default")
    db.execute("alter table p add b integer")
    ddl(db)

    db.execute("alter table p1 set (fillfactor = 50)")

    assert told(db, "object_name", "columns") == [("p1", None)]


def test_temporary_objects_are_not_recorded(db: psycopg.Connection) -> None:
    db.execute("create temporary table tt (a integer); alter table tt add b integer; create index on tt (a)")
    db.execute("create temporary view tv as select 1; comment on table tt is 'x'; drop view tv; drop table tt cascade")

    assert ddl(db) == []


def test_a_new_table_is_covered_in_its_own_transaction(db: psycopg.Connection) -> None:
    with db.transaction():
        db.execute("create table n (a integer)")
        db.execute("insert into n values (1)")
        db.execute("create table m as select 1 as a")
        db.execute("update m set a = 2")

    found = db.execute("select table_name, kind from pgevents.log where kind <> 'S' order by id").fetchall()
    assert found == [("n", "I"), ("m", "I"), ("m", "U")]


@pytest.mark.parametrize("command", ["create table m as {}", "do $$begin {} end$$", "select * into m from ({}) s"])
def test_the_rows_that_come_with_a_table_are_events(db: psycopg.Connection, command: str) -> None:
    query = (
        "select 1 as a, null::text as b, array['x', null] as c, '\\x01'::bytea as d, interval '1 day' as e"
        " union all select 2, 'b', null, null, null"
    )
    if command.startswith("do"):
        query = f"create table m as {query};"
    db.execute("set local bytea_output = 'escape'; set local IntervalStyle = 'iso_8601'")
    db.execute(command.format(query).encode())

    found = db.execute("select kind, table_name, new_data from pgevents.log order by id").fetchall()
    assert [(kind, table) for kind, table, _ in found] == [("S", "public.m"), ("I", "m"), ("I", "m")]
    assert found[1][2] == {"a": 1, "b": None, "c": ["x", None], "d": "\\x01", "e": "1 day"}
    assert "rows_captured" not in ddl(db)[0]


def test_no_code_of_a_types_owner_spells_those_rows(db: psycopg.Connection) -> None:
    db.execute("create type en as enum ('x'); create type pair as (a integer, e en)")
    db.execute(
        "create function boom(en) returns json language plpgsql as 'begin raise exception $$boom$$; end';"
        " create cast (en as json) with function boom(en);"
        " create function boom(pair) returns json language plpgsql as 'begin raise exception $$boom$$; end';"
        " create cast (pair as json) with function boom(pair)"
    )
    db.execute("delete from pgevents.event")
    db.execute("create table m as select 'x'::en as e, array['x'::en] as f, row(1, 'x')::pair as g")

    found = db.execute("select new_data from pgevents.log where kind = 'I'").fetchall()
    assert found == [({"e": "x", "f": ["x"], "g": {"a": 1, "e": "x"}},)]


def test_rows_are_not_captured_for_an_owner_who_cannot_keep_the_schema_from_being_renamed(
    role: str, db: psycopg.Connection
) -> None:
    db.execute("create table s as select 1 as a")
    db.execute(f"grant select on s to {role}; grant usage on schema pgevents to {role}".encode())
    db.execute(f"grant execute on function pgevents.may_write_rows(oid) to {role}".encode())

    assert db.execute("select pgevents.may_write_rows('s'::regclass)").fetchone() == (True,)
    db.execute(f"set role {role}".encode())
    assert db.execute("select pgevents.may_write_rows('s'::regclass)").fetchone() == (False,)
    db.execute("reset role")


def test_the_rows_of_a_large_table_are_not_and_the_event_says_so(db: psycopg.Connection) -> None:
    db.execute("create table o as select g, g as h from generate_series(1, 2000000) g")

    (event,) = ddl(db)
    assert event["rows_captured"] is False
    assert db.execute("select count(*) from pgevents.log").fetchone() == (0,)


@pytest.mark.parametrize(
    "secret",
    [
        "alter role x password 'S3cret'",
        "alter role x encrypted password E'a\\'S3cret'",
        "alter role x password $$S3cret$$",
        "create user mapping for x server y options (user 'u', password 'S3cret')",
        "create subscription s connection 'host=h password=S3cret dbname=d' publication p",
        "create subscription s connection 'host=h password=''a S3cret'' dbname=d' publication p",
        "create subscription s connection 'postgresql://u:S3cret@h/d' publication p",
    ],
)
def test_a_password_in_the_text_of_ddl_is_masked(db: psycopg.Connection, secret: str) -> None:
    db.execute(f"do $do$begin create table n (a integer); if false then {secret}; end if; end$do$")

    ((query,),) = db.execute("select query from pgevents.log where kind = 'S'").fetchall()
    assert "S3cret" not in query
    assert "***" in query


def test_the_text_of_ddl_is_cut(db: psycopg.Connection) -> None:
    db.execute("create table n (a integer) /* " + "x" * 100_000 + " */")

    assert db.execute("select length(query) from pgevents.log").fetchone() == (8192,)


@pytest.mark.parametrize(
    "damage",
    [
        "drop table pgevents.shape",
        "alter table pgevents.event add check (kind <> 'S') not valid",
        "drop function pgevents.cover(oid, boolean)",
        "update pgevents.setting set value = 'no json' where name = 'include'",
        "drop sequence pgevents.sleeper cascade",
    ],
)
@pytest.mark.parametrize("command", ["create table n (a integer)", "alter table t add c integer", "drop table t"])
def test_whatever_fails_in_us_the_users_ddl_is_done(db: psycopg.Connection, damage: str, command: str) -> None:
    warnings: list[str] = []
    db.add_notice_handler(lambda notice: warnings.append(f"{notice.severity}: {notice.message_primary}"))
    db.execute(damage)
    before = db.execute("select md5(string_agg(attrelid::text || attname, ',')) from pg_attribute").fetchone()

    db.execute(command)

    assert db.execute("select md5(string_agg(attrelid::text || attname, ',')) from pg_attribute").fetchone() != before
    assert all(re.match("WARNING: pg_events could not (record|cover|announce)", warning) for warning in warnings)


def test_ddl_that_covers_waits_for_no_writer_for_long(built_database_url: str) -> None:
    warnings: list[str] = []
    with psycopg.connect(built_database_url, autocommit=True) as db, psycopg.connect(built_database_url) as writer:
        db.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
        db.execute("create table p (a integer) partition by list (a); create table p1 partition of p for values in (1)")
        db.execute("create table p2 partition of p default")
        db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
        writer.execute("insert into p2 values (5)")

        db.execute("create trigger mine after insert on p1 for each row execute function nothing()")

        writer.rollback()
        assert any("could not cover" in warning for warning in warnings)
        db.execute("insert into p values (1)")
        assert db.execute("select count(*) from pgevents.log where kind = 'I'").fetchone() == (1,)
