-- Have the workers of the consumer $1 deliver again.
update pgevents.consumer
set paused_at = null
where name = $1
returning name
