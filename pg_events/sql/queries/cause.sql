-- The row of the log with the event $1, which may be packed: its kind, table and context.
select e.kind::text, e.table_schema, e.table_name, e.context
from pgevents.event e
where e.id <= $1::bigint
  and e.id > $1::bigint - 100
  and e.id + coalesce(e.folded, 1) > $1::bigint
order by e.id desc
limit 1
