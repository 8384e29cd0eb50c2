"""Nobody but the log's owner can hold up a build or a pruning, and whoever does is named."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.errors import PgEventsError
from pg_events.log import retention
from pg_events.log.retention import Limit, Pruner, prune
from pg_events.triggers import apply as applying
from pg_events.triggers.build import apply, make_plan
from pg_events.triggers.plan import Plan
from tests.conftest import Build
from tests.waiting import until

HOLDER = r"pid \d+ \(role postgres, application holder, its transaction began \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)"


@contextmanager
def holding(url: str, *statements: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, application_name="holder") as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection
        connection.rollback()


def planned(url: str, **settings: object) -> Plan:
    with connect(url, application_name="test") as connection:
        return make_plan(connection, Settings(url, **settings))  # type: ignore[arg-type]


def test_no_advisory_lock_of_a_stranger_holds_up_a_build_or_a_pruning(
    role: str, built_database_url: str, build: Build
) -> None:
    stranger = make_conninfo(built_database_url, user=role)
    with psycopg.connect(stranger) as connection:
        connection.execute("select pg_advisory_lock(hashtext('pgevents.build'))")
        connection.execute("select pg_advisory_lock(hashtextextended('pg_events prune', 0))")

        assert not build(built_database_url, exclude=("public.x",)).failed
        with connect(built_database_url, application_name="test") as owner:
            assert prune(owner, Limit(timedelta(days=1))).deleted == 0


def test_a_stranger_cannot_take_the_locks_of_a_build_and_a_pruning(role: str, built_database_url: str) -> None:
    with psycopg.connect(built_database_url, autocommit=True) as owner:
        owner.execute(f"grant usage on schema pgevents to {role}".encode())
        owner.execute(f"grant select on all tables in schema pgevents to {role}".encode())
    with psycopg.connect(make_conninfo(built_database_url, user=role), autocommit=True) as reader:
        for table in ("migration", "consumer"):
            for mode in ("share", "share update exclusive", "access exclusive"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
                    reader.execute(f"lock table pgevents.{table} in {mode} mode".encode())


def test_a_build_that_waits_for_another_one_names_it(built_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "OTHER_BUILD_SECONDS", 0.5)
    plan = planned(built_database_url, exclude=("public.x",))
    with (
        holding(built_database_url, "lock table pgevents.migration in share update exclusive mode"),
        pytest.raises(PgEventsError, match=rf"gave up after .* s, its lock is held by {HOLDER}; run it again"),
    ):
        apply(built_database_url, plan, lock_timeout_seconds=0.05)


def test_a_first_build_that_waits_for_another_one_names_it(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "OTHER_BUILD_SECONDS", 0.5)
    plan = planned(database_url)
    with (
        holding(database_url, "create schema pgevents"),
        pytest.raises(PgEventsError, match=f"its lock is held by {HOLDER}"),
    ):
        apply(database_url, plan, lock_timeout_seconds=0.05)


def test_of_two_first_builds_both_succeed(database_url: str) -> None:
    plan = planned(database_url)
    failures: list[object] = []

    def run() -> None:
        try:
            failures.extend(apply(database_url, plan).failed)
        except PgEventsError as error:
            failures.append(error)

    builds = [threading.Thread(target=run) for _ in range(2)]
    for one in builds:
        one.start()
    for one in builds:
        one.join()

    assert failures == []
    assert planned(database_url).steps == ()


def test_a_table_whose_lock_is_not_to_be_had_names_who_holds_it(
    built_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "TRIES", 3)
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table busy (id integer)")
        connection.execute('drop trigger "00_pgevents_insert" on busy')
    plan = planned(built_database_url)
    with holding(built_database_url, "insert into busy values (1)"):
        failed = apply(built_database_url, plan, lock_timeout_seconds=0.1).failed

    (reason,) = {reason for _, reason in failed}
    assert re.fullmatch(rf"no lock in 3 attempts of 0\.1 s, it is held by {HOLDER}", reason)


def test_the_logs_lock_that_a_reader_holds_is_named(built_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "TRIES", 3)
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("drop function pgevents.capture_delete() cascade")
    plan = planned(built_database_url, query_characters=5)
    with (
        holding(built_database_url, "lock table pgevents.setting in access exclusive mode"),
        pytest.raises(PgEventsError, match=f"its lock is held by {HOLDER}"),
    ):
        apply(built_database_url, plan, lock_timeout_seconds=0.1)


def test_a_pruning_that_waits_for_another_one_names_it(
    built_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_WAIT", retention._WAIT.replace("60s", "500ms"))
    with (
        holding(built_database_url, "lock table pgevents.consumer in share update exclusive mode"),
        connect(built_database_url, application_name="test") as connection,
    ):
        assert Pruner(Limit(timedelta(days=1))).prune(connection, lambda _seconds: False) is None
        with pytest.raises(PgEventsError, match=f"the log is being pruned by {HOLDER}; run it again"):
            prune(connection, Limit(timedelta(days=1)))


def test_a_pruning_waits_for_another_one(built_database_url: str) -> None:
    with connect(built_database_url, application_name="test") as connection:
        pid = connection.info.backend_pid
        with holding(built_database_url, "lock table pgevents.consumer in share update exclusive mode") as holder:
            thread = threading.Thread(target=prune, args=(connection, Limit(timedelta(days=1))))
            thread.start()
            until(lambda: holder.execute("select cardinality(pg_blocking_pids(%s))", (pid,)).fetchone() == (1,))
        thread.join(30)
        assert not thread.is_alive()
