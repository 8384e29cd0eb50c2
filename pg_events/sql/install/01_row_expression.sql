-- The columns of a table as a select list in which every column has a type of PostgreSQL's own, as its JSON form needs it:
-- values of other types are spelt by their output functions. With `computed` the virtual generated columns are computed: a
-- trigger is handed NULL for them, and a false NULL is worse than none. Without, they are left out.
create or replace function pgevents.row_expression(relation oid, computed boolean)
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
            when a.atttypid < 16384 then quote_ident(a.attname)
            else pgevents.value_expression(quote_ident(a.attname), a.atttypid, false) || ' as ' || quote_ident(a.attname)
        end,
        ', ' order by a.attnum
    )
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = relation
      and a.attnum > 0
      and not a.attisdropped
      and (computed or a.attgenerated <> 'v')
$function$;
revoke execute on function pgevents.row_expression(oid, boolean) from public;
