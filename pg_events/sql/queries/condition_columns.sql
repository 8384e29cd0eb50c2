-- The columns of the table $1 (an OID) as a select list of nulls, each of the type that row_expression.sql gives it.
select string_agg(
    pg_catalog.format(
        'null::pg_catalog.%I as %I',
        case
            when t.oid < 16384 then t.typname::pg_catalog.text
            when t.typtype = 'd' and t.typbasetype < 16384 then b.typname
            when t.typcategory = 'A' and e.typtype = 'c' then 'json'
            when t.typcategory = 'A' then '_text'
            when t.typtype = 'c' then 'json'
            else 'text'
        end,
        a.attname
    ),
    ', ' order by a.attnum
)
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_type b on b.oid = t.typbasetype
left join pg_catalog.pg_type e on e.oid = t.typelem
where a.attrelid = $1::pg_catalog.oid
  and a.attnum > 0
  and not a.attisdropped
