-- Pause the consumer $1; one that is paused already keeps the time.
update pgevents.consumer
set paused_at = coalesce(paused_at, clock_timestamp())
where name = $1
returning name
