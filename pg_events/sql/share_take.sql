-- Take one share of the consumer $1 that nobody holds, for the worker $2: the largest. One row, or none.
update pgevents.share s
set worker = $2
where s.id = (
    select f.id
    from pgevents.share f
    where f.consumer = $1
      and not exists (select from pgevents.worker w where w.id = f.worker)
    order by cardinality(f.slots) desc
    limit 1
    for update skip locked
)
  and exists (select from pgevents.worker w where w.id = $2)
returning s.id, s.slots, s.snapshot::text, s.window_end::text, s.position, s.attempts::text, s.interruptions
