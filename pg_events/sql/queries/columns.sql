-- The columns of every table that has triggers of ours, in order: once as a text with "name type" a line, once as JSON
-- pairs. Of a partitioned table the root alone: its events carry the root's name.
select
    n.nspname::text as table_schema,
    c.relname::text as table_name,
    (
        select coalesce(
            string_agg(
                pg_catalog.quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod),
                E'\n' order by a.attnum
            ),
            ''
        )
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid
          and a.attnum > 0
          and not a.attisdropped
    ) as columns,
    (
        select coalesce(
            json_agg(json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)) order by a.attnum),
            '[]'
        )
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid
          and a.attnum > 0
          and not a.attisdropped
    )::text as pairs
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not c.relispartition
  and exists (
      select
      from pg_catalog.pg_trigger t
      join pg_catalog.pg_proc p on p.oid = t.tgfoid
      join pg_catalog.pg_namespace o on o.oid = p.pronamespace
      where t.tgrelid = c.oid
        and o.nspname = 'pgevents'
  )
order by 1, 2
