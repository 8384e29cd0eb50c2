-- Events of the consumer $1 in the slots $2 that are to be delivered now: those somebody asked to deliver again, and of
-- each row where events wait the first, unless it failed.
select f.event_id, f.payload, f.attempts, f.state = 'retry'
from pgevents.failed f
where f.consumer = $1
  and f.state <> 'failed'
  and f.slot = any ($2::integer[])
  and not (
      f.holds
      and exists (
          select from pgevents.failed earlier
          where earlier.consumer = f.consumer
            and earlier.row_key = f.row_key
            and earlier.event_id < f.event_id
            and earlier.holds
      )
  )
order by f.event_id
limit 100
