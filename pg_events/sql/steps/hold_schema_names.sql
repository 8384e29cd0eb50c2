-- Until the transaction ends the schemas of this table, and of its partitions, keep their names. Only a superuser may lock them.
select
from pg_catalog.pg_namespace n
where n.oid = any (array(
    select c.relnamespace
    from pg_catalog.pg_class c
    where c.oid = {relation}
       or c.oid in (select p.relid from pg_catalog.pg_partition_tree({relation}) p)
))
for key share
