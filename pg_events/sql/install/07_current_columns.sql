-- The columns of a table as they are now, in order; null when there is no such table.
create or replace function pgevents.current_columns(relation oid)
returns json
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select json_agg(
        json_build_object(
            'number', a.attnum,
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull
        ) order by a.attnum
    )
    from pg_attribute a
    where a.attrelid = relation
      and a.attnum > 0
      and not a.attisdropped
$function$;
