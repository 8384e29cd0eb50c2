-- The schema, the log, and who has read how far. One object after another; a released file is never edited.

create schema pgevents;
revoke all on schema pgevents from public;

-- Which of these files were run. The version of the schema is the highest one.
create table pgevents.migration (
    version integer primary key,
    name text not null,
    applied_at timestamptz not null default now()
);

-- What the build was told, and what it must remember: patterns, limits, the cluster it was made on.
create table pgevents.setting (
    name text primary key,
    value text not null
);

-- Functions and event triggers as they were installed. `source` is the digest of the file they came from, `definition`
-- that of what the database made of it: the first differs when the release has moved on, the second when somebody
-- changed the object by hand. A comment would not do: pg_dump --no-comments loses it.
create table pgevents.installed (
    name text primary key,
    source text not null,
    definition text not null
);

create sequence pgevents.event_id;

-- A client's SQL text that is long, or that changed many rows: kept once, not once a row.
create table pgevents.statement (
    id bigint not null default nextval('pgevents.event_id'::regclass),
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default statement_timestamp(),
    query text not null
);
create unique index statement_id on pgevents.statement (id);
create index statement_at on pgevents.statement using brin (at);

-- The log. `id` is drawn when the change is made, under the row's lock: within one row ids have the order of the
-- changes. It is drawn before the commit: across transactions ids say nothing about what became visible first.
create table pgevents.event (
    id bigint not null default nextval('pgevents.event_id'::regclass),
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default statement_timestamp(),
    statement_id bigint,
    kind "char" not null,
    table_schema text,
    table_name text,
    session_user_name text default session_user,
    application_name text default current_setting('application_name'),
    query text,
    old_data json,
    new_data json,
    ddl json
);
-- Pages inside a window, and single events.
create unique index event_id_index on pgevents.event (id);
-- What became visible: new transactions, and those that were running at the last look, each in the order of its ids.
create index event_xid on pgevents.event (xid, id);
-- Rows are inserted and deleted, never updated: only the wrap-around and the clean-up after pruning need vacuum.
alter table pgevents.event set (
    autovacuum_vacuum_insert_scale_factor = 0.5,
    autovacuum_analyze_scale_factor = 0.5,
    toast_tuple_target = 4080
);

-- Seconds since 1970 until which somebody sleeps and wants to be woken. A sequence is outside transactions: no
-- lock, no transaction id, nothing in the write-ahead log. It runs out by itself, so a killed worker mutes nobody.
create unlogged sequence pgevents.sleeper minvalue 0 start 0;
do $do$ begin perform setval('pgevents.sleeper', 0); end $do$;

-- A consumer reads the log at its own pace. `snapshot`: everything visible in it has been delivered. While a large
-- window is being worked off, `window_end` is the snapshot it leads to and `position` the last event delivered in it.
create table pgevents.consumer (
    name text primary key,
    snapshot pg_snapshot not null,
    window_end pg_snapshot,
    position bigint not null default 0,
    system_identifier text not null,
    -- Fencing: whoever takes the cursor raises the token; a save with an older one changes nothing.
    token bigint not null default 0,
    holder text,
    holder_pid integer,
    holder_since timestamptz,
    lease_until timestamptz not null default '-infinity',
    delivered bigint not null default 0,
    failed bigint not null default 0,
    saved_at timestamptz,
    created_at timestamptz not null default now()
) with (fillfactor = 50);

-- Events whose callback gave up, with all that is needed to try again after the log was pruned.
create table pgevents.failed (
    consumer text not null,
    event_id bigint not null,
    payload text not null,
    attempts integer not null,
    error text not null,
    traceback text not null,
    failed_at timestamptz not null default clock_timestamp(),
    primary key (consumer, event_id)
);

-- The columns of every table at its last DDL: what a difference is taken from.
create table pgevents.shape (
    relation oid primary key,
    table_schema text not null,
    table_name text not null,
    columns json not null
);
