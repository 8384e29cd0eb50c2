-- The names of the columns of each of the tables $1 (OIDs), in order.
select a.attrelid, array_agg(a.attname::text order by a.attnum)
from pg_catalog.pg_attribute a
where a.attrelid = any ($1::oid[])
  and a.attnum > 0
  and not a.attisdropped
group by a.attrelid
