"""A log of an earlier release, built by this one: nothing lost, nothing twice, and as if it had been made by this one."""

import json
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker
from tests.conftest import Build
from tests.waiting import PATIENCE_SECONDS

SCHEMAS = Path(__file__).with_name("schemas")
VERSIONS = sorted(int(path.stem) for path in SCHEMAS.glob("[0-9]*.sql"))

STRUCTURE = """
select c.relname || ' ' || c.relkind::text, a.attnum::text, a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || ' ' || a.attnotnull || ' ' || coalesce(
        regexp_replace(pg_get_expr(d.adbin, d.adrelid), '^''[0-9a-f]{8}''(::pgevents[.]origin)$', '''''\\1'), ''
    )
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'pgevents'::regnamespace and c.relkind in ('r', 'v')
union all
select c.relname, 'index', pg_get_indexdef(c.oid) from pg_class c
where c.relnamespace = 'pgevents'::regnamespace and c.relkind = 'i'
union all
select p.proname, 'function', pg_get_functiondef(p.oid) from pg_proc p where p.pronamespace = 'pgevents'::regnamespace
union all
select c.conname, 'constraint', pg_get_constraintdef(c.oid) from pg_constraint c
where c.connamespace = 'pgevents'::regnamespace and c.contype <> 'n'
"""


def structure(db: psycopg.Connection) -> set[Any]:
    """Without the columns' numbers: an earlier release had others between them."""
    db.execute("set search_path = pg_catalog")
    return {
        (name, kind if not kind.isdigit() else "", text)
        for name, kind, text in db.execute(STRUCTURE.encode()).fetchall()
    }


def consumer(db: psycopg.Connection, version: int) -> None:
    """One that was given all that is visible now, as that release noted it."""
    if version < 3:
        db.execute(
            "insert into pgevents.consumer (name, snapshot, system_identifier)"
            " select 'default', pg_current_snapshot(), system_identifier from pg_control_system()"
        )
        return
    db.execute(
        "insert into pgevents.consumer (name, system_identifier) select 'default', system_identifier from pg_control_system()"
    )
    db.execute(
        "insert into pgevents.share (consumer, slots, snapshot)"
        " select 'default', array(select generate_series(0, 63)), pg_current_snapshot()"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build_over_an_earlier_release_loses_nothing(
    database_url: str, built_database_url: str, build: Build, version: int
) -> None:
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute((SCHEMAS / f"{version}.sql").read_bytes())
        db.execute(
            "update pgevents.setting set value = (select system_identifier::text from pg_control_system())"
            " where name = 'system_identifier'"
        )
        db.execute("insert into item select n, 'before' from generate_series(-9, 0) n")
        consumer(db, version)
        db.execute(
            "insert into item select n, 'old' from generate_series(1, 150) n; update item set v = 'older' where id = 1"
        )
        stop, written = threading.Event(), []

        def write() -> None:
            with psycopg.connect(database_url, autocommit=True) as writer:
                while not stop.is_set():
                    written.append(len(written))
                    writer.execute("insert into tree values (1, %s)", [str(len(written))])

        thread = threading.Thread(target=write)
        thread.start()
        try:
            first = build(database_url)
            second = build(database_url)
        finally:
            stop.set()
            thread.join(PATIENCE_SECONDS)
        db.execute("insert into item values (151, 'new'); update item set v = 'newest' where id = 1")

    assert not first.failed
    assert not second.failed
    got: list[Any] = []
    Worker(Settings(database_url, data_update_callback=lambda payload: got.append(json.loads(payload)))).run(once=True)
    items = [event for event in got if event["table_name"] == "item"]
    assert len({event["id"] for event in got}) == len(got)
    assert [event["new_data"]["id"] for event in items if event["method"] == "INSERT"] == list(range(1, 152))
    assert [event["new_data"]["v"] for event in items if event["method"] == "UPDATE"] == ["older", "newest"]
    assert [event["new_data"]["v"] for event in got if event["table_name"] == "tree"] == [str(n + 1) for n in written]
    assert [event["id"] for event in items] == sorted(event["id"] for event in items)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_build_makes_of_it_is_what_it_makes_at_first(
    database_url: str, built_database_url: str, build: Build, version: int
) -> None:
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute((SCHEMAS / f"{version}.sql").read_bytes())
        db.execute(
            "update pgevents.setting set value = (select system_identifier::text from pg_control_system())"
            " where name = 'system_identifier'"
        )
    assert not build(database_url).failed

    with psycopg.connect(database_url) as one, psycopg.connect(built_database_url) as other:
        for setting in one.execute("select name, value from pgevents.setting where name in ('id_base', 'id_room')"):
            other.execute(
                "insert into pgevents.setting values (%s, %s) on conflict (name) do update set value = excluded.value",
                setting,
            )
        other.execute(sql.text("install/00_new_id.sql"))
        assert structure(one) == structure(other)
