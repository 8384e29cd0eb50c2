-- The shares that the worker $1 holds.
select s.id, s.slots, s.snapshot::text, s.window_end::text, s.position, s.attempts::text, s.interruptions
from pgevents.share s
where s.worker = $1
order by s.id
