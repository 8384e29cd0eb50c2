-- Failed events, oldest first; of the consumer $1 and with the ids $2 where these are not null.
select consumer, event_id, failed_at, state, attempts, error, payload, traceback
from pgevents.failed
where ($1::text is null or consumer = $1)
  and ($2::bigint[] is null or event_id = any ($2))
order by failed_at, event_id
