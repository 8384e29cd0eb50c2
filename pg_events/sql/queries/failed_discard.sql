-- Forget the failed events $2 of the consumers $1, pair by pair. An event that waits behind a failed one is not failed.
delete from pgevents.failed f
using unnest($1::text[], $2::bigint[]) chosen (consumer, event_id)
where f.consumer = chosen.consumer
  and f.event_id = chosen.event_id
  and f.state <> 'held'
returning f.consumer, f.event_id
