-- Part the slots $3 from the share $1 of the worker $2, as a free share with the same cursor. One row when it is done.
with kept as (
    update pgevents.share s
    set slots = array(select slot from unnest(s.slots) slot where slot <> all ($3::integer[]))
    where s.id = $1
      and s.worker = $2
    returning s.*
)
insert into pgevents.share (consumer, slots, snapshot, window_end, position, attempts, interruptions, saved_at)
select k.consumer, $3::integer[], k.snapshot, k.window_end, k.position, k.attempts, k.interruptions, k.saved_at
from kept k
returning id
