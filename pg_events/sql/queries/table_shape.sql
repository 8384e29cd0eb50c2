-- The columns of the table $1.$2, in order: name, type, place in the primary key, whether it is computed by the
-- database, whether it is an identity that a user's value overrides only on demand, whether it takes no null.
select
    a.attname::text,
    pg_catalog.format_type(a.atttypid, a.atttypmod),
    pg_catalog.array_position(i.indkey::smallint[], a.attnum) as key_position,
    a.attgenerated <> '' as is_generated,
    a.attidentity = 'a' as is_always_identity,
    a.attnotnull as is_not_null
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
where n.nspname = $1
  and c.relname = $2
  and c.relkind in ('r', 'p')
  and a.attnum > 0
  and not a.attisdropped
order by a.attnum
