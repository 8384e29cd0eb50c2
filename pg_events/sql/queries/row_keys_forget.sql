-- Look the keys of the consumer $1 up anew: right when one share holds all slots, for then nobody counts on them, and
-- no event waits behind another.
delete from pgevents.row_key
where consumer = $1
  and not exists (select from pgevents.failed where consumer = $1 and holds)
