-- Every consumer, and what became visible that it has not been given.
select
    c.name,
    c.holder,
    coalesce(c.lease_until > clock_timestamp(), false) as is_running,
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
