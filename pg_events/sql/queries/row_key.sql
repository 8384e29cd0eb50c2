-- The columns that tell the rows of the table $2.$3 apart, for the consumer $1: what stands in the catalog when that is
-- first asked, and the same ever after. No row when another worker asks at this moment: ask again.
with known as (
    select columns
    from pgevents.row_key
    where consumer = $1
      and table_schema = $2
      and table_name = $3
),
made as (
    insert into pgevents.row_key (consumer, table_schema, table_name, columns)
    select
        $1,
        $2,
        $3,
        coalesce(
            (
                select array_agg(a.attname::text order by k.place)
                from pg_catalog.pg_class c
                join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
                cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
                join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                where n.nspname = $2
                  and c.relname = $3
                  and k.place <= i.indnkeyatts
            ),
            '{}'
        )
    where not exists (select from known)
    on conflict do nothing
    returning columns
)
select columns from known
union all
select columns from made
