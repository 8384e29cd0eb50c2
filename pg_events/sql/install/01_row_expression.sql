-- The columns of a table as a select list, with its virtual generated columns computed: a trigger is handed NULL for
-- them, and a false NULL is worse than none.
create or replace function pgevents.row_expression(relation oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select string_agg(
        case
            when a.attgenerated = 'v' then format(
                '(%s)::%s as %I', pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod), a.attname
            )
            else quote_ident(a.attname)
        end,
        ', ' order by a.attnum
    )
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = relation
      and a.attnum > 0
      and not a.attisdropped
$function$;
