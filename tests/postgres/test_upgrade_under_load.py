"""A build over the release of version 4 while writers run flat out: none fails, nothing is lost, nothing comes twice.

A DDL command that runs at the moment of the upgrade itself is the exception: the functions of the earlier release meet the
tables of this one, and say so in a warning.
"""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker
from tests.conftest import Build
from tests.waiting import PATIENCE_SECONDS, until

SCHEMAS = Path(__file__).with_name("schemas")

Change = tuple[str, str, int, str]
"""Table, method, `id` and `v` of a row's change."""
Changes = list[Change]
Act = Callable[[psycopg.Connection, int], Changes]


def single_rows(db: psycopg.Connection, n: int) -> Changes:
    db.execute("insert into item values (%s, 'a')", [n])
    db.execute("update item set v = 'b' where id = %s", [n])
    db.execute("update item set v = 'c' where id = %s", [n])
    return [("item", "INSERT", n, "a"), ("item", "UPDATE", n, "b"), ("item", "UPDATE", n, "c")]


def whole_statements(db: psycopg.Connection, n: int) -> Changes:
    ids = range(n * 150, n * 150 + 150)
    db.execute("insert into bulk select g, 'a' from generate_series(%s::integer, %s) g", [ids[0], ids[-1]])
    db.execute("update bulk set v = 'b' where id >= %s", [ids[0]])
    db.execute("delete from bulk where id >= %s", [ids[0]])
    return [("bulk", method, i, v) for method, v in (("INSERT", "a"), ("UPDATE", "b"), ("DELETE", "b")) for i in ids]


def several_tables(db: psycopg.Connection, n: int) -> Changes:
    with db.transaction():
        db.execute("insert into tree values (1, %s)", [str(n)])
        db.execute("insert into bulk values (%s, 'x')", [-n])
        db.execute("delete from tree where v = %s", [str(n)])
    return [("bulk", "INSERT", -n, "x"), ("tree", "INSERT", 1, str(n)), ("tree", "DELETE", 1, str(n))]


def schema_changes(db: psycopg.Connection, n: int) -> Changes:
    table = f"made_{n}"
    db.execute(f"create table {table} (id integer primary key, v text)".encode())
    db.execute(f"insert into {table} values (1, 'a')".encode())
    db.execute(f"alter table {table} add column w integer".encode())
    db.execute(f"update {table} set v = 'b'".encode())
    db.execute(f"drop table {table}".encode())
    return [(table, "INSERT", 1, "a"), (table, "UPDATE", 1, "b")]


class Writer(threading.Thread):
    """Writes without a pause until it is told to stop, and notes what it wrote."""

    def __init__(self, url: str, act: Act, stopping: threading.Event, role: str | None = None) -> None:
        super().__init__()
        self._url, self._act, self._stopping, self._role = url, act, stopping, role
        self.rounds = 0
        self.wrote: Changes = []
        self.error: Exception | None = None
        self.warnings: list[str] = []
        self.warned: set[str] = set()

    def run(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as db:
                db.add_notice_handler(lambda notice: self.warnings.append(str(notice.message_primary)))
                if self._role:
                    db.execute(f"set role {self._role}".encode())
                for n in count(1):
                    if self._stopping.is_set():
                        return
                    warnings = len(self.warnings)
                    changes = self._act(db, n)
                    if len(self.warnings) > warnings:
                        self.warned |= {table for table, *_ in changes}
                    else:
                        self.wrote += changes
                    self.rounds = n
        except Exception as error:
            self.error = error


@contextmanager
def load(url: str, role: str) -> Generator[list[Writer]]:
    stop = threading.Event()
    writers = [
        Writer(url, single_rows, stop, role),
        Writer(url, whole_statements, stop),
        Writer(url, several_tables, stop, role),
        Writer(url, schema_changes, stop),
    ]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        stop.set()
        for writer in writers:
            writer.join(PATIENCE_SECONDS)


def some_more(writers: list[Writer]) -> None:
    """Until each has written for a while longer, or has failed."""
    goal = {writer: writer.rounds + 10 for writer in writers}
    until(
        lambda: all(writer.rounds >= goal[writer] or writer.error for writer in writers),
        "ten more rounds of each writer",
    )


def changes(db: psycopg.Connection) -> Counter[Change]:
    found = db.execute(
        "select l.table_name, case l.kind when 'I' then 'INSERT' when 'U' then 'UPDATE' else 'DELETE' end,"
        " coalesce(r.row ->> 'id', r.row ->> 'k')::integer, r.row ->> 'v'"
        " from pgevents.log l cross join lateral (select coalesce(l.new_data, l.old_data)) r (row)"
        " where l.kind in ('I', 'U', 'D')"
    )
    return Counter((table, method, number, v) for table, method, number, v in found.fetchall())


def all_is_captured_once(db: psycopg.Connection, writers: list[Writer]) -> None:
    assert [writer.error for writer in writers] == [None] * len(writers)
    assert [writer.warnings for writer in writers[:-1]] == [[]] * (len(writers) - 1)
    warned = writers[-1].warned
    assert len(warned) <= 2
    found = Counter({change: times for change, times in changes(db).items() if change[0] not in warned})
    assert found == Counter(change for writer in writers for change in writer.wrote)


@pytest.fixture
def landed(role: str, database_url: str) -> Iterator[psycopg.Connection]:
    """A database of the release of version 4, with the role of its time and writers that have no rights but to write."""
    with psycopg.connect(database_url, autocommit=True) as db:
        for name in ("4.sql", "role/4.sql"):
            db.execute((SCHEMAS / name).read_bytes())
            db.execute("reset all")
        db.execute(
            "update pgevents.setting set value = (select system_identifier::text from pg_control_system())"
            " where name = 'system_identifier'"
        )
        db.execute("create table bulk (id integer primary key, v text)")
        db.execute(f"grant select, insert, update, delete on item, bulk, tree to {role}".encode())
        yield db


def test_a_build_under_load_fails_no_writer_and_loses_nothing(
    role: str, database_url: str, landed: psycopg.Connection, build: Build
) -> None:
    with load(database_url, role) as writers:
        some_more(writers)
        landed.execute(
            "insert into pgevents.consumer (name, system_identifier)"
            " select 'default', system_identifier from pg_control_system()"
        )
        (place,) = landed.execute(
            "insert into pgevents.share (consumer, slots, snapshot)"
            " select 'default', array(select generate_series(0, 63)), pg_current_snapshot() returning snapshot::text"
        ).fetchone() or (None,)
        some_more(writers)
        applied = build(database_url)
        some_more(writers)
        again = build(database_url)
        some_more(writers)

    all_is_captured_once(landed, writers)
    for one in (applied, again):
        assert {reason for _, reason in one.failed} <= {"the table no longer exists; build again"}
    (due,) = landed.execute(
        "select count(*) from pgevents.log l where not pg_visible_in_snapshot(l.xid, %s::pg_snapshot)", [place]
    ).fetchone() or (0,)
    got: list[Any] = []

    def take(payload: str) -> None:
        got.append(json.loads(payload))

    Worker(
        Settings(
            database_url,
            data_update_callback=take,
            db_schema_update_callback=take,
        )
    ).run(once=True)
    assert len(got) == len({event["id"] for event in got}) == due
    assert in_order(got)


def in_order(got: list[Any]) -> bool:
    """Is what became of each row of `item` told as it happened, from wherever the consumer was on?"""
    rows: defaultdict[int, str] = defaultdict(str)
    for event in got:
        if event.get("table_name") == "item":
            rows[event["new_data"]["id"]] += event["new_data"]["v"]
    return (
        len(rows) > 0 and set(rows.values()) <= {"abc", "bc", "c"} and list(rows.values()).count("abc") >= len(rows) - 1
    )


def test_packed_rows_that_a_function_of_the_earlier_release_writes_late_have_ids_of_their_own(
    role: str, database_url: str, landed: psycopg.Connection, build: Build
) -> None:
    """Such a row has a hundred events and one id by the column's default value; the next row's id must lie beyond."""
    build(database_url)
    ids = [landed.execute("select pgevents.new_id(1)").fetchone() for _ in range(20)]
    distances = {right[0] - left[0] for left, right in pairwise(ids) if left and right}
    assert min(distances) >= 100


def test_a_later_build_takes_the_rights_of_the_role(
    role: str, database_url: str, landed: psycopg.Connection, build: Build
) -> None:
    with load(database_url, role) as writers:
        some_more(writers)
        build(database_url)
        some_more(writers)
        landed.execute("update pgevents.migration set applied_at = applied_at - interval '2 minutes' where version = 7")
        until(lambda: build(database_url) and not held(landed), "a build that takes all from the role")
        some_more(writers)

    all_is_captured_once(landed, writers)


def held(db: psycopg.Connection) -> list[Any]:
    """The objects of the schema on which the role has rights, or which belong to it."""
    return db.execute(
        "select d.objid from pg_shdepend d join pg_roles r on r.oid = d.refobjid"
        " where r.rolname = 'pgevents_capture' and d.refclassid = 'pg_authid'::regclass"
        " and d.dbid = (select oid from pg_database where datname = current_database())"
    ).fetchall()
