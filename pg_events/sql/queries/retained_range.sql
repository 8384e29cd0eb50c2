-- The least and the greatest id of the events that may be asked for, going by their ids, transactions and times alone.
-- A BRIN index on `at` would find the range of a time at once, where a million events are read through in 0.1 s. It
-- costs the writers 6 % of the CPU of a transaction with one insert and one update, 3 % of a bulk insert: not worth it.
-- The offset keeps the planner from walking the whole log in the order of ids until it meets one of them.
select coalesce(min(found.id), 0), coalesce(max(found.last_id), 0)
from (
    select e.id, e.id + coalesce(e.folded, 1) - 1 as last_id
    from pgevents.event e
    where {wanted}
    offset 0
) found
