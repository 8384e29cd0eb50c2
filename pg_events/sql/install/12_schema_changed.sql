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
    _table oid;
    _difference json;
begin
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
          and not exists (
              select from pg_trigger t
              where c.classid = 'pg_trigger'::regclass and t.oid = c.objid and t.tgname like '00\_pgevents\_%'
          )
    loop
        _difference := null;
        if exists (select from pg_class k where k.oid = _command.relation and k.relkind in ('r', 'p')) then
            if _command.relation <> all (_tables) then
                _tables := _tables || _command.relation;
            end if;
            if _command.classid = 'pg_class'::regclass then
                _difference := pgevents.note_shape(_command.relation);
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

    foreach _table in array _tables loop
        begin
            perform pgevents.cover(_table);
        exception when others then
            raise warning 'pg_events could not cover %: % (%)', _table::regclass, sqlerrm, sqlstate
                using hint = 'The command itself is not affected. Run: pg_events build';
        end;
    end loop;
    if pg_sequence_last_value('pgevents.sleeper'::regclass) > extract(epoch from clock_timestamp()) * 1000000 then
        perform pg_notify('pgevents', '');
    end if;
exception when others then
    raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
        using hint = 'The command itself is not affected.';
end
$function$;
revoke execute on function pgevents.schema_changed() from public;
