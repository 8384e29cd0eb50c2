-- Records what a DDL command dropped: what it named, and what fell with it by CASCADE. Parts that have no life of
-- their own (a dropped table's types, default values, our triggers) are passed over.
create or replace function pgevents.schema_dropped()
returns event_trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    _dropped record;
    _difference json;
begin
    if pgevents.is_building() then
        return;
    end if;
    for _dropped in
        select d.*
        from pg_event_trigger_dropped_objects() d
        where (d.original or d.normal)
          and not d.is_temporary
          and d.schema_name is distinct from 'pgevents'
          and d.object_identity is distinct from 'pgevents'
          and not (d.object_type = 'trigger' and d.object_identity like '"00\_pgevents\_%')
          and not (d.object_type = 'rule' and d.address_names[3] = '_RETURN') -- what makes a view a view
    loop
        _difference := null;
        if _dropped.classid = 'pg_class'::regclass and _dropped.objsubid = 0 then
            delete from pgevents.shape s
            where s.relation = _dropped.objid
            returning pgevents.column_difference(s.columns, '[]') into _difference;
        end if;
        if _dropped.object_type = 'trigger' then
            -- How a table is captured depends on its triggers.
            perform pgevents.try_to_cover(c.oid, true)
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = _dropped.address_names[1]
              and c.relname = _dropped.address_names[2]
              and c.relkind in ('r', 'p')
              and c.relpersistence <> 't';
        end if;
        insert into pgevents.event (kind, table_schema, table_name, query, ddl)
        values (
            'S', _dropped.schema_name, _dropped.object_identity, pgevents.ddl_query(),
            json_strip_nulls(json_build_object(
                'classid', _dropped.classid::bigint,
                'objid', _dropped.objid::bigint,
                'objsubid', _dropped.objsubid,
                'command_tag', tg_tag,
                'object_type', _dropped.object_type,
                'object_name', coalesce(_dropped.object_name, _dropped.address_names[array_upper(_dropped.address_names, 1)]),
                'object_identity', _dropped.object_identity,
                'schema_name', _dropped.schema_name,
                'original', _dropped.original,
                'normal', _dropped.normal,
                'is_temporary', _dropped.is_temporary,
                'columns', _difference
            ))
        );
    end loop;
    if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    end if;
exception when others then
    raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
        using hint = 'The command itself is not affected.';
end
$function$;
revoke execute on function pgevents.schema_dropped() from public;
