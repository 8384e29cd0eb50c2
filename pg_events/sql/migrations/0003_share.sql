-- Several workers share a consumer: each holds a share of the rows, with a cursor of its own.

-- A running worker. Its id is drawn anew with each connection and fences: what a worker that was taken for dead would
-- save under its old id changes nothing.
create table pgevents.worker (
    id bigint generated always as identity primary key,
    consumer text not null references pgevents.consumer (name) on update cascade on delete cascade,
    name text not null,
    -- Null behind a pooler: there the connection says nothing about the worker, and its lease alone counts.
    backend_pid integer,
    backend_start timestamptz,
    started_at timestamptz not null default clock_timestamp(),
    lease_until timestamptz not null
) with (fillfactor = 50);
create index worker_consumer on pgevents.worker (consumer);

-- A worker runs while its lease does and its connection lives. A role that is not shown when a connection began
-- believes its number.
create view pgevents.running_worker as
select w.*
from pgevents.worker w
where w.lease_until > clock_timestamp()
  and (
      w.backend_pid is null
      or exists (
          select from pg_catalog.pg_stat_activity a
          where a.pid = w.backend_pid
            and coalesce(a.backend_start = w.backend_start, true)
      )
  );

-- A share of a consumer's rows. A row belongs to one of 64 slots, by the hash of its key; each slot of a consumer is in
-- exactly one share. A worker that is alone holds one share with all slots; it parts one when another worker joins, and
-- puts shares together whose cursors have met.
-- `snapshot`: everything visible in it has been delivered. While a large window is being worked off, `window_end` is the
-- snapshot it leads to and `position` the last event delivered in it.
create table pgevents.share (
    id bigint generated always as identity primary key,
    consumer text not null references pgevents.consumer (name) on update cascade on delete cascade,
    slots integer[] not null,
    snapshot pg_snapshot not null,
    window_end pg_snapshot,
    position bigint not null default 0,
    -- Failed attempts of events that are still to be delivered: {"id": attempts}.
    attempts jsonb not null default '{}',
    -- Workers that died since the cursor moved last: they may have called callbacks with the events that come next.
    interruptions integer not null default 0,
    -- Who holds it; null, or one that is no longer there: nobody.
    worker bigint,
    delivered bigint not null default 0,
    failed bigint not null default 0,
    saved_at timestamptz
) with (fillfactor = 50);
create index share_consumer on pgevents.share (consumer);

-- What tells the rows of a table apart, as it was when a consumer's workers first had to know: they must agree on it.
create table pgevents.row_key (
    consumer text not null references pgevents.consumer (name) on update cascade on delete cascade,
    table_schema text not null,
    table_name text not null,
    columns text[] not null,
    primary key (consumer, table_schema, table_name)
);

insert into pgevents.share (consumer, slots, snapshot, window_end, position, interruptions, delivered, failed, saved_at)
select
    c.name,
    array(select generate_series(0, 63)),
    c.snapshot,
    c.window_end,
    c.position,
    case when c.holder is null then 0 else 1 end,
    c.delivered,
    c.failed,
    c.saved_at
from pgevents.consumer c;

alter table pgevents.consumer
    drop column snapshot,
    drop column window_end,
    drop column position,
    drop column token,
    drop column holder,
    drop column holder_pid,
    drop column holder_since,
    drop column lease_until,
    drop column delivered,
    drop column failed,
    drop column saved_at;

-- `failed`: its callback gave up. `retry`: somebody asked for it to be delivered again. `held`: not delivered yet, it
-- waits behind an earlier event of its row. `holds`: later events of its row wait behind this one.
alter table pgevents.failed
    add column state text not null default 'failed' check (state in ('failed', 'retry', 'held')),
    add column holds boolean not null default false,
    add column slot integer not null default 0,
    add column row_key text not null default '';
create index failed_waiting on pgevents.failed (consumer, row_key, event_id) where holds or state <> 'failed';
