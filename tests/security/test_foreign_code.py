"""No code of those who may write to a table, or own one, runs with the rights of the schema's owner."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pg_events.errors import UsageError
from tests.conftest import Build
from tests.postgres.choosing import BY_ROW

CapturedBy = Callable[[str], None]


@pytest.fixture
def mallory(db: psycopg.Connection) -> Iterator[str]:
    """A role that owns the schema `m`; what its code is called by stands in `m.seen`."""
    name = f"mallory_{db.info.backend_pid}"
    db.execute(f"create role {name} login; create schema m authorization {name}; set role {name}")
    db.execute(
        "create table m.seen (who name default current_user, what text);"
        "grant insert on m.seen to public; grant usage on schema m to public;"
        "create function m.see(what text) returns void language plpgsql as $$"
        " begin insert into m.seen (what) values (what); end $$"
    )
    db.execute("reset role")
    yield name
    db.execute(f"reset role; drop owned by {name} cascade; drop role {name}")


CAST = """
create type m.{name} as {definition};
create function m.{name}_json(m.{name}) returns json language plpgsql as $$
begin
    perform m.see('cast of {name}');
    return '"forged"';
end $$;
create cast (m.{name} as json) with function m.{name}_json(m.{name});
create function m.{name}_text(m.{name}) returns text language plpgsql as $$
begin
    perform m.see('text of {name}');
    return 'forged';
end $$;
create cast (m.{name} as text) with function m.{name}_text(m.{name}) as implicit;
"""


def seen(db: psycopg.Connection) -> list[Any]:
    return db.execute("select distinct who, what from m.seen").fetchall()


def rows(db: psycopg.Connection, table: str) -> list[Any]:
    found = db.execute(
        "select new_data::text from pgevents.log where table_name = %s and kind <> 'S' order by id", [table]
    )
    return [json.loads(row[0]) if row[0] else None for row in found.fetchall()]


@pytest.mark.parametrize("number", [1, 3])
def test_a_cast_to_json_is_not_called(
    db: psycopg.Connection, mallory: str, captured_by: CapturedBy, number: int
) -> None:
    db.execute(f"set role {mallory}")
    for name, definition in {"en": "enum ('x', 'y')", "ra": "range (subtype = float8)"}.items():
        db.execute(CAST.format(name=name, definition=definition))
    db.execute("create type m.co as (a integer, e m.en, l m.en[]); create domain m.dom as m.en")
    db.execute("create table m.t (e m.en, l m.en[], r m.ra, c m.co, cs m.co[], d m.dom, n integer)")
    db.execute("reset role")
    captured_by("m.t")
    db.execute(f"set role {mallory}")

    db.execute(
        "insert into m.t select 'x'::m.en, '{x,y}'::m.en[], '[1,2)'::m.ra, row(1, 'y', '{x}')::m.co,"
        " array[row(2, 'x', null)::m.co], 'y'::m.dom, n from generate_series(1, %s) n",
        [number],
    )
    db.execute("update m.t set e = 'y'; delete from m.t")
    db.execute(
        "set array_nulls = off; insert into m.t (l) values (array['x', null]::m.en[]); reset role; set array_nulls = on"
    )

    assert seen(db) == []
    assert rows(db, "t").pop()["l"] == ["x", None]
    composite = {"a": 1, "e": "y", "l": ["x"]}
    first = rows(db, "t")[0]
    assert first == {
        "e": "x", "l": ["x", "y"], "r": "[1,2)", "c": composite, "cs": [{"a": 2, "e": "x", "l": None}], "d": "y", "n": 1
    }  # fmt: skip
    assert len(rows(db, "t")) == 3 * number + 1


def test_a_column_of_another_type_is_noticed_though_no_event_trigger_fires(
    db: psycopg.Connection, mallory: str, captured_by: CapturedBy
) -> None:
    db.execute("drop event trigger pgevents_schema_changed; drop event trigger pgevents_schema_dropped")
    db.execute(f"create table m.t (id integer, v text); alter table m.t owner to {mallory}")
    db.execute("select pgevents.cover('m.t'::regclass, false)")
    captured_by("m.t")
    db.execute(f"set role {mallory}")
    for _ in range(8):  # often enough for the plans to be kept
        db.execute("insert into m.t values (1, 'x')")

    db.execute(CAST.format(name="en", definition="enum ('x', 'y')"))
    db.execute("alter table m.t alter column v type m.en using 'x'::m.en, add column w m.en default 'y'")
    db.execute("insert into m.t values (2, 'x'); insert into m.t values (3, 'y'), (4, 'y'); update m.t set v = 'y'")

    db.execute("reset role")
    assert seen(db) == []
    assert rows(db, "t")[8] == {"id": 2, "v": "x", "w": "y"}


def test_each_table_has_its_own_verdict(db: psycopg.Connection, mallory: str) -> None:
    db.execute("create table plain (id integer)")
    db.execute(f"set role {mallory}; {CAST.format(name='en', definition='enum (' + chr(39) + 'x' + chr(39) + ')')}")
    db.execute("create table m.t (e m.en)")

    for _ in range(8):
        db.execute("insert into m.t values ('x')")
        db.execute("reset role; insert into plain values (1)")
        db.execute(f"set role {mallory}")

    db.execute("reset role")
    assert seen(db) == []
    assert rows(db, "t") == [{"e": "x"}] * 8


def test_options_and_conditions_meet_texts(
    db: psycopg.Connection, url: str, build: Build, mallory: str, captured_by: CapturedBy
) -> None:
    db.execute(f"set role {mallory}; {CAST.format(name='en', definition='enum (' + repr('x') + ',' + repr('y') + ')')}")
    db.execute("create table m.t (id integer, e m.en, secret m.en, hashed m.en)")
    db.execute("reset role")
    captured_by("m.t")
    build(
        url, redact={"m.t": {"secret": "mask", "hashed": "hash"}}, when={"m.t": "new.e = 'x'"}, skip_unchanged=("m.t",)
    )

    db.execute(
        f"set role {mallory}; insert into m.t values (1, 'x', 'x', 'x'); insert into m.t values (2, 'y', 'x', 'x')"
    )
    db.execute("insert into m.t select 3, 'x', 'y', 'y' from generate_series(1, 3); reset role")

    assert seen(db) == []
    found = rows(db, "t")
    assert [row["id"] for row in found] == [1, 3, 3, 3]
    assert found[0]["secret"] == "***"
    assert len(found[0]["hashed"]) == 32


@pytest.mark.parametrize(
    "condition",
    [
        "m.boom() = 1",
        "new.v operator(m.=) 'x'",
        "new.v = 'x'::m.dom",
        "new.v = m . dom 'x'",
        "new.v = cast('{x}' as \"m\".dom[])",
        "exists (select from public.orders)",
        "new.v = /* */ 'x'",
        "new.v = U&'x' uescape '!'",
    ],
)
def test_a_condition_cannot_leave_the_row(
    db: psycopg.Connection, url: str, build: Build, mallory: str, condition: str
) -> None:
    db.execute(
        f"set role {mallory}; create function m.boom() returns integer language sql as 'select 1 from m.see(''boom'')'"
    )
    db.execute(
        "create function m.check(text) returns boolean language plpgsql as $$ begin perform m.see('domain'); return true; end $$"
    )
    db.execute(
        "create domain m.dom as text check (m.check(value)); reset role; create table orders (id integer, v text)"
    )

    with pytest.raises(UsageError, match="PG_EVENTS_WHEN"):
        build(url, when={"orders": condition})

    assert seen(db) == []


def test_a_strangers_table_does_not_stop_the_build(
    db: psycopg.Connection, url: str, build: Build, mallory: str
) -> None:
    db.execute("create table orders (id integer, total numeric)")
    db.execute(f"set role {mallory}; create table m.x_orders (tags text); reset role")

    assert not build(url, when={"*orders": "new.total > 100"}).failed

    db.execute("insert into m.x_orders values ('x'); insert into orders values (1, 1), (2, 200)")
    assert rows(db, "x_orders") == [{"tags": "x"}]
    assert rows(db, "orders") == [{"id": 2, "total": 200}]


def test_a_condition_runs_only_if_a_build_was_told_it(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table orders (id integer, total numeric)")
    build(url, when={"orders": "new.total > 100"})

    db.execute("update pgevents.setting set value = '{}' where name = 'choices'")
    db.execute("insert into orders values (1, 1)")

    assert rows(db, "orders") == [{"id": 1, "total": 1}]


def test_a_failing_condition_says_no_value(db: psycopg.Connection, url: str, build: Build) -> None:
    notices: list[str] = []
    db.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    db.execute("create table cards (card text)")
    build(url, redact={"cards": {"card": "mask"}}, when={"cards": "new.card::int > 0"})

    db.execute("set client_min_messages = log; insert into cards values ('4111-SECRET')")

    assert rows(db, "cards") == [{"card": "***"}]
    assert any("its condition failed (22P02)" in notice for notice in notices)
    assert "4111" not in "".join(notices)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("change", ["add column e m.en default 'x'", "alter v type m.en using 'x'", "rename v to e"])
def test_a_snapshot_from_before_the_table_was_altered_calls_no_cast(
    db: psycopg.Connection, url: str, mallory: str, captured_by: CapturedBy, level: str, change: str
) -> None:
    db.execute(f"set role {mallory}; {CAST.format(name='en', definition='enum (' + chr(39) + 'x' + chr(39) + ')')}")
    db.execute("create table m.t (id integer, v text); reset role")
    captured_by("m.t")
    with psycopg.connect(url, autocommit=True) as old:
        old.execute(f"set role {mallory}; insert into m.t values (0, 'x')")
        old.execute(f"begin isolation level {level}; select".encode())
        db.execute(f"set role {mallory}; alter table m.t {change}".encode())
        old.execute("insert into m.t values (1, 'x')")
        old.execute("insert into m.t values (2, 'x'), (3, 'x')")
        old.execute("commit")

    db.execute("reset role")
    assert seen(db) == []
    assert [list(row.values())[:2] for row in rows(db, "t")] == [[0, "x"], ["1", "x"], ["2", "x"], ["3", "x"]]


def test_a_snapshot_from_before_a_change_of_no_account_loses_nothing(
    db: psycopg.Connection, url: str, mallory: str, captured_by: CapturedBy
) -> None:
    db.execute("create table m.t (id integer, l integer[], j jsonb, b boolean, v text, d date, s smallint)")
    captured_by("m.t")
    with psycopg.connect(url, autocommit=True) as old:
        old.execute("begin isolation level repeatable read; select")
        db.execute(f"grant select on m.t to {mallory}; alter table m.t add constraint c check (id > 0)")
        old.execute("""insert into m.t values (1, '{1,null}', '{"a": [1]}', true, 'x', '2026-01-01'); commit""")

    assert rows(db, "t")[-1] == {
        "id": 1, "l": [1, None], "j": {"a": [1]}, "b": True, "v": "x", "d": "2026-01-01", "s": None
    }  # fmt: skip


def test_a_block_that_alters_the_table_amid_its_rows_calls_no_cast(db: psycopg.Connection, mallory: str) -> None:
    """A long text is kept once, and which table's rows are plain with it."""
    db.execute(f"set role {mallory}; {CAST.format(name='en', definition='enum (' + chr(39) + 'x' + chr(39) + ')')}")
    db.execute("create table m.t (id integer); reset role")
    db.execute(BY_ROW.format("m.t").encode())
    db.execute(
        f"set role {mallory}; do $$ begin insert into m.t values (1); alter table m.t add column e m.en;"
        f" insert into m.t values (2, 'x'), (3, 'x'); end $$ -- {'x' * 200}"
    )

    db.execute("reset role")
    assert seen(db) == []
    assert rows(db, "t") == [{"id": 1}, {"id": 2, "e": "x"}, {"id": 3, "e": "x"}]


def test_the_schema_of_a_table_made_with_rows_keeps_its_name_until_the_rows_are_read(
    db: psycopg.Connection, url: str, mallory: str
) -> None:
    """Its owner could give the name to another schema, with a view of that name in it."""
    database = db.info.dbname
    db.execute(
        f"grant create on database {database} to {mallory}; set role {mallory}; set lock_timeout = '100ms'".encode()
    )
    with psycopg.connect(url) as maker:
        maker.execute(f"set role {mallory}; create table m.made as select 1 as id".encode())
        with pytest.raises(psycopg.errors.LockNotAvailable):
            db.execute("alter schema m rename to other")

    db.execute("reset lock_timeout; reset role")
    assert rows(db, "made") == [{"id": 1}]
