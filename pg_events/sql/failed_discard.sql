-- Forget the failed event $2; of the consumer $1 only, where that is not null.
delete from pgevents.failed
where ($1::text is null or consumer = $1)
  and event_id = $2
returning consumer
