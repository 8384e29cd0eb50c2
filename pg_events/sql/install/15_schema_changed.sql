-- Records what a DDL command made or altered, and covers the tables among it, inside the command's own transaction.
-- Nothing here may fail the user's command: a failure is a warning.
create or replace function pgevents.schema_changed()
returns event_trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    _command record;
    _tables oid[] := '{}';
    _related boolean[] := '{}';
    _kind "char";
    _difference json;
begin
    if pgevents.is_building() then
        return;
    end if;
    for _command in
        select
            c.*,
            coalesce(
                case when c.classid = 'pg_class'::regclass then c.objid end,
                (select t.tgrelid from pg_trigger t where c.classid = 'pg_trigger'::regclass and t.oid = c.objid)
            ) as relation
        from pg_event_trigger_ddl_commands() c
        where c.schema_name is distinct from 'pgevents'
          and c.schema_name is distinct from 'pg_temp'
          and c.object_identity is distinct from 'pgevents'
          -- One look by its OID: as an anti-join this reads all triggers there are, at every command.
          and (
              select t.tgname from pg_trigger t where c.classid = 'pg_trigger'::regclass and t.oid = c.objid
          ) like '00\_pgevents\_%' is not true
    loop
        _difference := null;
        select k.relkind into _kind
        from pg_class k
        where k.oid = _command.relation
          and k.relkind in ('r', 'p', 'f');
        if found then
            -- A new table is nobody's business but its own; a foreign one bears on the tree it is a partition of.
            _tables := _tables || _command.relation;
            _related := _related || (_kind = 'f' or _command.command_tag not in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO'));
            if _command.classid = 'pg_class'::regclass and _kind <> 'f' then
                _difference := pgevents.note_shape(_command.relation);
                -- What is altered on a parent is altered on its children, and only the parent is told of.
                if _difference is not null then
                    perform pgevents.note_shape(c.relid) from pgevents.children(_command.relation) c (relid);
                end if;
            end if;
        end if;
        insert into pgevents.event (kind, table_schema, table_name, query, ddl)
        values (
            'S', _command.schema_name, _command.object_identity, pgevents.ddl_query(),
            json_strip_nulls(json_build_object(
                'classid', _command.classid::bigint,
                'objid', _command.objid::bigint,
                'objsubid', _command.objsubid,
                'command_tag', _command.command_tag,
                'object_type', _command.object_type,
                'object_name', pgevents.object_name(_command.classid, _command.objid, _command.objsubid),
                'object_identity', _command.object_identity,
                'schema_name', _command.schema_name,
                'in_extension', _command.in_extension,
                'columns', _difference
            ))
        );
    end loop;

    perform pgevents.try_to_cover(t.relation, bool_or(t.related))
    from unnest(_tables, _related) t (relation, related)
    group by t.relation;
    if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    end if;
exception when others then
    raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
        using hint = 'The command itself is not affected.';
end
$function$;
revoke execute on function pgevents.schema_changed() from public;
