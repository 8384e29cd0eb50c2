-- The least and the greatest id of the events that may be asked for, going by their ids, transactions and times alone.
-- The offset keeps the planner from walking the whole log in the order of ids until it meets one of them.
select coalesce(min(found.id), 0), coalesce(max(found.id), 0)
from (
    select e.id
    from pgevents.event e
    where {wanted}
    offset 0
) found
