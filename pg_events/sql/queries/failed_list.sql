-- Failed events, oldest first; of the consumer $1 and with the ids $2 where these are not null; behind the place
-- ($3, $4, $5) where that is not null, at most $6.
select consumer, event_id, failed_at, case when discarded and state = 'failed' then 'discarded' else state end as state, attempts, error, payload, traceback
from pgevents.failed
where ($1::text is null or consumer = $1)
  and ($2::bigint[] is null or event_id = any ($2))
  and ($3::timestamptz is null or (failed_at, event_id, consumer) > ($3, $4::bigint, $5::text))
order by failed_at, event_id, consumer
limit $6
