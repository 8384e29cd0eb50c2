"""Tables of which columns are left out, masked or hashed: no text of a command on them is kept, and their heirs are such too."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

Build = Callable[..., Any]
REDACT = {"public.users": {"email": "hash"}}
USERS = "create table users (id integer primary key, email text)"


@pytest.fixture
def db(url: str, db: psycopg.Connection, build: Build) -> psycopg.Connection:
    db.execute(USERS)
    assert not build(url, redact=REDACT).failed
    db.execute("delete from pgevents.event")
    return db


@pytest.mark.parametrize(
    "command",
    [
        "alter table users alter email set default 'S3cret'",
        "alter table users add constraint c check (email <> 'S3cret')",
        "create index i on users (id) where email = 'S3cret'",
        "create policy p on users using (email = 'S3cret')",
        "comment on column users.email is 'S3cret'",
        "create trigger mine after insert on users for each row when (new.email = 'S3cret') execute function nothing()",
        "create rule r as on update to users where new.email = 'S3cret' do also nothing",
        "create statistics st on (email = 'S3cret'), (id + 1) from users",
        "create view v as select from users where email = 'S3cret'",
        "create table a (id integer); alter table users alter email set default 'S3cret'",
        "create table a (id integer); do $$begin alter table users alter email set default 'S3cret'; end$$",
        "drop table users; create table users (id integer, email text default 'S3cret')",
        "alter table \"users\" alter email set default 'S3cret'",
        "alter table U&\"\\0075sers\" alter email set default 'S3cret'",
        "alter table USERS alter email set default 'S3cret'",
    ],
)
def test_the_text_of_a_command_is_not_kept(db: psycopg.Connection, command: str) -> None:
    db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    db.execute("delete from pgevents.event")
    db.execute(command.encode())

    kept = db.execute("select coalesce(query, ''), ddl::text from pgevents.log where kind = 'S'").fetchall()
    assert kept
    assert "S3cret" not in str(kept)
    assert "S3cret" not in str(db.execute("select query from pgevents.statement").fetchall())


@pytest.mark.parametrize(
    "command",
    [
        "comment on index users_pkey is 'S3cret'",
        "alter table users drop constraint c",
        "drop policy p on users",
    ],
)
def test_nor_that_of_a_command_on_a_part_of_the_table(db: psycopg.Connection, command: str) -> None:
    db.execute("alter table users add constraint c check (id > 0); create policy p on users")
    db.execute("delete from pgevents.event")
    db.execute(command.encode())

    assert set(db.execute("select query from pgevents.log where kind = 'S'").fetchall()) == {(None,)}


def test_that_of_commands_on_other_tables_is(db: psycopg.Connection) -> None:
    db.execute("create table other (id integer)")
    db.execute("comment on table other is 'x'")

    assert [text for (text,) in db.execute("select query from pgevents.log order by id")] == [
        "create table other (id integer)",
        "comment on table other is 'x'",
    ]


def test_heirs_are_treated_like_their_ancestors(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table vip (level integer) inherits (users)")
    db.execute("create table top (more integer) inherits (vip)")
    db.execute("create table club (email text, secret text)")
    db.execute("create table both_ways () inherits (users, club)")
    db.execute("delete from pgevents.event; delete from pgevents.statement")

    for table in ("vip", "top", "both_ways"):
        db.execute(f"insert into {table} (id, email) values (1, 'S3')".encode())
    db.execute("update users set email = 'S4'")
    db.execute("delete from only top")
    db.execute("alter table vip alter email set default 'S5'")

    kept = db.execute("select table_name, query, old_data::text, new_data::text from pgevents.log").fetchall()
    assert {name for name, *_ in kept} >= {"vip", "top", "both_ways"}
    assert not any(secret in str(kept) for secret in ("S3", "S4", "S5"))
    assert {query for _, query, *_ in kept} == {None}
    assert not build(url, redact=REDACT).failed
    assert build(url, redact=REDACT).applied == 0


def test_a_table_that_comes_to_inherit_is_treated_so_from_then_on(db: psycopg.Connection) -> None:
    db.execute("create table vip (id integer not null, email text)")
    db.execute("insert into vip values (1, 'seen')")
    db.execute("alter table vip inherit users")
    db.execute("insert into vip values (2, 'S3cret')")

    assert "S3cret" not in str(db.execute("select query, new_data::text from pgevents.log").fetchall())


def test_what_is_chosen_from_two_parents_holds_together(url: str, build: Build) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("create table a (id integer, x text); create table b (id integer, y text)")
        build(url, redact={"a": {"x": "mask"}, "b": {"y": "hash", "id": "mask"}}, exclude_columns={"a": ("id",)})
        db.execute("create table c (z text) inherits (a, b)")
        db.execute("insert into c values (1, 'S3', 'S4', 'z')")

        ((row,),) = db.execute("select new_data from pgevents.log where kind = 'I'").fetchall()

    assert set(row) == {"x", "y", "z"}
    assert row["x"] == "***"
    assert row["y"] not in ("S4", "***")
    assert row["z"] == "z"


def test_the_rows_that_come_with_a_table_are_treated_as_its_triggers_treat_them(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    build(url, redact={**REDACT, "copy": {"email": "hash", "a": "mask", "b": "drop"}})
    db.execute("insert into users values (1, 'x')")
    db.execute("delete from pgevents.event")
    db.execute("create table copy as select 1 as id, 'x' as email, 'S3' as a, 'S4' as b")
    db.execute("insert into copy values (1, 'x', 'S3', 'S4')")

    (came, query), (inserted, _) = db.execute("select new_data, query from pgevents.log where kind = 'I' order by id")
    assert came == inserted
    assert query is None
    assert set(came) == {"id", "email", "a"}
