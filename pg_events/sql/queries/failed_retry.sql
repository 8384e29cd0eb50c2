-- Ask for the failed events $2 of the consumers $1, pair by pair, to be delivered again.
update pgevents.failed f
set state = 'retry',
    discarded = false
from unnest($1::text[], $2::bigint[]) chosen (consumer, event_id)
where f.consumer = chosen.consumer
  and f.event_id = chosen.event_id
  and f.state = 'failed'
returning f.consumer, f.event_id
