-- Make a worker of the consumer $1 known: $2 what people call it, $3 seconds of lease, $4 whether its connection tells
-- that it lives. Under an earlier id, $5, of its own it is known no more; the shares it held then are held on.
-- One row: its id.
with registered as (
    insert into pgevents.worker (consumer, name, backend_pid, backend_start, lease_until)
    select
        $1,
        $2,
        case when $4 then pg_catalog.pg_backend_pid() end,
        (select a.backend_start from pg_catalog.pg_stat_activity a where $4 and a.pid = pg_catalog.pg_backend_pid()),
        clock_timestamp() + make_interval(secs => $3)
    returning id
),
former as (
    delete from pgevents.worker
    where id = $5
),
moved as (
    update pgevents.share s
    set worker = r.id
    from registered r
    where s.worker = $5
)
select id from registered
