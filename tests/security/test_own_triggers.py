"""What the owner of a table does to our triggers is an event, and the next command on the table undoes it."""

import contextlib

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers.build import apply, make_plan

OURS = ["00_pgevents_delete", "00_pgevents_insert", "00_pgevents_truncate", "00_pgevents_update"]
DEEP = """
create function deep(depth integer, command text) returns void language plpgsql as $$
begin
    if depth > 0 then perform deep(depth - 1, command); else execute command; end if;
end
$$
"""
DISABLE = "alter table t disable trigger all"


def triggers(db: psycopg.Connection) -> list[str]:
    found = db.execute("select tgname::text from pg_trigger where tgrelid = 't'::regclass order by 1")
    return [name for (name,) in found]


def does(db: psycopg.Connection, depth: int) -> bool:
    """Disable the triggers from within so many functions; does that come about?"""
    with contextlib.suppress(psycopg.errors.StatementTooComplex):
        db.execute("select deep(%s, %s)", [depth, DISABLE])
        return True
    return False


def test_no_command_goes_unrecorded_because_its_session_has_used_up_the_stack(db: psycopg.Connection) -> None:
    db.execute("create table t (id integer)")
    db.execute(DEEP)
    least, most = 1, 20000
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if does(db, middle) else (least, middle)
    db.execute("alter table t enable trigger all; truncate pgevents.event")

    done = sum(does(db, depth) for depth in range(least - 120, least + 1, 3))
    assert done > 0
    assert db.execute("select count(*) from pgevents.log where ddl ->> 'command_tag' = 'ALTER TABLE'").fetchone() == (
        done,
    )


def test_a_trigger_under_another_name_records_nothing_twice(db: psycopg.Connection) -> None:
    db.execute('create table t (id integer); alter trigger "00_pgevents_insert" on t rename to zz')
    db.execute("insert into t values (1)")

    assert triggers(db) == OURS
    assert db.execute("select count(*) from pgevents.log where kind = 'I'").fetchone() == (1,)


def test_a_trigger_named_like_ours_counts_for_none_of_ours(db: psycopg.Connection) -> None:
    db.execute("create table t (id integer)")
    db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    db.execute('create trigger "00_pgevents_x" after insert on t for each statement execute function nothing()')
    db.execute('drop trigger "00_pgevents_insert" on t')
    db.execute("alter table t add column v integer")

    assert triggers(db) == sorted([*OURS, "00_pgevents_x"])


@pytest.mark.parametrize("new", ["zz", "00_pgevents_replicated"])
def test_the_name_of_another_kind_of_trigger_helps_nobody(db: psycopg.Connection, new: str) -> None:
    db.execute(f'create table t (id integer); alter trigger "00_pgevents_truncate" on t rename to "{new}"'.encode())

    assert triggers(db) == OURS


@pytest.mark.parametrize("kind", ["", "partition by list (id)"])
def test_a_build_touches_no_table_that_took_over_the_name_since_it_was_planned(
    db: psycopg.Connection, url: str, kind: str
) -> None:
    db.execute(
        f"create schema m; create schema n; create table m.t (id integer) {kind}; create table n.t (id integer)".encode()
    )
    with connect(url, application_name="test") as connection:
        plan = make_plan(connection, Settings(url, exclude=("m.t",)))
    before = db.execute("select oid, xmin from pg_trigger where tgrelid = 'n.t'::regclass order by 1").fetchall()
    db.execute("alter schema m rename to mm; alter schema n rename to m")
    failed = apply(url, plan).failed
    after = db.execute("select oid, xmin from pg_trigger where tgrelid = 'm.t'::regclass order by 1").fetchall()

    assert len(before) == 4
    assert after == before
    assert {reason for _, reason in failed} == {"its name now refers to another table; build again"}
