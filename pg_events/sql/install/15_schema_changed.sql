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
-- Custom plans do not pay off: the questions are small, and the same for every command. A plan is kept while the catalog grows:
-- read from end to end, a catalog of a few tables is still read so with ten thousand.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $function$
declare
    _command record;
    _relation oid;
    _tables oid[] := '{}';
    _related boolean[] := '{}';
    _query text;
    _statement_id bigint;
    _is_asked boolean := false;
    _is_private boolean;
    _id bigint;
    _with_rows boolean;
    _is_related boolean;
    _is_shaped boolean;
    _place integer;
    _filled oid[] := '{}';
    _first_lock bigint;
begin
    if coalesce(current_setting('pgevents.building', true), '') = 'on' and pgevents.is_building()
        or coalesce(current_setting('pgevents.covering', true), '') <> '' and pgevents.is_covering()
    then
        return;
    end if;
    {capture_lock_first}
    begin
        for _command in
            select c.*, k.*
            from pg_event_trigger_ddl_commands() c
            left join lateral (
                select k.oid, k.relname, k.relkind, k.relpersistence, k.relhassubclass, k.relhastriggers or k.relispartition
                from pg_class k
                where k.oid = case
                    when c.classid = 'pg_class'::regclass and c.object_type <> 'index' then c.objid
                    else pgevents.table_of(c.classid, c.objid)
                end
                order by k.xmax <> '0'::xid -- a snapshot from before can see two of them
                limit 1
            ) k (relation, name, kind, persistence, has_children, perhaps_private) on true
        loop
            continue when _command.schema_name in ('pgevents', 'pg_temp')
                or _command.schema_name ~ '^pg_(toast_)?temp_'
                or _command.classid = 'pg_namespace'::regclass and _command.object_identity = 'pgevents';
            -- Our own triggers. Only who may build can make one of these functions: the name proves nothing.
            if _command.command_tag = 'CREATE TRIGGER' then
                continue when exists (
                    select from pg_trigger t
                    join pg_proc f on f.oid = t.tgfoid
                    join pg_namespace n on n.oid = f.pronamespace
                    where t.oid = _command.objid
                      and t.tgname like '00\_pgevents\_%'
                      and n.nspname = 'pgevents'
                );
            end if;
            _relation := _command.relation;
            continue when _command.persistence = 't';
            _is_private := coalesce(_command.perhaps_private, false) and pgevents.is_private(_relation);
            if not _is_private and not _is_asked then
                select q.statement_id, q.query into _statement_id, _query from pgevents.ddl_query() q;
                _is_asked := true;
            end if;
            _with_rows := _command.command_tag in ('CREATE TABLE AS', 'SELECT INTO') and _command.kind = 'r';
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
                        when _relation = _command.objid and _command.objsubid = 0 then _command.name
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
                or _command.kind not in ('r', 'p', 'f')
                -- These bear neither on columns nor on capturing.
                or _command.command_tag in ('COMMENT', 'CREATE INDEX', 'CREATE POLICY', 'ALTER POLICY', 'SECURITY LABEL');
            if _command.classid <> 'pg_class'::regclass or _command.kind = 'f' then
                _is_shaped := false;
            elsif _command.command_tag = 'CREATE TABLE' then
                _is_shaped := true;
            else
                _is_shaped := exists (
                    select from pg_attribute a
                    where a.attrelid = _relation
                      and a.attnum > 0
                      and age(a.xmin) <= 0 -- by this transaction, or since it began
                );
            end if;
            if _is_shaped then
                perform pgevents.note_shape(
                    _id,
                    -- What is altered on a parent is altered on its children, and only the parent is told of.
                    case
                        when _command.has_children then _relation || array(select pgevents.children(_relation))
                        else array[_relation]
                    end
                );
            end if;
            -- A new table is nobody's business but its own; a foreign one bears on the tree it is a partition of.
            _is_related := _command.kind = 'f' or _command.command_tag not in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO');
            _place := array_position(_tables, _relation);
            if _place is null then
                _tables := _tables || _relation;
                _related := _related || _is_related;
            elsif _is_related then
                _related[_place] := true;
            end if;
            if _with_rows and pgevents.may_write_rows(_relation) then
                _filled := _filled || _relation;
            end if;
        end loop;
    exception
        when insufficient_resources or statement_too_complex then
            raise;
        when others then
            raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
                using hint = 'The command itself is not affected.';
    end;

    for _place in 1 .. cardinality(_tables) loop
        perform pgevents.try_to_cover(_tables[_place], _related[_place]);
    end loop;
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
