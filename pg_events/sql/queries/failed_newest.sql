-- The newest $1 failed events (what waits behind one has not failed), with as much of payload and traceback as a person reads.
select
    consumer,
    event_id,
    failed_at,
    state,
    attempts,
    error,
    pg_catalog.left(payload, 200000) as payload,
    pg_catalog.left(traceback, 20000) as traceback
from pgevents.failed
where state <> 'held'
  and not discarded
order by failed_at desc, event_id desc
limit $1
