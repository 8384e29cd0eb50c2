"""The designs that are compared: one table each, equal but for what hangs on it."""

from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers import build

VARIANTS: Final = ("none", "pg_events", "notify", "audit", "floor")

EXPLAINED: Final = {
    "none": "no trigger",
    "pg_events": "what pg_events build installs; where it is read at once, by a worker",
    "notify": "the common design: a row trigger that puts old, new and query into NOTIFY",
    "audit": "a row trigger into a table with jsonb columns and an index, as audit tools do",
    "floor": "the least that writes such a row: row triggers, a copy of the log with its indexes, nothing looked at",
}

_TABLE: Final = SQL("""
create table {table} (
    id bigint generated always as identity primary key,
    customer integer, status text, total numeric(12, 2), note text,
    created timestamptz default now(), updated timestamptz default now(), amount integer, paid boolean, details jsonb
)
""")

_TRIGGERS: Final = """
create function bench.notify_all() returns trigger language plpgsql as $f$
begin
    perform pg_notify('bench', json_build_object(
        'table', tg_table_name, 'op', tg_op, 'query', current_query(),
        'old', case when tg_op <> 'INSERT' then row_to_json(old) end,
        'new', case when tg_op <> 'DELETE' then row_to_json(new) end
    )::text);
    return null;
end
$f$;
create trigger notify after insert or update or delete on bench.notify for each row execute function bench.notify_all();

create table bench.audit_log (
    id bigint generated always as identity primary key, at timestamptz default clock_timestamp(), who text default session_user,
    xid bigint default txid_current(), table_name text, op text, old_row jsonb, new_row jsonb, query text
);
create index on bench.audit_log (table_name, at);
create function bench.audit_row() returns trigger language plpgsql security definer as $f$
begin
    insert into bench.audit_log (table_name, op, old_row, new_row, query)
    values (
        tg_table_name, tg_op, case when tg_op <> 'INSERT' then to_jsonb(old) end,
        case when tg_op <> 'DELETE' then to_jsonb(new) end, current_query()
    );
    return null;
end
$f$;
create trigger audit after insert or update or delete on bench.audit for each row execute function bench.audit_row();

create table bench.floor_log (like pgevents.event including all);
create function bench.floor_insert() returns trigger language plpgsql as $f$
begin
    insert into bench.floor_log (kind, table_schema, table_name, query, new_data)
    values ('I', tg_table_schema, tg_table_name, left(current_query(), 8192), row_to_json(new));
    return null;
end
$f$;
create function bench.floor_update() returns trigger language plpgsql as $f$
begin
    insert into bench.floor_log (kind, table_schema, table_name, query, old_data, new_data)
    values ('U', tg_table_schema, tg_table_name, left(current_query(), 8192), row_to_json(old), row_to_json(new));
    return null;
end
$f$;
create function bench.floor_delete() returns trigger language plpgsql as $f$
begin
    insert into bench.floor_log (kind, table_schema, table_name, query, old_data)
    values ('D', tg_table_schema, tg_table_name, left(current_query(), 8192), row_to_json(old));
    return null;
end
$f$;
create trigger floor_insert after insert on bench.floor for each row execute function bench.floor_insert();
create trigger floor_update after update on bench.floor for each row execute function bench.floor_update();
create trigger floor_delete after delete on bench.floor for each row execute function bench.floor_delete();
"""

FILL: Final = SQL(
    "insert into {table} (customer, status, total, note, amount, paid, details)"
    " select i, 'new', i * 1.25, 'leave it at the door', i % 9, false, '{{\"sku\": \"A7\"}}' from generate_series(1, {rows}) i"
)

LOGS: Final = {
    "pg_events": ("pgevents.event", "pgevents.statement"),
    "audit": ("bench.audit_log",),
    "floor": ("bench.floor_log",),
}
"""Where a variant's events are kept."""


def table(variant: str) -> Identifier:
    return Identifier("bench", variant)


def install(connection: psycopg.Connection, url: str) -> None:
    """All variants into an empty database."""
    connection.execute("create schema bench")
    for variant in VARIANTS:
        connection.execute(_TABLE.format(table=table(variant)))
    settings = Settings(database_url=url, include=("bench.pg_events",))
    with connect(url, application_name="bench") as other:
        applied = build.apply(url, build.make_plan(other, settings))
    assert not applied.failed, applied.failed
    connection.execute(_TRIGGERS)


def clear(connection: psycopg.Connection) -> None:
    """Every table and every log empty, nothing left for the next checkpoint."""
    for variant in VARIANTS:
        connection.execute(SQL("truncate {} restart identity").format(table(variant)))
    for log in [name for names in LOGS.values() for name in names]:
        connection.execute(SQL("truncate {}").format(Identifier(*log.split("."))))
    connection.execute("checkpoint")
