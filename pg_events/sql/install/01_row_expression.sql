-- The columns of a table as a select list in which every column has a type of PostgreSQL's own, as its JSON form needs it:
-- values of other types are spelt by their output functions. With `computed` the virtual generated columns are computed: a
-- trigger is handed NULL for them, and a false NULL is worse than none. Without, they are left out.
--
-- To a snapshot from before the table was altered any column can have another type than the catalog says: nothing is taken
-- for granted then, as inside composite values. One that the snapshot does not know at all cannot be spelt.
create or replace function pgevents.row_expression(relation oid, computed boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    _is_outdated constant boolean := pgevents.is_outdated(relation);
begin
    if _is_outdated and exists (
        -- This function looks into the catalog as it is now; the one behind the last has no name there.
        select
        from (
            select a.attnum, a.attname::text as name
            from pg_attribute a
            where a.attrelid = relation
              and a.attnum > 0
            union all
            select coalesce(max(a.attnum), 0) + 1, null
            from pg_attribute a
            where a.attrelid = relation
              and a.attnum > 0
        ) c
        cross join lateral pg_identify_object_as_address('pg_class'::regclass, relation, c.attnum) n
        where n.object_names[3] is distinct from c.name
    ) then
        raise serialization_failure using message =
            'could not serialize access: pg_events cannot record the columns of a table that was altered since the transaction began';
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
