-- Put the share $2 into the share $1, both of the worker $3 and with the same cursor. One row when it is done; without
-- one what was begun must be rolled back.
with gone as (
    delete from pgevents.share s
    where s.id = $2
      and s.worker = $3
    returning s.*
)
update pgevents.share s
set slots = s.slots || g.slots,
    attempts = s.attempts || g.attempts,
    interruptions = greatest(s.interruptions, g.interruptions),
    delivered = s.delivered + g.delivered,
    failed = s.failed + g.failed
from gone g
where s.id = $1
  and s.worker = $3
  and (s.snapshot::text, s.window_end::text, s.position) is not distinct from (g.snapshot::text, g.window_end::text, g.position)
returning s.id
