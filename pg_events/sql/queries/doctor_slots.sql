-- Replication slots, and how many transactions back the oldest row lies that they forbid to clean up.
select
    s.slot_name::text as slot,
    s.active,
    greatest(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin)) as transactions
from pg_catalog.pg_replication_slots s
where greatest(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin)) > $1
order by 3 desc
