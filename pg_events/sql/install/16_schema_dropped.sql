-- Records what a DDL command dropped: what it named, what fell with it by CASCADE, and partitions. Other parts that have no
-- life of their own (a dropped table's types, default values, our triggers) are passed over.
create or replace function pgevents.schema_dropped()
returns event_trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $function$
declare
    _dropped record;
    _query text;
    _statement_id bigint;
    _is_asked boolean := false;
    _is_private boolean;
    _relation oid;
    _persistence "char";
    _id bigint;
    _tables oid[] := '{}';
    _is_reason boolean := false; -- for other tables to be captured row by row, perhaps
    _first_lock bigint;
begin
    if coalesce(current_setting('pgevents.building', true), '') = 'on' and pgevents.is_building()
        or coalesce(current_setting('pgevents.covering', true), '') <> '' and pgevents.is_covering()
    then
        return;
    end if;
    {capture_lock_first}
    begin
        for _dropped in
            select d.*, d.classid = 'pg_class'::regclass and d.objsubid = 0 as is_relation
            from pg_event_trigger_dropped_objects() d
            where (d.original or d.normal or d.object_type in ('table', 'foreign table') and d.objsubid = 0)
              and not d.is_temporary
              and d.schema_name is distinct from 'pgevents'
              and not (d.classid = 'pg_namespace'::regclass and d.object_identity is not distinct from 'pgevents')
              and not (d.object_type = 'rule' and d.address_names[3] = '_RETURN') -- what makes a view a view
        loop
            -- The table that what was dropped is a part of, if that is still there.
            _relation := null;
            if _dropped.object_type in ('trigger', 'rule', 'policy', 'table constraint', 'default value', 'table column') then
                select c.oid, c.relpersistence into _relation, _persistence
                from pg_class c
                join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = _dropped.address_names[1]
                  and c.relname = _dropped.address_names[2]
                limit 1;
                continue when _persistence = 't' or _dropped.address_names[1] ~ '^pg_temp';
            end if;
            _is_private := case
                when _relation is not null then pgevents.is_private(_relation)
                else _dropped.is_relation and pgevents.is_private_text(format('%I', _dropped.object_name))
            end;
            if not _is_private and not _is_asked then
                select q.statement_id, q.query into _statement_id, _query from pgevents.ddl_query() q;
                _is_asked := true;
            end if;
            insert into pgevents.event (statement_id, kind, table_schema, table_name, query, ddl)
            values (
                case when not _is_private then _statement_id end,
                'S', _dropped.schema_name, _dropped.object_identity,
                case when not _is_private then _query end,
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
                    'is_temporary', _dropped.is_temporary
                ))
            )
            returning id into _id;
            if _dropped.is_relation and _dropped.object_type = 'table' then
                perform pgevents.note_shape(_id, array[_dropped.objid]);
            elsif _dropped.object_type = 'table column' and not _dropped.original and _relation is not null then
                -- It fell with something else: no event of the table's own will tell of it.
                perform pgevents.note_shape(_id, array[_relation]);
            end if;
            _is_reason := _is_reason or _dropped.object_type in ('table', 'foreign table', 'table constraint');
            -- How a table is captured depends on its triggers. One of ours comes back with the next command on the table.
            if _dropped.object_type = 'trigger' and _dropped.address_names[3] not like '00\_pgevents\_%' then
                _tables := _tables || _relation;
            end if;
        end loop;
    exception
        when insufficient_resources or statement_too_complex then
            raise;
        when others then
            raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
                using hint = 'The command itself is not affected.';
    end;

    perform pgevents.try_to_cover(c.oid, true)
    from pg_class c
    where c.oid = any (_tables)
      and c.relkind in ('r', 'p');
    if _is_reason then
        perform pgevents.try_to_cover(t.relation, true) from pgevents.perhaps_by_statement() t (relation);
    end if;
    if pg_sequence_last_value('pgevents.sleeper'::regclass) > extract(epoch from clock_timestamp()) and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('pgevents', '');
    end if;
exception
    when insufficient_resources or statement_too_complex then
        raise;
    when others then
        raise warning 'pg_events could not announce %: % (%)', tg_tag, sqlerrm, sqlstate
            using hint = 'The command itself is not affected.';
end
$function$;
revoke execute on function pgevents.schema_dropped() from public;
