"""A session with a snapshot of its own (REPEATABLE READ) sees the catalog as it was: nobody gains by what it does not see."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.waiting import until

TRAP = """
create schema m;
create table m.seen (who name default current_user);
grant insert on m.seen to public; grant usage on schema m to public;
create type m.en as enum ('x');
create function m.spell(m.en) returns json language plpgsql as
    $$begin insert into m.seen default values; return '1'; end$$;
create cast (m.en as json) with function m.spell(m.en);
create function m.nothing() returns trigger language plpgsql as 'begin return null; end';
"""
LONG = "-- " + "x" * 120


@pytest.fixture
def mallory(role: str, built_database_url: str) -> Iterator[str]:
    """URL of a role that owns a schema, with a type whose cast to json notes as whom it runs."""
    url = make_conninfo(built_database_url, user=role)
    with psycopg.connect(built_database_url, autocommit=True) as owner:
        owner.execute(
            f"do $$ begin execute 'grant create on database ' || current_database() || ' to {role}'; end $$".encode()
        )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TRAP.encode())
        yield url


def begun(url: str) -> psycopg.Connection:
    """A session whose snapshot is taken."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("begin isolation level repeatable read; select")
    return connection


def ran_as(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select distinct who::text from m.seen").fetchall()


def recorded(url: str, table: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select new_data::text from pgevents.log where kind = 'I' and table_name = %s order by id", [table]
        ).fetchall()


@pytest.mark.parametrize("own", ["set (fillfactor = 50)", "alter id set statistics 7", "alter e set statistics 7"])
def test_a_table_made_since_and_altered_by_itself(mallory: str, built_database_url: str, own: str) -> None:
    """Its own version of the table's row in the catalog is seen; the columns, made by others, are not."""
    with begun(mallory) as old, psycopg.connect(mallory, autocommit=True) as other:
        other.execute("create table m.t (id integer, e m.en default 'x')")
        old.execute(f"alter table m.t {own}; insert into m.t values (1); insert into m.t values (2), (3)".encode())
        old.execute("commit")

    assert ran_as(mallory) == []
    assert recorded(built_database_url, "t") == [(f'{{"id":"{number}","e":"x"}}',) for number in (1, 2, 3)]


def test_a_table_altered_since_and_altered_by_itself(mallory: str, built_database_url: str) -> None:
    """Two rows of the catalog are seen: that of the snapshot, and its own."""
    with psycopg.connect(mallory, autocommit=True) as other:
        other.execute("create table m.t (id integer)")
        with begun(mallory) as old:
            other.execute("alter table m.t add column e m.en default 'x'")
            old.execute("alter table m.t rename to u; insert into m.u values (1); insert into m.u values (2), (3)")
            old.execute("commit")

    assert ran_as(mallory) == []
    assert recorded(built_database_url, "u") == [(f'{{"id":"{number}","e":"x"}}',) for number in (1, 2, 3)]


def test_a_row_marker_of_before_another_session_altered_the_table(mallory: str, built_database_url: str) -> None:
    """What locked the table is rolled back, the marker is kept: the row of the catalog is the same to this snapshot."""
    with psycopg.connect(mallory, autocommit=True) as other:
        other.execute("create table m.t (id integer)")
        other.execute("create trigger mine after insert on m.t for each row execute function m.nothing()")
        with begun(mallory) as old:
            other.execute("begin; select pg_advisory_xact_lock(5)")
            thread = threading.Thread(
                target=old.execute,
                args=(
                    "do $$ declare marker text; begin"
                    " begin insert into m.t values (0);"
                    "  raise assert_failure using message = current_setting('pgevents.statement');"
                    " exception when assert_failure then marker := sqlerrm; end;"
                    " perform pg_advisory_xact_lock(5);"
                    " perform set_config('pgevents.statement', marker, true);"
                    f" insert into m.t values (1); end $$ {LONG}".encode(),
                ),
            )
            thread.start()
            until(
                lambda: (
                    other.execute(
                        "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                    ).fetchone()
                    == (1,)
                )
            )
            other.execute("alter table m.t add column e m.en default 'x'; commit")
            thread.join(30)
            assert not thread.is_alive()
            old.execute("commit")

    assert ran_as(mallory) == []
    assert recorded(built_database_url, "t") == [('{"id":"1","e":"x"}',)]


@pytest.mark.parametrize("limits", ["", "set plpgsql.extra_errors = 'all';"])
def test_no_schema_event_is_lost_because_two_rows_of_an_object_are_seen(
    mallory: str, built_database_url: str, limits: str
) -> None:
    with psycopg.connect(mallory, autocommit=True) as other:
        other.execute("create table m.t (id integer)")
        other.execute("create trigger mine after insert on m.t for each row execute function m.nothing()")
        with begun(mallory) as old:
            other.execute("alter table m.t set (fillfactor = 60); alter trigger mine on m.t rename to mine2")
            old.execute(f"{limits} alter table m.t rename to u; alter table m.u disable trigger all".encode())
            old.execute("alter trigger mine2 on m.u rename to mine3; commit")

    with psycopg.connect(built_database_url) as connection:
        found = connection.execute(
            "select ddl ->> 'command_tag', ddl ->> 'object_name' from pgevents.log"
            " where kind = 'S' and (table_name like '%%m.u' or query like '%%mine3%%') order by id"
        ).fetchall()
    assert found == [("ALTER TABLE", "u"), ("ALTER TABLE", "u"), ("ALTER TRIGGER", "mine3")]


def test_no_trigger_of_a_table_that_took_over_the_name_is_touched(mallory: str, built_database_url: str) -> None:
    """Who owns two schemas exchanges their names: to an old snapshot a table of another role's has its own table's name."""
    with psycopg.connect(mallory, autocommit=True) as other, psycopg.connect(built_database_url) as owner:
        owner.autocommit = True
        other.execute("create table m.t (id integer); create schema n")
        owner.execute("create table n.t (id integer)")
        before = owner.execute("select oid, xmin from pg_trigger where tgrelid = 'n.t'::regclass").fetchall()
        with begun(mallory) as old:
            other.execute("alter schema m rename to mm; alter schema n rename to m")
            old.execute("create trigger mine after insert on mm.t for each row execute function mm.nothing(); commit")
        after = owner.execute("select oid, xmin from pg_trigger where tgrelid = 'm.t'::regclass").fetchall()

    assert len(before) == 4
    assert sorted(after) == sorted(before)
