"""A build: what it does to whom, with whom it gets along, and what it says when it cannot."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.errors import ForeignCursor, NotPermitted
from pg_events.triggers import build as core
from pg_events.triggers import catalog

Build = Callable[..., core.Applied]

NAMES = [
    'weird "Table".name',
    "50%",
    "a;drop",
    "new\nline",
    "Upper Case",
    "é" * 31,
    "x" * 63,
    "a_b",
    "CREATE TRIGGER",
    "q'q",
]


def as_role(url: str, role: str) -> str:
    return make_conninfo(url, user=role)


def plan(url: str, **settings: Any) -> core.Plan:
    with connect(url, application_name="test", checks_owner=False) as connection:
        return core.make_plan(connection, Settings(url, **settings))


def states(url: str, *patterns: list[str]) -> dict[str, str]:
    with connect(url, application_name="test") as connection:
        return {table.name: table.state for table in catalog.tables(connection, *patterns)}


@pytest.mark.parametrize("event_triggers", [True, False])
def test_any_name_that_postgresql_allows_is_covered(
    db: psycopg.Connection, built_database_url: str, build: Build, event_triggers: bool
) -> None:
    if not event_triggers:
        db.execute("drop event trigger pgevents_schema_changed")

    for name in NAMES:
        db.execute(sql.SQL("create table {} (id integer)").format(sql.Identifier(name)))
    if not event_triggers:
        assert set(states(built_database_url).values()) == {"missing"}
        assert not build(built_database_url).failed
    for name in NAMES:
        db.execute(sql.SQL("insert into {} values (1)").format(sql.Identifier(name)))

    assert states(built_database_url) == dict.fromkeys(NAMES, "covered")
    assert plan(built_database_url).steps == ()
    found = db.execute("select table_name from pgevents.log where kind = 'I' order by id").fetchall()
    assert [name for (name,) in found] == NAMES


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("50%", {"50%"}),
        ("a_b", {"a_b"}),
        ('public.weird "*', {'weird "Table".name'}),
        ("public.?_b", {"a_b"}),
        ("UPPER*", set()),
        ("*\n*", {"new\nline"}),
        ("public.*", set(NAMES)),
        ("other.*", set()),
    ],
)
def test_a_pattern_matches_what_it_says(database_url: str, pattern: str, matched: set[str]) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in NAMES:
            connection.execute(sql.SQL("create table {} (id integer)").format(sql.Identifier(name)))

    wanted = {name for name, state in states(database_url, [pattern]).items() if state == "missing"}
    not_wanted = {name for name, state in states(database_url, [], [pattern]).items() if state == "excluded"}

    assert wanted == matched
    assert not_wanted == matched


@pytest.mark.parametrize("setting", ["search_path = pgevents, public", "quote_all_identifiers = on"])
def test_a_sessions_own_spelling_is_no_drift(db: psycopg.Connection, built_database_url: str, setting: str) -> None:
    db.execute("create table t (a integer)")
    db.execute(sql.SQL("alter database {} set " + setting).format(sql.Identifier(db.info.dbname)))

    assert plan(built_database_url).steps == ()

    with psycopg.connect(built_database_url, autocommit=True) as other:
        other.execute("alter table public.t add b integer")
    assert plan(built_database_url).steps == ()


def test_a_build_with_nothing_to_do_does_not_wait_for_a_locked_table(
    db: psycopg.Connection, built_database_url: str, build: Build
) -> None:
    db.execute("create table t (a integer)")

    with db.transaction():
        db.execute("lock table t in access exclusive mode")
        applied = build(built_database_url)

    assert (applied.applied, applied.failed) == (0, [])


def test_two_first_builds_at_once_both_succeed(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number in range(10):
            connection.execute(sql.SQL("create table {} (id integer)").format(sql.Identifier(f"t{number}")))
    plans = [plan(database_url), plan(database_url)]
    outcomes: list[object] = []

    def run(wanted: core.Plan) -> None:
        try:
            outcomes.append(core.apply(database_url, wanted).failed)
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=[wanted]) for wanted in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [[], []]
    assert plan(database_url).steps == ()


def test_an_interrupted_build_is_simply_run_again(database_url: str, build: Build) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table a (id integer); create table b (id integer); create table c (id integer)")

    def interrupt(step: core.Step, outcome: str) -> None:
        if step.table == "public.b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        core.apply(database_url, plan(database_url), interrupt)

    assert {step.table for step in plan(database_url).steps} == {"public.c"}
    assert not build(database_url).failed
    assert plan(database_url).steps == ()


def test_a_limit_of_the_role_does_not_stop_a_build(
    db: psycopg.Connection, built_database_url: str, build: Build
) -> None:
    db.execute("drop event trigger pgevents_schema_changed")
    db.execute("create table t (a integer)")
    name = sql.Identifier(db.info.dbname)
    db.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
    db.execute(sql.SQL("alter database {} set lock_timeout = 1").format(name))

    assert not build(built_database_url).failed
    assert states(built_database_url) == {"t": "covered"}


def test_what_cannot_be_covered_is_listed_with_the_reason(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute(
        "create table t (a integer); create unlogged table u (a integer); create temporary table hidden (a integer)"
    )
    db.execute("create view v as select * from t; create materialized view m as select * from t")
    db.execute("create foreign data wrapper nowhere; create server far foreign data wrapper nowhere")
    db.execute("create foreign table f (a integer) server far")

    assert states(built_database_url) == {
        "f": "unsupported", "m": "unsupported", "t": "covered", "u": "covered", "v": "unsupported",
    }  # fmt: skip
    assert plan(built_database_url).steps == ()


def test_an_extensions_tables_are_left_alone_unless_named(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("create table t (a integer)")
    db.execute(
        "insert into pg_depend select 'pg_class'::regclass, 't'::regclass, 0, 'pg_extension'::regclass, oid, 0, 'e'"
        " from pg_extension where extname = 'plpgsql'"
    )

    assert states(built_database_url)["t"] == "outdated"  # It had triggers already.
    assert states(built_database_url, ["public.t"])["t"] == "covered"


def test_a_role_without_the_right_to_create_a_schema_is_told_which_grant(role: str, database_url: str) -> None:
    with pytest.raises(NotPermitted, match=f'grant create on database .* to "{role}"'):
        plan(as_role(database_url, role))


def test_a_role_that_owns_nothing_of_it_is_told_so(role: str, built_database_url: str) -> None:
    with pytest.raises(NotPermitted, match="does not own the schema pgevents"):
        plan(as_role(built_database_url, role))
    with (
        pytest.raises(NotPermitted, match=f"pg_events build --grant-reader {role}"),
        connect(as_role(built_database_url, role), application_name="test") as connection,
    ):
        catalog.installed(connection)


def test_a_plain_owner_captures_data_and_is_told_what_is_missing(role: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("create table theirs (a integer)")
        admin.execute(sql.SQL("create schema own authorization {}").format(sql.Identifier(role)))
        admin.execute(
            sql.SQL("grant create on database {} to {}").format(sql.Identifier(admin.info.dbname), sql.Identifier(role))
        )
    url = as_role(database_url, role)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table own.mine (a integer)")

    wanted = plan(url)
    applied = core.apply(url, wanted)

    assert ["may not create event triggers" in warning for warning in wanted.warnings] == [True]
    assert {step.table for step, _ in applied.failed} == {"public.theirs"}
    assert f"grant trigger on public.theirs to {role}" in applied.failed[0][1]
    assert states(url) == {"mine": "covered", "theirs": "missing"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into own.mine values (1)")
        assert connection.execute("select count(*) from pgevents.log").fetchone() == (1,)
    with connect(url, application_name="test") as connection:
        assert not core.apply(url, core.teardown_plan(connection)).failed


def test_functions_that_an_earlier_build_gave_away_are_the_owners_again(
    db: psycopg.Connection, built_database_url: str
) -> None:
    with suppress(psycopg.errors.DuplicateObject):
        db.execute("create role pgevents_capture")
    db.execute("alter function pgevents.capture_insert() owner to pgevents_capture")
    db.execute("grant usage on schema pgevents to pgevents_capture")
    db.execute("grant insert, select (id) on pgevents.statement to pgevents_capture")
    db.execute("grant usage on sequence pgevents.sleeper to pgevents_capture")
    db.execute(
        "drop index pgevents.failed_next, pgevents.secret_one; alter table pgevents.shape drop column key;"
        " drop type pgevents.origin cascade; alter table pgevents.event drop column context cascade;"
        " alter table pgevents.failed drop column discarded;"
        " alter table pgevents.consumer drop column paused_at, drop column next_call_at;"
        " delete from pgevents.migration where version >= 7"
    )
    for (table,) in db.execute("select conrelid::regclass::text from pg_constraint where conname = 'written_here'"):
        db.execute(f"alter table {table} drop constraint written_here".encode())

    assert not core.apply(built_database_url, plan(built_database_url)).failed
    # A function that was running as the role meanwhile has not failed its write.
    assert db.execute("select has_schema_privilege('pgevents_capture', 'pgevents', 'usage')").fetchone() == (True,)
    assert plan(built_database_url).steps == ()

    db.execute("update pgevents.migration set applied_at = applied_at - interval '2 minutes' where version = 7")
    assert not core.apply(built_database_url, plan(built_database_url)).failed

    assert plan(built_database_url).steps == ()
    assert db.execute("select from pg_roles where rolname = 'pgevents_capture'").fetchone() is None


def test_a_grant_is_carried_out_though_a_table_failed_and_is_no_event(
    role: str, db: psycopg.Connection, built_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pg_events.triggers.apply.TRIES", 1)
    db.execute("create table t (a integer)")
    db.execute('drop trigger "00_pgevents_insert" on t')
    db.execute("delete from pgevents.event")
    with connect(built_database_url, application_name="test") as connection:
        wanted = core.Plan((*plan(built_database_url).steps, *core.grant_steps(connection, role, "reader")), 0)

    with db.transaction():
        db.execute("lock table t")
        applied = core.apply(built_database_url, wanted)

    assert len(applied.failed) == 1
    assert db.execute("select has_table_privilege(%s, 'pgevents.event', 'select')", [role]).fetchone() == (True,)
    assert db.execute("select has_table_privilege(%s, 'pgevents.event', 'insert')", [role]).fetchone() == (False,)
    assert db.execute("select count(*) from pgevents.log").fetchone() == (0,)


def test_a_build_that_mends_leaves_no_event(db: psycopg.Connection, built_database_url: str, build: Build) -> None:
    db.execute("create table t (a integer); create table u (a integer)")
    db.execute('alter table t disable trigger user; drop trigger "00_pgevents_delete" on u')
    db.execute("delete from pgevents.event")

    build(built_database_url)
    build(built_database_url, exclude=("u",))

    assert states(built_database_url, [], ["u"]) == {"t": "covered", "u": "excluded"}
    assert db.execute("select ddl from pgevents.log").fetchall() == []


def test_a_teardown_that_cannot_have_a_table_keeps_the_log_and_says_so(
    db: psycopg.Connection, built_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pg_events.triggers.apply.TRIES", 1)
    db.execute("create table t (a integer)")
    with connect(built_database_url, application_name="test") as connection:
        wanted = core.teardown_plan(connection)

    with db.transaction():
        db.execute("lock table t")
        applied = core.apply(built_database_url, wanted)

    assert "schema pgevents" in {step.object for step, _ in applied.failed}
    assert db.execute("select to_regclass('pgevents.event') is not null").fetchone() == (True,)


def test_what_came_from_another_cluster_is_not_built_upon(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("update pgevents.setting set value = '1' where name = 'system_identifier'")

    with pytest.raises(ForeignCursor, match="teardown"):
        plan(built_database_url)

    with connect(built_database_url, application_name="test") as connection:
        assert not core.apply(built_database_url, core.teardown_plan(connection)).failed
    assert plan(built_database_url).steps != ()
