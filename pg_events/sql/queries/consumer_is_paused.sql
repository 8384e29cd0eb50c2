-- Whether the consumer $1 is paused.
select c.paused_at is not null as is_paused
from pgevents.consumer c
where c.name = $1
