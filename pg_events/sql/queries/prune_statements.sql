-- Delete the texts among the statements $1 of which no event is left. A statement and its events are one transaction:
-- that is what the index finds them by.
delete from pgevents.statement s
where s.id = any($1::bigint[])
  and not exists (
      select from pgevents.event e
      where e.xid = s.xid
        and e.statement_id = s.id
  )
