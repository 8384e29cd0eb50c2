-- Transactions of this database that matter to the log: open for longer than $1 seconds, or waiting for a lock; and
-- prepared ones as old. A long one delays its own events, and keeps vacuum from what it can see. The oldest first.
select *
from (
    select
        a.pid,
        a.usename::text as user_name,
        a.application_name,
        a.state,
        coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::double precision as seconds,
        case when a.wait_event_type = 'Lock' then a.wait_event else '' end as waits_for,
        case when a.wait_event_type = 'Lock' then pg_catalog.pg_blocking_pids(a.pid) else '{}' end as blocked_by,
        pg_catalog.left(a.query, 500) as query
    from pg_catalog.pg_stat_activity a
    where a.datname = pg_catalog.current_database()
      and a.pid <> pg_catalog.pg_backend_pid()
      and (
          a.xact_start < clock_timestamp() - pg_catalog.make_interval(secs => $1)
          or a.wait_event_type = 'Lock'
      )
    union all
    select
        0,
        p.owner::text,
        '',
        'prepared',
        extract(epoch from clock_timestamp() - p.prepared)::double precision,
        '',
        '{}',
        p.gid
    from pg_catalog.pg_prepared_xacts p
    where p.database = pg_catalog.current_database()
      and p.prepared < clock_timestamp() - pg_catalog.make_interval(secs => $1)
) a
order by seconds desc
limit 50
