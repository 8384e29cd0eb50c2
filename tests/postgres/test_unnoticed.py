"""The application does not notice the capture: no serialization failures of ours, no writes that fail for us."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pg_events.db.connection import connect
from pg_events.log.retention import Limit, prune
from pg_events.triggers.catalog import tables
from tests.conftest import Build

CapturedBy = Callable[[str], None]
LONG = "/* " + "x" * 2000 + " */ "

STATEMENTS = {
    "bulk": "update {table} set v = v + 1 where id < 3",
    "long text": LONG + "update {table} set v = v + 1 where id = 1",
    "insert": "insert into {table} select n, n from generate_series(10, 300) n",
    "truncate": "truncate {table}",
    "do": "do $$ begin for n in 1..20 loop update {table} set v = v + n where id < 3; end loop; end $$",
    "ddl": "alter table {table} add column c_{number} integer",
    "create": "create table {table}_{number} (id integer primary key); alter table {table}_{number} add v text",
}


@pytest.fixture
def sessions(url: str) -> Iterator[list[psycopg.Connection]]:
    with ExitStack() as stack:
        opened = [stack.enter_context(psycopg.connect(url)) for _ in range(2)]
        for session in opened:
            session.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        yield opened


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_disjoint_serializable_writers_do_not_conflict(
    db: psycopg.Connection, sessions: list[psycopg.Connection], captured_by: CapturedBy, statement: str
) -> None:
    for table in ("a", "b"):
        db.execute(
            f"create table {table} (id integer, v integer); insert into {table} select n, n from generate_series(1, 5) n"
        )
        captured_by(table)

    for _ in range(3):
        for number in range(3):
            for session, table in zip(sessions, ("a", "b"), strict=True):
                session.execute(statement.format(table=table, number=f"{_}_{number}").encode())
        for session in sessions:
            session.commit()  # raises SerializationFailure


def test_lastval_is_the_applications(db: psycopg.Connection, role: str, captured_by: CapturedBy) -> None:
    db.execute("create table s (id serial primary key, v text)")
    captured_by("s")
    db.execute(f"grant all on s, s_id_seq to {role}; set role {role}")

    with db.transaction():
        db.execute("insert into s (v) values ('a')")
        assert db.execute("select lastval(), currval('s_id_seq')").fetchone() == (1, 1)
        db.execute(
            "insert into s (v) select 'b' from generate_series(1, 5); update s set v = 'c'; delete from s where id = 2"
        )
        assert db.execute("select lastval()").fetchone() == (6,)

    db.execute("reset role")
    db.execute("drop table s")


def test_a_virtual_column_that_cannot_be_computed_fails_no_write(
    db: psycopg.Connection, url: str, build: Build, captured_by: CapturedBy
) -> None:
    if db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    db.execute(
        "create table r (id integer, w integer, p integer, q numeric generated always as (w::numeric / p) virtual)"
    )
    captured_by("r")

    db.execute(
        "insert into r values (1, 1, 1); insert into r values (2, 1, 0); insert into r values (3, 1, 1), (4, 1, 0)"
    )
    db.execute("update r set p = 2 where id = 2; delete from r where id = 4")
    build(url, redact={"r": {"w": "mask"}})
    db.execute("insert into r values (5, 1, 0)")

    found: list[Any] = db.execute(
        "select old_data::text, new_data::text from pgevents.log where kind <> 'S' order by id"
    ).fetchall()
    news = [json.loads(new) for _, new in found if new]
    assert news[0] == {"id": 1, "w": 1, "p": 1, "q": 1.0}
    assert news[1] == {"id": 2, "w": 1, "p": 0}
    assert [row["id"] for row in news] == [1, 2, 3, 4, 2, 5]
    assert news[-1] == {"id": 5, "w": "***", "p": 0}


def test_a_collation_that_others_may_not_use_fails_no_write(
    db: psycopg.Connection, role: str, captured_by: CapturedBy
) -> None:
    if db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    db.execute(f"create schema s; revoke all on schema s from public; grant usage on schema s to {role}")
    db.execute('create collation s.ci from "C"')
    db.execute("create table s.t (b text, c text generated always as (b collate s.ci) virtual)")
    captured_by("s.t")
    db.execute(f"grant insert on s.t to {role}; set role {role}")
    db.execute("insert into s.t values ('x'); reset role; drop schema s cascade")


def test_a_publication_of_all_tables_does_not_stop_pruning(db: psycopg.Connection, url: str) -> None:
    db.execute("create table t (id integer primary key); create publication everything for all tables")
    db.execute("insert into t select n from generate_series(1, 200) n; alter table t add v text; drop table t")

    with connect(url, application_name="test") as connection:
        prune(connection, Limit(timedelta(days=-1)))

    for table in ("event", "statement", "shape"):
        assert db.execute(f"select count(*) from pgevents.{table}".encode()).fetchone() == (0,), table


def test_whatever_deletes_from_our_tables_can_where_all_are_published(db: psycopg.Connection) -> None:
    without_identity = """
        select c.relname
        from pg_class c
        where c.relnamespace = 'pgevents'::regnamespace
          and c.relkind = 'r'
          and not exists (select from pg_index i where i.indrelid = c.oid and (i.indisprimary or i.indisreplident))
    """

    assert db.execute(without_identity).fetchall() == [("secret",)]  # its one row stays


def test_settings_of_the_writer_change_nothing(db: psycopg.Connection, captured_by: CapturedBy) -> None:
    db.execute(
        "create table p (k integer, c regclass) partition by list (k); create table p1 partition of p for values in (1)"
    )
    db.execute("create table t (c regclass)")
    captured_by("t")
    notices: list[str] = []
    db.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))

    db.execute("set standard_conforming_strings = off; set quote_all_identifiers = on")
    db.execute(
        "truncate p; insert into t values ('p'); insert into t values ('p'), ('p'); insert into p values (1, 'p')"
    )

    assert notices == []
    found = db.execute("select kind::text, new_data ->> 'c' from pgevents.log where kind <> 'S' order by id").fetchall()
    assert found == [("T", None), *[("I", "public.p")] * 4]


FIX = """
create function fix() returns trigger language plpgsql as
$$ begin update t set v = 'fixed' where v = 'raw'; return null; end $$;
"""


@pytest.mark.parametrize("name", ["001_fix", "0", " fix", "!fix", "-fix", "00_audit", "00_pgevents"])
def test_a_statement_trigger_that_sorts_first_leaves_the_order(db: psycopg.Connection, name: str) -> None:
    db.execute("create table t (id integer primary key, v text)")
    db.execute(f'{FIX} create trigger "{name}" after insert on t for each statement execute function fix()')

    db.execute("insert into t values (1, 'raw'); insert into t values (2, 'raw'), (3, 'raw')")

    found = db.execute("select kind::text, new_data ->> 'v' from pgevents.log where kind <> 'S' order by id").fetchall()
    assert found == [("I", "raw"), ("U", "fixed"), *[("I", "raw")] * 2, *[("U", "fixed")] * 2]


def test_a_deferred_constraint_trigger_made_immediate_leaves_the_order(db: psycopg.Connection) -> None:
    db.execute("create table t (id integer primary key, v text)")
    db.execute(
        f"{FIX} create constraint trigger fix after insert on t deferrable initially deferred for each row execute function fix()"
    )

    with db.transaction():
        db.execute("set constraints all immediate; insert into t values (1, 'raw')")

    found = db.execute("select kind::text, new_data ->> 'v' from pgevents.log where kind <> 'S' order by id").fetchall()
    assert found == [("I", "raw"), ("U", "fixed")]


def test_a_row_trigger_that_sorts_first_is_named(db: psycopg.Connection, url: str) -> None:
    db.execute("create table t (id integer primary key, v text)")
    db.execute(f'{FIX} create trigger "001_fix" after insert on t for each row execute function fix()')

    with connect(url, application_name="test") as connection:
        (table,) = tables(connection)

    assert '"001_fix" fires before ours: what it changes is recorded first' in table.reason
