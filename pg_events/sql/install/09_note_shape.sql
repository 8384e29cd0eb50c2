-- Notes the columns of tables as they are now, as of an event. Nothing is compared here, and nothing read: readers tell the
-- difference, see described().
create or replace function pgevents.note_shape(event_id bigint, relations oid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    insert into pgevents.shape (id, relation, columns)
    select event_id, r.relation, coalesce(c.columns, '[]')
    from unnest(relations) r (relation)
    left join lateral (
        select json_agg(
            json_build_object(
                'number', a.attnum,
                'name', a.attname,
                'type', format_type(a.atttypid, a.atttypmod),
                'not_null', a.attnotnull
            ) order by a.attnum
        ) as columns
        from (
            -- An old snapshot can see two versions of a row: what another transaction changed, and what this one did then.
            select distinct on (a.attnum) a.*
            from pg_attribute a
            where a.attrelid = r.relation
              and a.attnum > 0
            order by a.attnum, age(a.xmin)
        ) a
        where not a.attisdropped
    ) c on true;
end
$function$;
revoke execute on function pgevents.note_shape(bigint, oid[]) from public;
