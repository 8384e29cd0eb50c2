-- Make a consumer. Its cursor is the snapshot $2; where that is null, it is after everything that is visible now. With $3
-- what is visible now is a window of its own, of which events are left out: those up to $4, or, where $5 is a time, those
-- before the first one since then. One row when the consumer is new, with the time.
with made as (
    insert into pgevents.consumer (name, system_identifier)
    select $1, c.system_identifier::text
    from pg_catalog.pg_control_system() c
    on conflict (name) do nothing
    returning name
)
insert into pgevents.share (consumer, slots, snapshot, window_end, position)
select
    m.name,
    array(select generate_series(0, 63)),
    coalesce($2::pg_snapshot, pg_catalog.pg_current_snapshot()),
    case when $3::boolean then pg_catalog.pg_current_snapshot() end,
    case
        when $5::timestamptz is null then $4::bigint
        else coalesce(
            (select min(e.id) - 1 from pgevents.event e where e.at >= $5::timestamptz),
            (select e.id + coalesce(e.folded, 1) - 1 from pgevents.event e order by e.id desc limit 1),
            0
        )
    end
from made m
returning consumer, statement_timestamp()
