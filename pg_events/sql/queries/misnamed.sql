-- Those of these names that lead to another table than they did when the build was planned: neither this one nor a partition of it.
select w.name
from pg_catalog.unnest({names}::text[]) w (name)
where ({relation} in (pg_catalog.to_regclass(w.name)::oid, pg_catalog.pg_partition_root(pg_catalog.to_regclass(w.name))::oid)) is not true
