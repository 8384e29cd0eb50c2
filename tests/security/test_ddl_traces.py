"""What becomes of capturing leaves a trace: our triggers cannot be dropped, disabled or renamed in silence."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest


@contextmanager
def as_owner(db: psycopg.Connection, url: str, role: str) -> Iterator[psycopg.Connection]:
    """A connection of a role that owns the table `t` and nothing else."""
    db.execute("create table t (id integer, v text)")
    db.execute(f"alter table t owner to {role}; grant all on schema public to {role}".encode())
    try:
        with psycopg.connect(url, user=role, autocommit=True) as owner:
            db.execute("delete from pgevents.event")
            yield owner
    finally:
        db.execute(f"drop owned by {role} cascade".encode())


def told(db: psycopg.Connection) -> list[tuple[str, str]]:
    return db.execute(
        "select ddl ->> 'command_tag', ddl ->> 'object_identity' from pgevents.log where kind = 'S' order by id"
    ).fetchall()


@pytest.mark.parametrize(
    ("command", "tag", "identity"),
    [
        ('drop trigger "00_pgevents_insert" on t', "DROP TRIGGER", '"00_pgevents_insert" on public.t'),
        ('alter table t disable trigger "00_pgevents_insert"', "ALTER TABLE", "public.t"),
        ("alter table t disable trigger user", "ALTER TABLE", "public.t"),
        ('alter trigger "00_pgevents_insert" on t rename to x', "ALTER TRIGGER", "x on public.t"),
    ],
)
@pytest.mark.parametrize("claim", ["", "set pgevents.building = on; ", "set pgevents.covering = on; "])
def test_the_owner_of_a_table_cannot_write_unseen_without_a_trace(
    role: str, db: psycopg.Connection, url: str, command: str, tag: str, identity: str, claim: str
) -> None:
    with as_owner(db, url, role) as owner, owner.transaction():
        owner.execute((claim + command).encode())
        owner.execute("insert into t values (1, 'unseen')")

    assert told(db)[0] == (tag, identity)


def test_a_trigger_of_ours_that_was_dropped_comes_back_with_the_next_command(
    role: str, db: psycopg.Connection, url: str
) -> None:
    with as_owner(db, url, role) as owner:
        owner.execute('drop trigger "00_pgevents_insert" on t')
        owner.execute("alter table t add column w integer")
        owner.execute("insert into t values (1, 'seen', 2)")
        kinds = [kind for (kind,) in db.execute("select kind from pgevents.log order by id")]

    assert kinds == ["S", "S", "I"]


@pytest.mark.parametrize(
    ("command", "identity"),
    [
        ("create publication pgevents for all tables", "pgevents"),
        ('create trigger "00_pgevents_x" after insert on t execute function nothing()', '"00_pgevents_x" on public.t'),
        ("create schema pgevents_2", "pgevents_2"),
    ],
)
def test_a_name_like_ours_hides_nothing(db: psycopg.Connection, command: str, identity: str) -> None:
    db.execute("create table t (id integer)")
    db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    db.execute("delete from pgevents.event")

    db.execute(command.encode())

    assert [one for _, one in told(db)] == [identity]


def test_what_covering_does_is_no_event(db: psycopg.Connection) -> None:
    db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    db.execute("create table p (a integer) partition by list (a); create table p1 partition of p default")
    db.execute("delete from pgevents.event")

    db.execute("create trigger mine after insert on p1 for each row execute function nothing()")
    db.execute("drop trigger mine on p1")

    assert [tag for tag, _ in told(db)] == ["CREATE TRIGGER", "DROP TRIGGER"]
