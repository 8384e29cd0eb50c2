-- When each table changed last, among the newest 100,000 events.
select table_schema, table_name, max(at) as at
from (select * from pgevents.event order by id desc limit 100000) e
where kind <> 'S'
group by table_schema, table_name
