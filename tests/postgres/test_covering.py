"""Covering by event triggers: what a command does to other tables, what it costs, and who sees it."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.postgres.choosing import findings, states

Build = Callable[..., Any]


def told(db: psycopg.Connection) -> list[tuple[str, str]]:
    return db.execute(
        "select ddl ->> 'command_tag', ddl ->> 'object_identity' from pgevents.log where kind = 'S' order by id"
    ).fetchall()


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ("create table p (a integer); create table c () inherits (p)", "drop table c"),
        ("create table p (a integer); create table c () inherits (p)", "alter table c no inherit p"),
        (
            "create table a (id integer primary key); create table b (id integer primary key);"
            " create table c (a integer references a on delete cascade, b integer references b on delete set null)",
            "drop table a cascade",
        ),
        (
            "create table a (id integer primary key); create table b (id integer primary key);"
            " create table c (a integer references a on delete cascade, b integer references b on delete set null)",
            "alter table c drop constraint c_a_fkey",
        ),
        (
            "create table p (a integer) partition by list (a); create table p1 partition of p default;"
            " create table p2 partition of p for values in (2);"
            " create trigger mine after insert on p1 for each row execute function nothing()",
            "drop table p1",
        ),
        (
            "create table p (a integer) partition by list (a); create table p1 partition of p default;"
            " create table p2 partition of p for values in (2);"
            " create trigger mine after insert on p1 for each row execute function nothing()",
            "alter table p detach partition p1",
        ),
        (
            "create table t (a integer); create trigger mine after insert on t for each row execute function nothing()",
            "drop function nothing() cascade",
        ),
        ("create type en as enum ('x'); create table t (a integer, e en)", "drop type en cascade"),
        ("create table p (a integer) partition by list (a); create table c (a float)", "alter table c rename to d"),
        (
            "create table p (a integer) partition by list (a); create table c (a integer)",
            "alter table p attach partition c default; alter table p add column f float4",
        ),
        ("create table t (a integer, f interval)", "alter table t drop column f"),
    ],
)
def test_after_any_command_all_tables_are_as_a_build_would_have_them(
    url: str, db: psycopg.Connection, before: str, command: str
) -> None:
    db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    db.execute(before.encode())
    assert set(states(url).values()) == {"covered"}

    db.execute(command.encode())

    assert set(states(url).values()) == {"covered"}


def test_a_column_that_falls_with_its_type_is_told(db: psycopg.Connection) -> None:
    db.execute("create type en as enum ('x'); create table t (a integer, e en)")
    db.execute("drop type en cascade")

    ((columns,),) = db.execute(
        "select ddl -> 'columns' from pgevents.log where ddl ->> 'command_tag' = 'DROP TYPE'"
        " and ddl -> 'columns' is not null"
    ).fetchall()
    assert columns["removed"] == [{"name": "e", "type": "en"}] or columns["removed"][0]["name"] == "e"


def test_what_covering_does_is_no_event_where_replicated_changes_are_captured(
    url: str, db: psycopg.Connection, build: Build
) -> None:
    build(url, capture_replicated=("*",))
    db.execute("delete from pgevents.event")

    db.execute("create table t (a integer)")
    db.execute("create table p (a integer) partition by list (a)")

    assert told(db) == [("CREATE TABLE", "public.t"), ("CREATE TABLE", "public.p")]


@pytest.mark.parametrize("command", ["alter table t add column b integer", "comment on table t is 'x'"])
def test_a_command_that_capturing_does_not_depend_on_asks_no_long_question(
    db: psycopg.Connection, command: str
) -> None:
    db.execute("create table t (a integer)")
    db.execute("select pg_stat_reset()")
    db.execute("set track_functions = 'all'")
    db.execute(command.encode())
    db.execute("select pg_stat_force_next_flush()")

    assert db.execute("select calls from pg_stat_user_functions where funcname = 'coverage'").fetchall() == []


def test_event_triggers_of_others_need_not_see_our_triggers(server: Any, db: psycopg.Connection) -> None:
    if server.major < 17:
        pytest.skip("PostgreSQL can switch event triggers off from 17 on")
    db.execute("create table seen (tag text)")
    db.execute(
        "create function look() returns event_trigger language plpgsql as $$begin insert into seen values (tg_tag); end$$;"
        " create event trigger look on ddl_command_end execute function look()"
    )

    db.execute("create table t (a integer)")

    assert db.execute("select tag from seen").fetchall() == [("CREATE TABLE",)]
    assert db.execute("show event_triggers").fetchone() == ("on",)


def test_temporary_objects_of_all_kinds_are_not_recorded(db: psycopg.Connection) -> None:
    db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    db.execute("create temporary table tt (a integer)")
    db.execute("delete from pgevents.event")

    db.execute(
        "create trigger tr after insert on tt for each row execute function nothing();"
        " alter trigger tr on tt rename to tr2; drop trigger tr2 on tt;"
        " create rule ru as on update to tt do also nothing; drop rule ru on tt;"
        " create policy po on tt; alter policy po on tt using (true); drop policy po on tt;"
        " alter table tt add constraint c check (a > 0); alter table tt drop constraint c"
    )
    db.execute("create index on tt (a)")
    db.execute("reindex table tt")

    assert told(db) == []


def test_a_session_that_quotes_all_names_changes_no_event(db: psycopg.Connection) -> None:
    db.execute("set quote_all_identifiers = on")
    db.execute("create table t (a integer)")
    db.execute("alter table t add b text")

    assert [identity for _, identity in told(db)] == ["public.t", "public.t"]


def test_copies_that_tools_make_are_not_captured(url: str, db: psycopg.Connection) -> None:
    db.execute("create schema repack")
    db.execute("create table repack.table_1 (email text)")

    assert states(url) == {"table_1": "excluded"}
    assert findings(url) == []


def test_a_database_in_turkish_can_be_built(server: Any, build: Build) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        try:
            connection.execute(
                "create database turkish template template0 locale_provider icu icu_locale 'tr-TR' locale 'C.UTF-8'"
            )
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("this server was built without ICU")
    try:
        with psycopg.connect(server.url("turkish"), autocommit=True) as db:
            db.execute("create table items (id integer)")
            assert not build(server.url("turkish")).failed
            db.execute("create table I (id integer); insert into I values (1)")
            assert db.execute("select kind from pgevents.log order by id").fetchall() == [("S",), ("I",)]
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("drop database turkish with (force)")
