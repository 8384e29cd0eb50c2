"""Roles without rights: captured like everybody else, and able neither to forge, to hide nor to become more."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import RawCursor, sql
from psycopg.conninfo import make_conninfo

from pg_events import sql as statements
from tests.conftest import adopt


@pytest.fixture
def eve_url(server: Any, built_template: str) -> Iterator[str]:
    """A role that may create tables of its own in a built database; URL for it."""
    url = server.create_database("eves", built_template)
    adopt(url)
    with psycopg.connect(url, autocommit=True) as connection:
        name = f"eve_{connection.info.backend_pid}"
        connection.execute(
            sql.SQL("create role {0} login; grant create on schema public to {0}").format(sql.Identifier(name))
        )
    yield make_conninfo(url, user=name)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("drop database eves with (force)")
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def eve(eve_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(eve_url, autocommit=True) as connection:
        connection.execute("create table mine (a integer)")
        yield connection


@pytest.fixture
def db(eve_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(make_conninfo(eve_url, user="postgres"), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    "command",
    [
        "create trigger forged after insert on mine execute function pgevents.capture()",
        "create trigger forged after insert on mine execute function pgevents.capture_insert()",
        "create trigger forged after insert on mine execute function pgevents.capture_chosen('{}')",
        "insert into pgevents.event (kind) values ('I')",
        "select * from pgevents.secret",
        "select * from pgevents.log",
        "select pgevents.cover('mine'::regclass, true)",
        "select pgevents.row_expression('mine'::regclass)",
        "select setval('pgevents.sleeper', 9)",
        "select nextval('pgevents.event_id')",
    ],
)
def test_nothing_of_ours_can_be_used_by_a_role_without_rights(eve: psycopg.Connection, command: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        eve.execute(command)


def test_shadows_on_the_search_path_are_passed_by(eve: psycopg.Connection, db: psycopg.Connection) -> None:
    eve.execute("create temporary table event (like mine); create temporary table pg_class (a integer)")
    eve.execute("create temporary table new_rows (a integer); create temporary table pg_partition_root (a integer)")
    eve.execute("create function row_to_json(record) returns json language plpgsql as 'begin return null; end'")
    eve.execute("create function current_query() returns text language sql as $$select 'forged'$$")
    eve.execute("set search_path = pg_temp, public, pg_catalog")

    eve.execute("insert into mine values (1)")
    eve.execute("alter table mine add b integer")

    found = db.execute("select new_data, query from pgevents.log where kind = 'I'").fetchall()
    assert found == [({"a": 1}, "insert into mine values (1)")]
    assert db.execute("select ddl -> 'columns' from pgevents.log where query like 'alter%'").fetchone() == (
        {"added": [{"name": "b", "type": "integer"}], "removed": [], "changed": []},
    )


def test_row_security_does_not_hide_a_row_from_the_log(eve: psycopg.Connection, db: psycopg.Connection) -> None:
    eve.execute("alter table mine enable row level security; alter table mine force row level security")
    eve.execute("create policy writes on mine for insert with check (true)")

    eve.execute("insert into mine values (1)")

    assert eve.execute("select count(*) from mine").fetchone() == (0,)
    assert db.execute("select new_data from pgevents.log where kind = 'I'").fetchall() == [({"a": 1},)]


def test_nobody_can_hide_ddl_by_calling_it_ours(eve: psycopg.Connection, db: psycopg.Connection) -> None:
    eve.execute("set pgevents.building = on")

    eve.execute("create table hidden (a integer)")
    eve.execute("insert into hidden values (1)")

    found = db.execute(
        "select kind, table_name from pgevents.log where table_name like '%hidden' order by id"
    ).fetchall()
    assert found == [("S", "public.hidden"), ("I", "hidden")]


def test_nobody_can_put_another_statements_text_on_an_event(eve: psycopg.Connection, db: psycopg.Connection) -> None:
    eve.execute(
        "do $$begin"
        " perform set_config('pgevents.statement', '1', true);"
        " insert into mine select generate_series(1, 2) /* padding: " + "x" * 1000 + " */;"
        " end$$"
    )

    found = db.execute("select query from pgevents.log where kind = 'I'").fetchall()
    assert len(found) == 2
    assert all("insert into mine" in query for (query,) in found)


@pytest.mark.parametrize("column", ["x mood", "x mood[]"])
def test_a_users_cast_to_json_does_not_run_with_our_rights(
    eve: psycopg.Connection, db: psycopg.Connection, column: str
) -> None:
    eve.execute("create type mood as enum ('fine')")
    eve.execute(
        "create function as_json(mood) returns json language plpgsql as"
        " $$begin return to_json(current_user::text || ' ' || pg_has_role(current_user, 'pg_read_all_data', 'member')); end$$"
    )
    eve.execute("create cast (mood as json) with function as_json(mood)")
    eve.execute(f"create table moods ({column})")

    eve.execute("insert into moods values ('fine')" if "[]" not in column else "insert into moods values ('{fine}')")

    ((data,),) = db.execute("select new_data::text from pgevents.log where kind = 'I'").fetchall()
    assert "true" not in data


def test_a_worker_that_may_not_see_another_roles_sessions_leaves_it_its_share(
    eve_url: str, eve: psycopg.Connection, db: psycopg.Connection
) -> None:
    db.execute("insert into pgevents.consumer (name, system_identifier) values ('shared', '')")
    RawCursor(db).execute(statements.text("worker_register.sql"), ("shared", "first", 60, True, None))
    db.execute(sql.SQL("grant usage on schema pgevents to {}").format(sql.Identifier(eve.info.user)))
    db.execute(
        sql.SQL("grant select, delete, update on all tables in schema pgevents to {}").format(
            sql.Identifier(eve.info.user)
        )
    )
    seen = eve.execute("select backend_start from pg_stat_activity where pid = %s", [db.info.backend_pid]).fetchone()
    assert seen == (None,)

    RawCursor(eve).execute(statements.text("worker_bury.sql"), ("shared",))

    assert db.execute("select name from pgevents.worker").fetchall() == [("first",)]
