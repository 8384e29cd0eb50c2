"""The promises of the documentation that are the triggers' and the build's to keep."""

import json
import threading
from collections.abc import Iterator

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.event import json_object
from pg_events.log.listener import EVERYTHING, Cursor, Listener
from pg_events.triggers import build, catalog
from pg_events.triggers.plan import Plan


@pytest.fixture
def shop(built_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key, name text)")
        yield connection


def events(url: str) -> list[dict]:
    """Every data event of the database, in order."""
    with Listener(url, Cursor(EVERYTHING)) as listener:
        return [json_object(record.payload) for page in listener.pages() for record in page if record.kind != "S"]


def schema_events(url: str) -> list[dict]:
    with Listener(url, Cursor(EVERYTHING)) as listener:
        return [json.loads(record.payload) for page in listener.pages() for record in page if record.kind == "S"]


def plan_of(url: str, **settings: object) -> Plan:
    with connect(url, application_name="test") as connection:
        return build.make_plan(connection, Settings(database_url=url, **settings))  # type: ignore[arg-type]


def rebuild(url: str, **settings: object) -> build.Applied:
    return build.apply(url, plan_of(url, **settings))


# --- 1: recorded in the same transaction; size never fails it -----------------------------------------------------


def test_a_row_of_50_mb_is_an_event_like_any_other(shop: psycopg.Connection, built_database_url: str) -> None:
    shop.execute("insert into item values (1, repeat('x', 50 * 1024 * 1024))")

    (event,) = events(built_database_url)

    assert len(event["new_data"]["name"]) == 50 * 1024 * 1024


@pytest.mark.parametrize("rows", [5_000, 50_000])
def test_a_long_values_statement_is_captured_and_its_text_is_kept_once(
    shop: psycopg.Connection, built_database_url: str, rows: int
) -> None:
    shop.execute("insert into item values " + ", ".join(f"({number}, 'x')" for number in range(rows)))

    found = events(built_database_url)

    assert [event["new_data"]["id"] for event in found] == list(range(rows))
    assert {len(event["query"]) for event in found} == {8192}
    assert shop.execute("select count(*) from pgevents.statement").fetchone() == (1,)


def test_a_loop_of_single_rows_in_a_long_block_keeps_its_text_once(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    shop.execute(
        "do $$ begin for i in 1..500 loop insert into item values (i, 'x'); end loop; end $$ -- " + "long " * 10_000
    )

    assert len(events(built_database_url)) == 500
    assert shop.execute("select count(*) from pgevents.statement").fetchone() == (1,)


def test_eleven_equal_changes_in_one_transaction_are_eleven_events(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    shop.execute("insert into item values (1, 'x')")
    with shop.transaction():
        for _ in range(11):
            shop.execute("update item set name = 'x' where id = 1")

    found = events(built_database_url)

    assert len(found) == 12
    assert len({event["xid"] for event in found}) == 2


def test_what_is_rolled_back_is_no_event(shop: psycopg.Connection, built_database_url: str) -> None:
    with shop.transaction(), shop.transaction(force_rollback=True):
        shop.execute("insert into item values (1, 'x')")
    shop.execute("insert into item values (2, 'x')")

    assert [event["new_data"]["id"] for event in events(built_database_url)] == [2]


VALUES = """
    'NaN'::numeric as nan, 'Infinity'::float8 as endless, 1.10::numeric as digits, 0.1::float8 as tenth,
    '{"a": "\\u0000"}'::json as doc, '0044-03-15 BC'::date as ides, 'infinity'::timestamptz as forever, '😀'::text as face,
    '\\x00ff'::bytea as bytes, interval '1 year 2 days' as span, '[2026-01-02,2026-02-03)'::daterange as days,
    array[1, null, 3] as list, 12345678901234567890.5::numeric as large, true as yes
"""


@pytest.mark.parametrize(
    "session",
    [
        "",
        "set bytea_output = escape; set IntervalStyle = iso_8601; set DateStyle = 'German, DMY'",
        "set extra_float_digits = -5; set IntervalStyle = sql_standard; set TimeZone = 'Asia/Kolkata'",
    ],
)
def test_values_are_spelt_the_same_whatever_the_writers_settings(
    shop: psycopg.Connection, built_database_url: str, session: str
) -> None:
    shop.execute(f"create table value as select {VALUES} limit 0")
    with psycopg.connect(built_database_url, autocommit=True) as writer:
        before = None
        for command in filter(None, session.split("; ")):
            writer.execute(command)
        before = dict(writer.execute("select name, setting from pg_settings").fetchall())
        writer.execute(f"insert into value select {VALUES}")
        after = dict(writer.execute("select name, setting from pg_settings").fetchall())

    (event,) = events(built_database_url)

    assert {name: str(value) for name, value in event["new_data"].items()} == {
        "nan": "NaN", "endless": "Infinity", "digits": "1.10", "tenth": "0.1", "doc": "{'a': '\\x00'}",
        "ides": "0044-03-15 BC", "forever": "infinity", "face": "😀", "bytes": "\\x00ff", "span": "1 year 2 days",
        "days": "[2026-01-02,2026-02-03)", "list": "[1, None, 3]", "large": "12345678901234567890.5", "yes": "True",
    }  # fmt: skip
    assert {name: after[name] for name in before} == before


def test_a_writer_without_any_right_here_is_captured_and_cannot_forge(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    name = f"writer_{shop.info.backend_pid}"
    shop.execute(f"create role {name}; grant insert on item to {name}; grant create on schema public to {name}")
    try:
        shop.execute(f"set role {name}")
        # What would shadow ours if the path of names were the writer's.
        shop.execute("create temp table event (id int); set search_path = pg_temp, public")
        shop.execute("insert into public.item values (1, 'x')")
        shop.execute("create table public.bait (id integer)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shop.execute("select * from pgevents.log")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shop.execute(
                "create trigger forged after insert on public.bait for each statement execute function pgevents.capture()"
            )
    finally:
        shop.execute("reset role; reset search_path")
        shop.execute(f"drop owned by {name}; drop role {name}")

    assert [event["table_name"] for event in events(built_database_url)] == ["item"]


# --- what is one event --------------------------------------------------------------------------------------------


def test_every_way_of_writing_gives_one_event_a_row_with_the_right_pair(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    shop.execute("create table part (id integer primary key, item integer references item on delete cascade)")
    with shop.cursor().copy("copy item from stdin") as copy:
        copy.write("1\ta\n2\tb\n3\tc\n")
    shop.execute("insert into item values (1, 'A'), (4, 'd') on conflict (id) do update set name = excluded.name")
    shop.execute("insert into part values (10, 1), (11, 2)")
    shop.execute(
        "merge into item using (values (2, 'B'), (5, 'e')) v (id, name) on item.id = v.id"
        " when matched then update set name = v.name when not matched then insert values (v.id, v.name)"
    )
    shop.execute("with gone as (delete from item where id = 1 returning *) insert into item select 6, name from gone")
    shop.execute("update item set name = name where id > 1000")
    shop.execute("truncate item cascade")

    found = [
        (
            event["method"][0],
            event["table_name"],
            (event.get("old_data") or {}).get("id"),
            (event.get("new_data") or {}).get("id"),
        )
        for event in events(built_database_url)
    ]

    assert sorted(found, key=repr) == sorted(
        [
            ("I", "item", None, 1), ("I", "item", None, 2), ("I", "item", None, 3),
            ("U", "item", 1, 1), ("I", "item", None, 4), ("I", "part", None, 10), ("I", "part", None, 11),
            ("U", "item", 2, 2), ("I", "item", None, 5), ("D", "item", 1, None), ("D", "part", 10, None),
            ("I", "item", None, 6), ("T", "item", None, None), ("T", "part", None, None),
        ],
        key=repr,
    )  # fmt: skip


@pytest.mark.parametrize("type_name", ["integer", "pair"])
def test_columns_may_have_any_name(shop: psycopg.Connection, built_database_url: str, type_name: str) -> None:
    names = (
        "n",
        "o",
        "r",
        "c",
        "new_rows",
        "old_rows",
        "data",
        "number",
        "query",
        "kind",
        "_query",
        "_text",
        "_many",
        "new",
        "old",
    )
    value = {"integer": "1", "pair": "row(1, 2)"}[type_name]
    shop.execute("create type pair as (x integer, y integer)")
    shop.execute(f"create table named (id integer, {', '.join(f'{name} {type_name}' for name in names)})")
    shop.execute(
        f"insert into named values (1, {', '.join([value] * len(names))}), (2, {', '.join([value] * len(names))})"
    )
    shop.execute("update named set id = id + 10")
    shop.execute("update named set id = id + 10 where id = 11")
    shop.execute("delete from named")

    found = events(built_database_url)

    assert [event["method"][0] for event in found] == ["I", "I", "U", "U", "U", "D", "D"]
    for event in found:
        for side in ("old_data", "new_data"):
            assert side not in event or list(event[side]) == ["id", *names]


def test_a_large_update_after_a_small_one_pairs_old_with_new(shop: psycopg.Connection, built_database_url: str) -> None:
    shop.execute("insert into item select i, 'x' from generate_series(1, 20000) i")
    for _ in range(7):  # a cached plan made for one row must not be used to join twenty thousand
        shop.execute("update item set name = 'y' where id = 1")
    shop.execute("update item set name = id::text")

    updates = [event for event in events(built_database_url) if event["method"] == "UPDATE"]

    assert len(updates) == 20_007
    assert all(event["old_data"]["id"] == event["new_data"]["id"] for event in updates)


def test_a_users_trigger_that_changes_the_row_again_keeps_the_order(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    shop.execute(
        "create function again() returns trigger language plpgsql as"
        " $$ begin update item set name = name || '!' where id = new.id; return null; end $$"
    )
    shop.execute("create trigger zz after insert on item for each row execute function again()")
    shop.execute("insert into item values (1, 'a'), (2, 'b')")

    rows = [
        (event["method"], event["new_data"]["name"])
        for event in events(built_database_url)
        if event["new_data"]["id"] == 1
    ]

    assert rows == [("INSERT", "a"), ("UPDATE", "a!")]


def test_partitions_give_one_event_a_row_under_the_roots_name(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    shop.execute("create table log (id integer, kind text) partition by list (kind)")
    shop.execute("create table log_a partition of log for values in ('a')")
    shop.execute("create table log_rest partition of log default")
    shop.execute("insert into log values (1, 'a'), (2, 'b')")
    shop.execute("insert into log_a values (3, 'a')")
    shop.execute("update log set kind = 'c' where id = 1")
    shop.execute("delete from log_rest where id = 2")
    shop.execute("truncate log_a")
    shop.execute("truncate log")

    found = [(event["method"], event["table_name"]) for event in events(built_database_url)]

    assert found == [
        ("INSERT", "log"), ("INSERT", "log"), ("INSERT", "log"), ("UPDATE", "log"), ("DELETE", "log"),
        ("TRUNCATE", "log_a"), ("TRUNCATE", "log"),
    ]  # fmt: skip


@pytest.mark.parametrize("ids", [(1,), (1, 2, 3)])
def test_a_row_dropped_by_a_trigger_while_it_moves_is_never_paired_with_another(
    shop: psycopg.Connection, built_database_url: str, ids: tuple[int, ...]
) -> None:
    shop.execute("create table log (id integer, kind text) partition by list (kind)")
    shop.execute("create table log_a partition of log for values in ('a')")
    shop.execute("create table log_b partition of log for values in ('b')")
    shop.execute(
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin if new.id = 1 then return null; end if; return new; end $$"
    )
    shop.execute("create trigger refuse before insert on log_b for each row execute function refuse()")
    for number in ids:
        shop.execute("insert into log values (%s, 'a')", [number])
    shop.execute("update log set kind = 'b'")

    rows: dict[int, str] = {}
    for event in events(built_database_url):
        if "old_data" in event:
            del rows[event["old_data"]["id"]]
        if "new_data" in event:
            rows[event["new_data"]["id"]] = event["new_data"]["kind"]

    assert rows == dict(shop.execute("select id, kind from log").fetchall())
    assert all(
        event["old_data"]["id"] == event["new_data"]["id"]
        for event in events(built_database_url)
        if event["method"] == "UPDATE"
    )


# --- schema events ------------------------------------------------------------------------------------------------


def test_ddl_is_recorded_with_the_columns_difference_and_covers_new_tables(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    with shop.transaction():
        shop.execute("create table fresh (id integer, old_name text)")
        shop.execute("insert into fresh values (1, 'x')")
    shop.execute("alter table fresh add column price numeric(8,2) not null default 0")
    shop.execute("alter table fresh rename column old_name to new_name")
    shop.execute("alter table fresh drop column price")
    shop.execute("drop table fresh")

    assert [event["table_name"] for event in events(built_database_url)] == ["fresh"]
    tables = [
        (event["command_tag"], event["columns"])
        for event in schema_events(built_database_url)
        if "columns" in event and "fresh" in event["object_identity"]
    ]
    assert [tag for tag, _ in tables] == ["CREATE TABLE", "ALTER TABLE", "ALTER TABLE", "ALTER TABLE", "DROP TABLE"]
    assert tables[1][1]["added"] == [{"name": "price", "type": "numeric(8,2)"}]
    assert tables[2][1]["changed"][0]["old_name"] == "old_name"
    assert tables[3][1]["removed"] == [{"name": "price", "type": "numeric(8,2)"}]


def test_a_failure_of_ours_never_fails_the_users_ddl(shop: psycopg.Connection, built_database_url: str) -> None:
    shop.execute("alter table pgevents.event rename column ddl to elsewhere")
    notices: list[str] = []
    shop.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary or ""))

    shop.execute("create table still (id integer)")

    assert shop.execute("select to_regclass('still') is not null").fetchone() == (True,)
    assert any("pg_events could not record" in notice for notice in notices)


# --- 6: build -----------------------------------------------------------------------------------------------------


def test_a_second_build_changes_nothing_and_takes_no_lock(shop: psycopg.Connection, built_database_url: str) -> None:
    shop.execute(
        'create table "we ird ""T"".50%" (id integer); create view v as select 1; create table "UPPER" (id integer)'
    )
    shop.execute(
        f'create table "{"n" * 63}" (id integer); create unlogged table u (id integer); create temp table t (id integer)'
    )
    with psycopg.connect(built_database_url) as holder:
        holder.execute("lock table item, u in access exclusive mode")

        plan = plan_of(built_database_url)
        applied = build.apply(built_database_url, plan)

    assert (plan.steps, applied.applied) == ((), 0)
    states = {table.name: table.state for table in catalog.tables(shop)}
    assert {name for name, state in states.items() if state != "covered"} == {"v"}


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        ('drop trigger "00_pgevents_update" on item', "partial"),
        ("alter table item disable trigger all", "disabled"),
        (
            'create or replace trigger "00_pgevents_delete" after delete on item for each statement execute function other()',
            "outdated",
        ),
    ],
)
def test_drift_is_seen_and_mended(shop: psycopg.Connection, built_database_url: str, damage: str, state: str) -> None:
    shop.execute("create function other() returns trigger language plpgsql as $$ begin return null; end $$")
    shop.execute("set session_replication_role = replica")  # keep event triggers out of it
    shop.execute(damage)

    (drifted,) = (table for table in catalog.tables(shop) if table.name == "item")
    rebuild(built_database_url)
    (mended,) = (table for table in catalog.tables(shop) if table.name == "item")

    assert (drifted.state, mended.state) == (state, "covered")


def test_a_function_changed_by_hand_is_put_back(shop: psycopg.Connection, built_database_url: str) -> None:
    shop.execute(
        "create or replace function pgevents.capture() returns trigger language plpgsql as $$ begin return null; end $$"
    )

    plan = plan_of(built_database_url)
    build.apply(built_database_url, plan)
    shop.execute("insert into item values (1, 'x')")

    assert [(step.action, step.object, step.reason) for step in plan.steps] == [
        ("replace", "function pgevents.capture()", "changed by hand since the last build")
    ]
    assert len(events(built_database_url)) == 1


def test_excluded_tables_lose_their_triggers_and_new_ones_get_none(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    rebuild(built_database_url, exclude=("public.it*", "*_50%"))
    shop.execute("create table items (id integer); create table a_50x (id integer)")

    states = {table.name: table.state for table in catalog.tables(shop, (), ("public.it*", "*_50%"))}

    assert states == {"item": "excluded", "items": "excluded", "a_50x": "covered"}
    assert shop.execute("select count(*) from pg_trigger where tgrelid = 'items'::regclass").fetchone() == (0,)


def test_a_busy_table_is_done_when_it_is_free_and_the_others_before(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    shop.execute("create table a (id integer); create table z (id integer)")
    for table in ("a", "z"):
        shop.execute(f'drop trigger "00_pgevents_insert" on {table}')
    order: list[str | None] = []
    waited = threading.Event()
    busy = psycopg.connect(built_database_url)
    busy.execute("insert into a values (1)")

    def on_step(step: object, outcome: str) -> None:
        if outcome == "waiting":
            if not waited.is_set() and order:
                busy.commit()
            waited.set()
        elif step.table:  # type: ignore[attr-defined]
            order.append(step.table)  # type: ignore[attr-defined]
            busy.commit()

    applied = build.apply(built_database_url, plan_of(built_database_url), on_step, lock_timeout_seconds=0.05)
    busy.close()

    assert waited.is_set()
    assert order == ["public.z", "public.a"]
    assert not applied.failed


def test_teardown_leaves_nothing_behind(database_url: str) -> None:
    def everything(connection: psycopg.Connection) -> list[tuple]:
        return connection.execute(
            "select 'class', relname::text from pg_class union all select 'proc', proname from pg_proc"
            " union all select 'trigger', tgname from pg_trigger union all select 'event trigger', evtname from pg_event_trigger"
            " union all select 'schema', nspname from pg_namespace union all select 'type', typname from pg_type order by 1, 2"
        ).fetchall()

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer); create table p (id integer) partition by hash (id)")
        connection.execute("create table p0 partition of p for values with (modulus 1, remainder 0)")
        before = everything(connection)
        rebuild(database_url)
        assert everything(connection) != before

        with connect(database_url, application_name="test") as other:
            removal = build.teardown_plan(other)
        build.apply(database_url, removal)

        assert everything(connection) == before


# --- 7: reading ---------------------------------------------------------------------------------------------------


def test_a_role_that_was_granted_reading_can_listen_and_nothing_else(
    shop: psycopg.Connection, built_database_url: str
) -> None:
    name = f"reader_{shop.info.backend_pid}"
    shop.execute(f"create role {name} login")
    try:
        with connect(built_database_url, application_name="test") as connection:
            steps = build.grant_steps(connection, name, "reader")
        build.apply(built_database_url, Plan(tuple(steps), 0))
        shop.execute("insert into item values (1, 'x')")
        as_reader = built_database_url.replace("postgres@", f"{name}@")

        assert len(events(as_reader)) == 1
        with psycopg.connect(as_reader) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("delete from pgevents.event")
    finally:
        shop.execute(f"drop owned by {name}; drop role {name}")
