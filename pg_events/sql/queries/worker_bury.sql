-- Forget the workers of the consumer $1 that no longer run. Their shares are free; whoever takes one knows that the
-- events that come next may have been seen.
with dead as (
    delete from pgevents.worker w
    where w.consumer = $1
      and not exists (select from pgevents.running_worker r where r.id = w.id)
    returning w.id
)
update pgevents.share s
set worker = null,
    interruptions = s.interruptions + 1
from dead d
where s.worker = d.id
