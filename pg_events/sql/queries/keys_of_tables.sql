-- The primary key's columns, in order, of every table; none of one without a key.
select
    n.nspname::text,
    c.relname::text,
    coalesce(
        (
            select pg_catalog.array_agg(a.attname::text order by k.place)
            from pg_catalog.pg_index i
            cross join lateral pg_catalog.unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
            join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
            where i.indrelid = c.oid
              and i.indisprimary
              and k.place <= i.indnkeyatts
        ),
        '{}'
    )
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
  and n.nspname not in ('pg_catalog', 'information_schema', 'pgevents')
