-- Delete what was noted of tables' columns before a schema event that is no longer kept, of those with ids above $1 up to $2:
-- only that event's difference was taken from it. The newest stays, unless the table was dropped.
delete from pgevents.shape s
using pgevents.shape n
where n.id > $1
  and n.id <= $2
  and n.relation = s.relation
  and (s.id < n.id or s.id = n.id and n.columns::text = '[]')
  and not exists (select from pgevents.event e where e.id = n.id)
