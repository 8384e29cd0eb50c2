"""The columns of tables: DDL notes them and never reads them, readers tell the difference, pruning keeps the newest."""

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

from pg_events.db.connection import connect
from pg_events.log.listener import Listener
from pg_events.log.retention import Limit, prune
from pg_events.playback.source import read
from pg_events.testing.capture import capture

ALL = Limit(timedelta(days=-1))


def differences(db: psycopg.Connection) -> list[tuple[str, list[str], list[str], list[str]]]:
    """Of each schema event with one: the object, and the columns that were added, removed and changed."""
    found = db.execute(
        "select ddl from pgevents.log where kind = 'S' and ddl -> 'columns' is not null order by id"
    ).fetchall()
    return [
        (ddl["object_name"], *([c["name"] for c in ddl["columns"][key]] for key in ("added", "removed", "changed")))
        for (ddl,) in found
    ]


def test_serializable_transactions_that_alter_tables_of_their_own_do_not_meet(url: str) -> None:
    connections = [psycopg.connect(url) for _ in range(2)]
    try:
        for connection in connections:
            connection.isolation_level = IsolationLevel.SERIALIZABLE
            connection.execute("select 1 from pg_class limit 1")
        for step in (
            "create table t{0} (a integer)",
            "create table u{0} (a integer) -- " + "long " * 500,
            "alter table t{0} add column b integer",
            "insert into t{0} values (1, 1)",
            "alter table u{0} rename to v{0}",
            "drop table v{0}",
        ):
            for number, connection in enumerate(connections):
                connection.execute(step.format(number).encode())
        for connection in connections:
            connection.commit()
    finally:
        for connection in connections:
            connection.close()

    with psycopg.connect(url) as db:
        assert db.execute("select count(*) from pgevents.log where kind = 'S'").fetchone() == (10,)


def test_an_old_snapshot_loses_no_event(url: str, db: psycopg.Connection) -> None:
    warnings: list[str] = []
    db.execute("create table t (a integer)")
    with psycopg.connect(url) as old:
        old.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
        old.isolation_level = IsolationLevel.REPEATABLE_READ
        old.execute("select 1 from pg_class limit 1")
        db.execute("alter table t add column b integer")
        db.execute("alter table t alter a set not null")
        old.execute("alter table t add column c integer")
        old.execute("alter table t drop column a")

    assert warnings == []
    assert db.execute("select count(*) from pgevents.log where kind = 'S'").fetchone() == (6,)
    # The old snapshot cannot tell what became of the columns; the next change does.
    assert differences(db)[2:] == [("t", [], [], ["a"])]
    db.execute("alter table t add column d integer")
    assert differences(db)[3:] == [("t", ["c", "d"], ["a"], [])]


def test_what_a_command_changes_is_told_wherever_it_is_read(url: str, db: psycopg.Connection) -> None:
    begin = {"added": [{"name": "a", "type": "integer"}], "removed": [], "changed": []}
    with capture(url) as captured:
        db.execute("create table t (a integer)")

    with Listener(url, application_name="test") as listener:
        (record,) = listener.recent(10)
    (event,) = list(read(url))

    assert captured.of()[0].columns == event.columns == begin
    assert json.loads(record.payload)["columns"] == begin


def test_what_falls_with_its_parent_is_told(db: psycopg.Connection) -> None:
    db.execute("create table p (k integer) partition by list (k); create table p1 partition of p for values in (1)")
    db.execute("delete from pgevents.event")

    db.execute("drop table p")

    assert sorted(differences(db)) == [("p", [], ["k"], []), ("p1", [], ["k"], [])]


def test_a_command_that_changes_no_column_notes_none(db: psycopg.Connection) -> None:
    db.execute("create table t (a integer)")
    before = db.execute("select count(*) from pgevents.shape").fetchone()

    db.execute("alter table t set (fillfactor = 50)")
    db.execute("create index on t (a)")

    assert db.execute("select count(*) from pgevents.shape").fetchone() == before


def test_pruning_keeps_what_the_next_difference_is_taken_from(url: str, db: psycopg.Connection) -> None:
    db.execute("create table t (a integer); create table gone (a integer)")
    db.execute("alter table t add b integer")
    db.execute("drop table gone")
    with connect(url, application_name="test") as connection:
        prune(connection, ALL)
    kept = db.execute("select relation::regclass::text, json_array_length(columns) from pgevents.shape").fetchall()

    db.execute("alter table t add c integer")

    assert kept == [("t", 2)]
    assert differences(db) == [("t", ["c"], [], [])]


def test_the_shapes_of_an_earlier_release_are_taken_over(database_url: str, build: Any) -> None:
    """A table is described as it was at its last DDL, and the event after the upgrade tells what became of it."""
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("create table t (a integer)")
        build(database_url)
        db.execute("alter table t add b integer")

        assert differences(db) == [("t", ["b"], [], [])]


@pytest.mark.parametrize("command", ["alter table p add b integer", "alter table p rename k to l"])
def test_what_is_altered_on_a_parent_is_told_once(db: psycopg.Connection, command: str) -> None:
    db.execute("create table p (k integer) partition by list (k); create table p1 partition of p default")
    db.execute("create table p11 (k integer)")
    db.execute(command.encode())
    db.execute("alter table p1 alter k set not null" if "add" in command else "alter table p1 alter l set not null")

    told = differences(db)
    assert [one[0] for one in told] == ["p", "p1", "p11", "l" if "rename" in command else "p", "p1"]
    assert len(told[-1][3]) == 1
