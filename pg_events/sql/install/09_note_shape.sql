-- Notes the columns of tables as they are now, as of an event. Nothing is compared here, and nothing read: readers tell the
-- difference, see described().
create or replace function pgevents.note_shape(event_id bigint, relations oid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    _relations oid[] := relations;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        -- A snapshot from before another transaction altered a table sees columns that are no more: the next change of the
        -- table tells both.
        _relations := array(
            select r.relation
            from unnest(relations) r (relation)
            where not exists (select from pg_class k where k.oid = r.relation) -- dropped
               or not pgevents.is_outdated(r.relation)
        );
    end if;
    insert into pgevents.shape (id, relation, columns)
    select event_id, r.relation, coalesce(c.columns, '[]')
    from unnest(_relations) r (relation)
    left join lateral (
        select json_agg(
            json_build_object(
                'number', a.attnum,
                'name', a.attname,
                'type', format_type(a.atttypid, a.atttypmod),
                'not_null', a.attnotnull
            ) order by a.attnum
        ) as columns
        from pg_attribute a
        where a.attrelid = r.relation
          and a.attnum > 0
          and not a.attisdropped
    ) c on true;
end
$function$;
revoke execute on function pgevents.note_shape(bigint, oid[]) from public;
