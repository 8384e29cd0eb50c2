"""The schema changes under way, is installed on busy tables, on many, and where somebody's own triggers fail."""

import threading

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers import build as building
from tests.faults.harness import KEYS, Writers, committed, execute, judge, wait_until


def test_row_30_the_schema_changes_under_a_running_worker_and_load(server, url, worker, deliveries) -> None:
    role = "leaver"
    execute(server.url(), f"drop role if exists {role}", f"create role {role} login")
    execute(
        url,
        f"create schema authorization {role}",
        f"create table {role}.thing (key integer, version integer, note text)",
        f"alter table {role}.thing owner to {role}",
    )
    one = worker().ready()
    with Writers(url, 30) as writers:
        for change in (
            "alter table account add extra text default 'new'",
            "alter table account rename extra to more",
            "alter table account alter version type bigint",
            "alter table account drop more",
            "alter table account add filled integer not null default 5",
            f"insert into {role}.thing values (1000, 0, '')",
            f"drop owned by {role}",
            "create table short_lived as select 1000 as key, 1 as version, '' as note",
            "drop table short_lived",
        ):
            execute(url, change)
            writers.wait_for(20)
    got = deliveries.wait_for(committed(url), one.log)

    verdict = judge(writers.acknowledged, committed(url), [each for each in got if each.change.key in KEYS])
    assert verdict.is_good, verdict
    assert verdict.duplicates == 0
    assert not writers.failures
    assert one.end() == 0
    drops = execute(
        url,
        "select ddl ->> 'object_identity' from pgevents.log"
        " where ddl ->> 'command_tag' like 'DROP %' and ddl ->> 'object_type' = 'table' order by id",
    )
    assert drops == [(f"{role}.thing",), ("public.short_lived",)]
    (row,) = execute(url, "select new_data from pgevents.log where new_data is not null order by id desc limit 1")
    assert list(row[0]) == ["key", "version", "note", "filled"]


def test_row_28_a_build_on_a_busy_table_lets_the_writers_go_on(url, worker, deliveries) -> None:
    lock_seconds = 0.2
    one = worker().ready()
    execute(url, "create table aside (key integer, version integer, note text)")
    for table in ("account", "aside"):
        execute(url, f'drop trigger "00_pgevents_truncate" on {table}')
    tries: list[str | None] = []
    done = threading.Event()

    def on_step(step: object, outcome: str) -> None:
        tries.append(outcome)
        if outcome == "done":
            done.set()

    with connect(url, application_name="test") as connection:
        plan = building.make_plan(connection, Settings(url))
    with Writers(url, 28, KEYS[1:]) as writers, psycopg.connect(url) as busy:
        busy.execute("update account set version = version + 1 where key = 1")
        builder = threading.Thread(
            target=building.apply, args=(url, plan, on_step), kwargs={"lock_timeout_seconds": lock_seconds}
        )
        builder.start()
        wait_until(lambda: tries.count("waiting") >= 3, "the build tries")
        assert done.is_set(), "the other table was not done"
        writers.wait_for(20)
        busy.commit()
        builder.join()
        writers.wait_for(20)

    assert not writers.failures
    # The rest is what a busy machine may take: far less than the transaction that the build waits for.
    assert writers.longest_seconds < lock_seconds + 3
    got = deliveries.wait_for(committed(url), one.log)
    assert judge(writers.acknowledged, committed(url), got).is_good
    with connect(url, application_name="test") as connection:
        assert building.make_plan(connection, Settings(url)).steps == ()


@pytest.mark.parametrize("tables", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_row_27_many_tables_are_covered_and_left_without_a_trace(database_url, tables) -> None:
    count = "select count(*) from pg_trigger where not tgisinternal"
    everything = (
        "select 'class', relname::text from pg_class union all select 'proc', proname from pg_proc"
        " union all select 'trigger', tgname from pg_trigger union all select 'type', typname from pg_type order by 1, 2"
    )
    with psycopg.connect(database_url) as connection:
        for number in range(tables):
            connection.execute(f"create table t{number} (id integer primary key)")
    before = execute(database_url, everything)

    def stop_half_way(step: object, outcome: str) -> None:
        if len(covered) == tables // 2:
            raise KeyboardInterrupt
        if outcome == "done" and step.table:  # type: ignore[attr-defined]
            covered.append(step.table)  # type: ignore[attr-defined]

    covered: list[str] = []
    with connect(database_url, application_name="test") as connection:
        plan = building.make_plan(connection, Settings(database_url))
    with pytest.raises(KeyboardInterrupt):
        building.apply(database_url, plan, stop_half_way)
    with connect(database_url, application_name="test") as connection:
        rest = building.make_plan(connection, Settings(database_url))
    assert 0 < len(rest.steps) < len(plan.steps)
    assert not building.apply(database_url, rest).failed
    assert execute(database_url, count)[0][0] >= tables

    with connect(database_url, application_name="test") as connection:
        removal = building.teardown_plan(connection)
    assert not building.apply(database_url, removal).failed
    assert execute(database_url, everything) == before


def test_row_40_a_login_trigger_that_fails_is_waited_out(url, worker, deliveries) -> None:
    if execute(url, "show server_version_num") < [("170000",)]:
        pytest.skip("login triggers came with PostgreSQL 17")
    one = worker().ready()
    deliveries.wait_for(committed(url))
    escape = f"{url}&options=-c%20event_triggers%3Doff"
    execute(
        url,
        "create function refuse() returns event_trigger language plpgsql as"
        " $$begin if current_setting('application_name') like 'pg_events%' then raise 'not you'; end if; end$$",
        "create event trigger refuse on login execute function refuse()",
    )
    execute(
        url,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like 'pg_events worker%'",
    )
    one.wait_until_said("reconnecting")
    execute(url, "update account set version = version + 1")
    late = worker()
    assert late.process.wait(60) in (3, 4)
    assert "not you" in late.log()
    assert "Traceback" not in late.log()

    execute(escape, "drop event trigger refuse")

    one.wait_until_said("connected again")
    assert judge([], committed(url), deliveries.wait_for(committed(url), one.log)).is_good
