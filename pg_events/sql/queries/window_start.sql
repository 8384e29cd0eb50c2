-- The least id of the transactions that had not begun at the snapshot $1. The offset keeps the planner from walking
-- the whole log in the order of ids until it meets one of them.
select coalesce(min(e.id), 0)
from (
    select id
    from pgevents.event
    where xid >= pg_catalog.pg_snapshot_xmax($1::pg_snapshot)
    offset 0
) e
