-- Every consumer, and what became visible that it has not been given: of the rows of the share that is furthest behind.
select
    c.name,
    (select min(r.name) from pgevents.running_worker r where r.consumer = c.name) as holder,
    (select count(*) from pgevents.running_worker r where r.consumer = c.name) as workers,
    exists (select from pgevents.running_worker r where r.consumer = c.name) as is_running,
    (select coalesce(sum(s.delivered), 0)::bigint from pgevents.share s where s.consumer = c.name) as delivered,
    waiting.events as behind_events,
    coalesce(extract(epoch from clock_timestamp() - waiting.oldest), 0)::double precision as behind_seconds,
    (select count(*) from pgevents.failed f where f.consumer = c.name and f.state <> 'held' and not f.discarded) as failed,
    (select count(*) from pgevents.failed f where f.consumer = c.name and f.state = 'held') as held,
    (select count(*) from pgevents.failed f where f.consumer = c.name and f.discarded) as discarded,
    c.paused_at is not null as is_paused
from pgevents.consumer c
left join lateral (
    select s.snapshot, s.window_end, s.position
    from pgevents.share s
    where s.consumer = c.name
    -- Snapshots of one server lie one behind the other.
    order by
        pg_catalog.pg_snapshot_xmax(s.snapshot),
        (select count(*) from pg_catalog.pg_snapshot_xip(s.snapshot)) desc,
        s.position
    limit 1
) s on true
cross join lateral (
    select coalesce(sum(w.events), 0)::bigint as events, min(w.at) as oldest
    from (
        select r.at, case when r.is_in_window then least(r.id + r.events - 1 - s.position, r.events) else r.events end as events
        from (
            select
                e.id,
                e.at,
                coalesce(e.folded, 1) as events,
                s.window_end is not null and pg_catalog.pg_visible_in_snapshot(e.xid, s.window_end) as is_in_window
            from pgevents.event e
            where e.xid >= pg_catalog.pg_snapshot_xmax(s.snapshot)
              and e.xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
            union all
            select
                e.id,
                e.at,
                coalesce(e.folded, 1),
                s.window_end is not null and pg_catalog.pg_visible_in_snapshot(e.xid, s.window_end)
            from pg_catalog.pg_snapshot_xip(s.snapshot) running (xid)
            join pgevents.event e on e.xid = running.xid
        ) r
    ) w
    where w.events > 0
) waiting
order by c.name
