"""What is written as a replica is captured where the settings say so; once, like all else."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.demo.server import Server, binaries
from pg_events.triggers import build as core
from pg_events.triggers import catalog
from tests.postgres.choosing import ITEMS, TREE, Build, changes_of_tables, findings, plan, table


def triggers(db: psycopg.Connection) -> list[tuple[str, str, str]]:
    return db.execute(
        "select tgrelid::regclass::text, tgname, tgenabled::text from pg_trigger where not tgisinternal order by 1, 2"
    ).fetchall()


@contextmanager
def as_replica(db: psycopg.Connection) -> Iterator[None]:
    db.execute("set session_replication_role = replica")
    yield
    db.execute("set session_replication_role = origin")


# --- writes -------------------------------------------------------------------------------------------------------


WRITES = """
    insert into {0} select n, 'x' from generate_series(1, 3) n;
    update {0} set v = 'y' where id < 3;
    delete from {0} where id = 3;
    truncate {0};
"""
LETTERS = ["I", "I", "I", "U", "U", "D", "T"]


@pytest.mark.parametrize("name", ["item", "tree", "item row by row"])
def test_everybody_elses_writes_are_captured_once_as_before(
    db: psycopg.Connection, url: str, build: Build, name: str
) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    settings: dict[str, Any] = {"row_triggers": ("item",)} if name.endswith("by row") else {}
    name = name.partition(" ")[0]
    build(url, **settings)
    before = [trigger for trigger in triggers(db) if "truncate" not in trigger[1]]

    build(url, **settings, capture_replicated=("*",))
    db.execute(WRITES.format(name).encode())

    assert [kind for kind, *_ in changes_of_tables(db)] == LETTERS
    assert [trigger for trigger in triggers(db) if "O" in trigger[2]] == before
    with as_replica(db):
        db.execute(WRITES.format(name).encode())
    assert [kind for kind, *_ in changes_of_tables(db)] == LETTERS


def test_what_is_written_as_a_replica_is_not_captured_unless_the_settings_say_so(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    build(url, capture_replicated=("tree",))

    with as_replica(db):
        db.execute((WRITES.format("item") + WRITES.format("tree")).encode())

    assert [(kind, name) for kind, name, *_ in changes_of_tables(db)] == [(kind, "tree") for kind in LETTERS]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ((), ["fire no trigger and are not recorded"]),
        (("item",), ["fire no trigger and are not recorded, except on tables of PG_EVENTS_CAPTURE_REPLICATED"]),
        (("*",), []),
    ],
)
def test_the_doctor_knows_whose_writes_are_missed(
    role: str, db: psycopg.Connection, url: str, build: Build, chosen: tuple[str, ...], says: list[str]
) -> None:
    build(url, capture_replicated=chosen)
    db.execute(
        sql.SQL("alter role {} in database {} set session_replication_role = replica").format(
            sql.Identifier(role), sql.Identifier(db.info.dbname)
        )
    )

    found = findings(url, capture_replicated=chosen)

    assert [text.partition(f"{role}: their writes ")[2] for text in found] == says


@pytest.mark.parametrize("chosen", [("*",), ()])
def test_a_restore_that_disables_triggers_is_not_captured_and_leaves_them_as_they_were(
    server: Server, db: psycopg.Connection, url: str, build: Build, chosen: tuple[str, ...]
) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=chosen)
    db.execute("insert into item values (1, 'a')")
    before = triggers(db)
    programs = binaries(server.major)
    if programs is None or not (programs / "pg_dump").exists():
        pytest.skip("needs pg_dump")
    dump = subprocess.run(
        [programs / "pg_dump", "--data-only", "--table=item", "--disable-triggers", url],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    db.execute("delete from item; delete from pgevents.event")

    subprocess.run([programs / "psql", "-q", url], input=dump, capture_output=True, check=True)

    assert changes_of_tables(db) == []
    assert triggers(db) == before
    assert plan(url, capture_replicated=chosen).steps == ()


def test_where_no_event_trigger_looks_a_restore_leaves_drift_and_captures_nothing_twice(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=("*",))
    before = triggers(db)
    for name in catalog.EVENT_TRIGGERS:
        db.execute(f"alter event trigger {name} disable".encode())

    db.execute("alter table item disable trigger all; alter table item enable trigger all")
    db.execute(WRITES.format("item").encode())

    assert [kind for kind, *_ in changes_of_tables(db)] == LETTERS
    found = table(url, "item", capture_replicated=("*",))
    assert found.state == "outdated"
    assert "truncate, replicated: not as" in found.reason
    for name in catalog.EVENT_TRIGGERS:
        db.execute(f"alter event trigger {name} enable".encode())
    assert not build(url, capture_replicated=("*",)).failed
    assert triggers(db) == before


# --- the setting --------------------------------------------------------------------------------------------------


def test_who_takes_the_setting_away_has_the_triggers_of_before(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    build(url)
    before = triggers(db)

    build(url, capture_replicated=("*",))
    assert {name for _, name, fires in triggers(db) if fires in "AR"} == {
        "00_pgevents_replicated", "00_pgevents_truncate"
    }  # fmt: skip
    assert plan(url, capture_replicated=("*",)).steps == ()
    assert table(url, "item").state == "outdated"

    build(url)

    assert triggers(db) == before
    assert plan(url).steps == ()


def test_a_teardown_leaves_no_trigger(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    build(url, capture_replicated=("*",))

    with connect(url, application_name="test") as connection:
        made = core.teardown_plan(connection)
    assert not core.apply(url, made).failed

    assert triggers(db) == []


@pytest.mark.parametrize("fires", ["always", "replica"])
def test_a_trigger_that_somebody_else_lets_fire_for_replicas_is_put_right(
    db: psycopg.Connection, url: str, build: Build, fires: str
) -> None:
    db.execute(ITEMS)
    change = f'alter table item enable {fires} trigger "00_pgevents_insert"'.encode()

    db.execute(change)
    assert ("item", "00_pgevents_insert", "O") in triggers(db)

    for name in catalog.EVENT_TRIGGERS:
        db.execute(f"alter event trigger {name} disable".encode())
    db.execute(change)
    assert table(url, "item").state == "outdated"
    build(url)
    assert ("item", "00_pgevents_insert", "O") in triggers(db)


def test_triggers_that_somebody_disables_stay_so_until_the_next_build(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=("*",))
    before = triggers(db)

    db.execute("alter table item disable trigger all")

    assert {fires for _, _, fires in triggers(db)} == {"D"}
    assert table(url, "item", capture_replicated=("*",)).state == "disabled"
    build(url, capture_replicated=("*",))
    assert triggers(db) == before


def test_tables_made_later_and_partitions_are_captured_so(db: psycopg.Connection, url: str, build: Build) -> None:
    build(url, capture_replicated=("public.*",))

    db.execute(f"{ITEMS}; {TREE}".encode())
    db.execute("create table late (id integer primary key, v text)")
    db.execute("alter table tree attach partition late for values from (20) to (30)")

    with as_replica(db):
        db.execute("insert into item values (1, 'a'); insert into tree values (1, 'a'), (21, 'u')")
    assert [(kind, name) for kind, name, *_ in changes_of_tables(db)] == [("I", "item"), ("I", "tree"), ("I", "tree")]
    assert plan(url, capture_replicated=("public.*",)).steps == ()


def test_a_build_that_is_told_only_the_database_keeps_it(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=("item",), row_triggers=("item",))
    before = triggers(db)

    build(url, only_database=True)

    assert triggers(db) == before


def test_a_role_that_does_not_own_the_table_is_told_who_must(role: str, url: str, db: psycopg.Connection) -> None:
    db.execute(ITEMS)
    owner = db.execute("select nspowner::regrole::text from pg_namespace where nspname = 'pgevents'").fetchone()
    assert owner is not None
    db.execute(
        sql.SQL("grant create on database {} to {}").format(sql.Identifier(db.info.dbname), sql.Identifier(role))
    )
    db.execute("drop event trigger pgevents_schema_changed; drop event trigger pgevents_schema_dropped")
    db.execute("drop schema pgevents cascade")
    db.execute(sql.SQL("grant trigger on item to {}").format(sql.Identifier(role)))

    own = psycopg.conninfo.make_conninfo(url, user=role)
    with connect(own, application_name="test") as connection:
        made = core.make_plan(connection, Settings(own, capture_replicated=("*",)))
    failed = core.apply(own, made).failed

    assert {reason for _, reason in failed} == {"must be owner of table item; remedy: run it as the table's owner"}
