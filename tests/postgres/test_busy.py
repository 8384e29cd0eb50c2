"""A build while others write: it is never in their way for longer than its lock timeout, and loses nothing of theirs."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers import build as core
from pg_events.triggers import catalog

Build = Callable[..., core.Applied]

LOCK_TIMEOUT_SECONDS = 0.3
IMPATIENT = f"-c lock_timeout={int(LOCK_TIMEOUT_SECONDS * 5000)}"
"""A writer that waits five times as long as a build may make it wait ends with an error."""
TABLES = """
    create table a (id bigint generated always as identity primary key, v integer);
    create table b (id bigint generated always as identity primary key, v integer);
    create table c (id bigint generated always as identity primary key, v integer);
    create table p (v integer, w integer) partition by range (v);
    create table p0 partition of p for values from (0) to (10);
    create table p1 partition of p for values from (10) to (20);
"""
A, B, C = (f"insert into {name} (v) values (1)" for name in "abc")
P0, P1 = "insert into p0 (v) values (1)", "insert into p1 (v) values (11)"
ORDERS = (
    (A, B, C, P0, P1),
    (C, B, A, P1, P0),
    ("select from p1", "select from a", B, "insert into p (v) values (1), (11)", "update c set v = 2 where id = 0", A),
    ("select from b", A, "delete from b where id = 0", "insert into p (v) values (11)", C),
)
"""Statements of a transaction each. No two wait for each other: only for whoever wants a whole table."""

UNTIL_THE_BUILD_HOLDS_P0 = """
    do $do$
    begin
        while not exists (
            select from pg_locks where relation = 'p0'::regclass and mode = 'ShareRowExclusiveLock' and granted
        ) loop
            perform pg_sleep(0.001);
        end loop;
    end
    $do$
"""


@dataclass
class Writers:
    """Some connections that write all the time."""

    url: str
    orders: Sequence[Sequence[str]]
    committed: int = 0
    errors: list[str] = field(default_factory=list[str])
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """All of them have committed once when the block begins."""
        under_way = threading.Barrier(len(self.orders) + 1)
        threads = [threading.Thread(target=self._write, args=[order, under_way]) for order in self.orders]
        for thread in threads:
            thread.start()
        try:
            under_way.wait(30)
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _write(self, order: Sequence[str], under_way: threading.Barrier) -> None:
        is_first = True
        with psycopg.connect(make_conninfo(self.url, options=IMPATIENT), autocommit=True) as connection:
            while not self._stopping.is_set():
                try:
                    with connection.transaction():
                        for statement in order:
                            connection.execute(statement.encode())
                except psycopg.Error as error:
                    self.errors.append(f"{type(error).__name__}: {error}")
                    return
                self.committed += 1
                if is_first:
                    under_way.wait(30)
                    is_first = False


@pytest.fixture
def tables(role: str, database_url: str) -> str:
    """URL of a database with some tables and a partition tree, for their owner, and no pg_events in it.

    A superuser's build would see to it that it is the victim of a deadlock; this one cannot.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        names = {"database": sql.Identifier(connection.info.dbname), "role": sql.Identifier(role)}
        # Who waits longer than that for a lock looks for a deadlock and, if it is one, is its victim.
        connection.execute(sql.SQL("alter database {database} set deadlock_timeout = '200ms'").format(**names))
        connection.execute(sql.SQL("alter database {database} owner to {role}").format(**names))
        connection.execute(sql.SQL("set role {role}").format(**names))
        connection.execute(TABLES)
    return make_conninfo(database_url, user=role)


def plan(url: str, **settings: Any) -> core.Plan:
    with connect(url, application_name="test") as connection:
        return core.make_plan(connection, Settings(url, **settings))


def covered(url: str) -> set[str]:
    with connect(url, application_name="test") as connection:
        return {table.name for table in catalog.tables(connection) if table.state == "covered"}


def test_writers_in_every_order_meet_no_deadlock_and_no_long_wait(tables: str) -> None:
    writers = Writers(tables, ORDERS)

    with writers.at_work():
        for settings in 3 * (
            {},  # from nothing, later where there is none any more
            {"exclude_columns": {"*": ("v",)}},  # a tree changes at one stroke: several locks at a time
            {"exclude": ("*",)},  # to drop a trigger locks readers out, too
        ):
            applied = core.apply(tables, plan(tables, **settings), lock_timeout_seconds=LOCK_TIMEOUT_SECONDS)
            assert applied.failed == []

    assert writers.errors == []
    assert covered(tables) == set()


def test_writers_pass_while_a_table_is_held(tables: str) -> None:
    """One transaction keeps a table and a partition: the build tries again and again, others write to both meanwhile."""
    writers = Writers(tables, ORDERS)
    done: list[str] = []
    refused: list[str] = []

    with psycopg.connect(tables) as holder, writers.at_work():
        holder.execute("insert into b (v) values (1); insert into p1 (v) values (11)")

        def on_step(step: core.Step, outcome: str) -> None:
            assert step.table is not None or outcome == "done"
            (refused if outcome == "waiting" else done).append(step.table or "")
            if refused.count("public.b") == refused.count("public.p1") == 3:
                holder.commit()

        applied = core.apply(tables, plan(tables), on_step, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS)

    assert writers.errors == []
    assert applied.failed == []
    assert list(dict.fromkeys(filter(None, done)))[-2:] == ["public.b", "public.p1"]


def test_who_holds_what_a_build_wants_and_wants_what_it_holds_is_no_victim(
    tables: str, database_url: str, build: Build
) -> None:
    """A tree that changes at one stroke needs the locks of all its tables."""
    build(tables)
    began = threading.Event()

    def write() -> None:
        # It looks for a deadlock before the build would.
        with psycopg.connect(make_conninfo(database_url, options="-c deadlock_timeout=150ms")) as writer:
            writer.execute("insert into p1 (v) values (11)")
            began.set()
            writer.execute(UNTIL_THE_BUILD_HOLDS_P0)
            writer.execute("insert into p0 (v) values (1)")

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        began.wait(30)
        applied = core.apply(
            tables, plan(tables, exclude_columns={"public.p": ["v"]}), lock_timeout_seconds=LOCK_TIMEOUT_SECONDS
        )
        writing.result()  # raises what the writer met

    assert applied.failed == []
    assert plan(tables, exclude_columns={"public.p": ["v"]}).steps == ()


def test_a_change_of_the_log_does_not_wait_behind_a_long_transaction(tables: str, build: Build) -> None:
    """A migration wants the log for itself: whoever writes to any covered table would queue behind it."""
    build(tables)
    refused: list[str] = []
    wanted = core.Plan(
        (core.Step("create", "schema pgevents (a later one)", None, "lock table pgevents.event", "", ""),), 0
    )  # fmt: skip

    with psycopg.connect(tables) as holder, psycopg.connect(make_conninfo(tables, options=IMPATIENT)) as other:
        # Should the build wait for it without end, the server ends it.
        holder.execute(
            "set idle_in_transaction_session_timeout = '10s'; lock table pgevents.event in row exclusive mode"
        )

        def on_step(_step: core.Step, outcome: str) -> None:
            if outcome == "waiting":
                refused.append(outcome)
                other.execute("insert into a (v) values (1)")
                other.commit()
                if len(refused) == 3:
                    holder.commit()

        applied = core.apply(tables, wanted, on_step, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS)

    assert len(refused) == 3
    assert (applied.applied, applied.failed) == (1, [])
