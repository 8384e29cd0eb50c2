-- Every consumer, and what became visible that it has not been given. It is running while its lease runs and its
-- connection lives, as in consumer_take.sql; a role that is not shown when a connection began believes its number.
select
    c.name,
    c.holder,
    c.lease_until > clock_timestamp() and exists (
        select from pg_catalog.pg_stat_activity a
        where a.pid = c.holder_pid
          and coalesce(a.backend_start = c.holder_since, true)
    ) as is_running,
    c.delivered,
    waiting.events as behind_events,
    coalesce(extract(epoch from clock_timestamp() - waiting.oldest), 0)::double precision as behind_seconds,
    (select count(*) from pgevents.failed f where f.consumer = c.name) as failed
from pgevents.consumer c
cross join lateral (
    select count(*) as events, min(w.at) as oldest
    from (
        select e.id, e.at
        from pgevents.event e
        where e.xid >= pg_catalog.pg_snapshot_xmax(c.snapshot)
          and e.xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
          and not (c.window_end is not null and e.id <= c.position and pg_catalog.pg_visible_in_snapshot(e.xid, c.window_end))
        union all
        select e.id, e.at
        from pg_catalog.pg_snapshot_xip(c.snapshot) running (xid)
        join pgevents.event e on e.xid = running.xid
        where not (c.window_end is not null and e.id <= c.position and pg_catalog.pg_visible_in_snapshot(e.xid, c.window_end))
    ) w
) waiting
order by c.name
