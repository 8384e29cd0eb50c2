-- Take one share of the consumer $1 that nobody holds, for the worker $2: the largest. One row, or none.
-- A share that another worker takes at this moment is compared with what it was when this statement began: `not exists`
-- alone is not asked again of a row that has changed since.
with free as materialized (
    select f.id, f.worker
    from pgevents.share f
    where f.consumer = $1
      and not exists (select from pgevents.worker w where w.id = f.worker)
),
chosen as (
    select c.id
    from pgevents.share c
    join free f on f.id = c.id and f.worker is not distinct from c.worker
    order by cardinality(c.slots) desc
    limit 1
    for update of c skip locked
)
update pgevents.share s
set worker = $2
from chosen c
where s.id = c.id
  and exists (select from pgevents.worker w where w.id = $2)
returning s.id, s.slots, s.snapshot::text, s.window_end::text, s.position, s.attempts::text, s.interruptions
