-- Records what a DDL command made or altered, and covers the tables among it, inside the command's own transaction.
-- Nothing here may fail the user's command: a failure is a warning. Not where the stack, the locks or the memory do not suffice:
-- the session itself can use them up, and its command would have no event.
create or replace function pgevents.schema_changed()
returns event_trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
-- Custom plans do not pay off: the questions are small, and the same for every command.
set plan_cache_mode = force_generic_plan
as $function$
declare
    _command record;
    _relation oid;
    _name text;
    _kind "char";
    _persistence "char";
    _has_children boolean;
    _tables oid[] := '{}';
    _related boolean[] := '{}';
    _query text;
    _statement_id bigint;
    _is_asked boolean := false;
    _is_private boolean;
    _id bigint;
    _with_rows boolean;
    _filled oid[] := '{}';
begin
    if coalesce(current_setting('pgevents.building', true), '') = 'on' and pgevents.is_building()
        or coalesce(current_setting('pgevents.covering', true), '') <> '' and pgevents.is_covering()
    then
        return;
    end if;
    begin
        for _command in
            select c.* from pg_event_trigger_ddl_commands() c
        loop
            continue when _command.schema_name in ('pgevents', 'pg_temp')
                or _command.schema_name ~ '^pg_(toast_)?temp_'
                or _command.classid = 'pg_namespace'::regclass and _command.object_identity = 'pgevents';
            -- Our own triggers. Only who may build can make one of these functions: the name proves nothing.
            continue when _command.command_tag = 'CREATE TRIGGER' and exists (
                select from pg_trigger t
                join pg_proc f on f.oid = t.tgfoid
                join pg_namespace n on n.oid = f.pronamespace
                where t.oid = _command.objid
                  and t.tgname like '00\_pgevents\_%'
                  and n.nspname = 'pgevents'
            );
            _name := null;
            _kind := null;
            _is_private := false;
            if _command.classid = 'pg_class'::regclass and _command.object_type <> 'index' then
                _relation := _command.objid;
            else
                _relation := pgevents.table_of(_command.classid, _command.objid);
            end if;
            if _relation is not null then
                select k.relname, k.relkind, k.relpersistence, k.relhassubclass into _name, _kind, _persistence, _has_children
                from pg_class k
                where k.oid = _relation
                order by k.xmax <> '0'::xid -- a snapshot from before can see two of them
                limit 1;
                continue when _persistence = 't';
                _is_private := pgevents.is_private(_relation);
            end if;
            if not _is_private and not _is_asked then
                select q.statement_id, q.query into _statement_id, _query from pgevents.ddl_query() q;
                _is_asked := true;
            end if;
            _with_rows := _command.command_tag in ('CREATE TABLE AS', 'SELECT INTO') and _kind = 'r';
            insert into pgevents.event (statement_id, kind, table_schema, table_name, query, ddl)
            values (
                case when not _is_private then _statement_id end,
                'S', _command.schema_name, _command.object_identity,
                case when not _is_private then _query end,
                json_strip_nulls(json_build_object(
                    'classid', _command.classid::bigint,
                    'objid', _command.objid::bigint,
                    'objsubid', _command.objsubid,
                    'command_tag', _command.command_tag,
                    'object_type', _command.object_type,
                    'object_name', case
                        when _relation = _command.objid and _command.objsubid = 0 then _name
                        else pgevents.object_name(_command.classid, _command.objid, _command.objsubid)
                    end,
                    'object_identity', _command.object_identity,
                    'schema_name', _command.schema_name,
                    'in_extension', _command.in_extension,
                    'rows_captured', case when _with_rows and not pgevents.may_write_rows(_relation) then false end
                ))
            )
            returning id into _id;

            continue when _relation is null
                or _kind not in ('r', 'p', 'f')
                -- These bear neither on columns nor on capturing.
                or _command.command_tag in ('COMMENT', 'CREATE INDEX', 'CREATE POLICY', 'ALTER POLICY', 'SECURITY LABEL');
            if _command.classid = 'pg_class'::regclass and _kind <> 'f' and exists (
                select from pg_attribute a
                where a.attrelid = _relation
                  and a.attnum > 0
                  and age(a.xmin) <= 0 -- by this transaction, or since it began
            ) then
                perform pgevents.note_shape(
                    _id,
                    -- What is altered on a parent is altered on its children, and only the parent is told of.
                    case
                        when _has_children then _relation || array(select pgevents.children(_relation))
                        else array[_relation]
                    end
                );
            end if;
            -- A new table is nobody's business but its own; a foreign one bears on the tree it is a partition of.
            _tables := _tables || _relation;
            if _with_rows and pgevents.may_write_rows(_relation) then
                _filled := _filled || _relation;
            end if;
            _related := _related || (
                _kind = 'f' or _command.command_tag not in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
            );
        end loop;
    exception
        when insufficient_resources or statement_too_complex then
            raise;
        when others then
            raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
                using hint = 'The command itself is not affected.';
    end;

    perform pgevents.try_to_cover(t.relation, bool_or(t.related))
    from unnest(_tables, _related) t (relation, related)
    group by t.relation;
    if _filled <> '{}' then
        begin
            perform pgevents.write_rows(
                f.relation,
                case when not pgevents.is_private(f.relation) then _statement_id end,
                case when not pgevents.is_private(f.relation) then _query end
            )
            from unnest(_filled) f (relation);
        exception
            when insufficient_resources or statement_too_complex then
                raise;
            when others then
                raise warning 'pg_events could not record the rows of %: % (%)', tg_tag, sqlerrm, sqlstate
                    using hint = 'The command itself is not affected.';
        end;
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
revoke execute on function pgevents.schema_changed() from public;
