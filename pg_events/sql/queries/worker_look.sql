-- What the worker $2 of the consumer $1 must know now and then; $3 its slots.
select
    exists (select from pgevents.worker w where w.id = $2) as is_known,
    (select count(*) from pgevents.running_worker r where r.consumer = $1) as running,
    (select count(*) from pgevents.running_worker r where r.consumer = $1 and r.id < $2) as earlier,
    (select count(*) from pgevents.worker w where w.consumer = $1) as known,
    exists (
        select from pgevents.share s
        where s.consumer = $1
          and not exists (select from pgevents.worker w where w.id = s.worker)
    ) as any_free,
    exists (
        select from pgevents.failed f
        where f.consumer = $1
          and f.state <> 'failed'
          and f.slot = any ($3::integer[])
    ) as any_kept,
    coalesce((select c.paused_at is not null from pgevents.consumer c where c.name = $1), false) as is_paused
