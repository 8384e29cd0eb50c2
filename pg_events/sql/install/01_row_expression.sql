-- The columns of a table as a select list in which every column has a type of PostgreSQL's own, as its JSON form needs it:
-- values of other types are spelt by their output functions. With `computed` the virtual generated columns are computed: a
-- trigger is handed NULL for them, and a false NULL is worse than none. Without, they are left out.
--
-- To a snapshot from before the table's columns were altered any column can have another name and type than the catalog says:
-- then all of them are texts, by the names that they have now.
create or replace function pgevents.row_expression(relation oid, computed boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    _is_outdated constant boolean := pgevents.is_outdated(relation);
    _names text[];
begin
    if _is_outdated then
        -- This function looks into the catalog as it is now; the one behind the last has no name there. No table has more.
        select array_agg(c.object_names[3] order by n.number) into _names
        from generate_series(1, 1600) n (number)
        cross join lateral pg_identify_object_as_address('pg_class'::regclass, relation, n.number) c
        where c.object_names[3] is not null
          and c.object_names[3] not like '........pg.dropped.%';
        if _names is distinct from array(
            select a.attname::text from pg_attribute a
            where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
            order by a.attnum
        ) or exists (select from pg_attribute a where a.attrelid = relation and a.attnum > 0 and a.xmax <> '0'::xid) then
            return (
                select string_agg(
                    format('case when %1$I is distinct from null then format(''%%s'', %1$I) end as %1$I', c.name), ', ' order by c.number
                )
                from unnest(_names) with ordinality c (name, number)
            );
        end if;
    end if;
    return (
        select string_agg(
            case
                when a.attgenerated = 'v' then format(
                    '(%s)::%s as %I', pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod), a.attname
                )
                when a.atttypid < 16384 and not _is_outdated then quote_ident(a.attname)
                else pgevents.value_expression(quote_ident(a.attname), a.atttypid, _is_outdated) || ' as ' || quote_ident(a.attname)
            end,
            ', ' order by a.attnum
        )
        from pg_attribute a
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = relation
          and a.attnum > 0
          and not a.attisdropped
          and (computed and not _is_outdated or a.attgenerated <> 'v')
    );
end
$function$;
revoke execute on function pgevents.row_expression(oid, boolean) from public;
