-- Of the tables $1 (their OIDs) those on which this role may not create a trigger.
select c.oid::regclass::text as relation
from pg_catalog.pg_class c
where c.oid = any ($1::oid[])
  and not pg_catalog.has_table_privilege(c.oid, 'trigger')
order by 1
