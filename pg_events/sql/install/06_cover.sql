-- Gives a table the triggers it should have, and takes away those it should not. With `related` also those to which
-- its own triggers matter: how one of them is captured can depend on all. What it costs depends on this table, not on how
-- many there are, nor on how many partitions, unless all of those have to change.
create or replace function pgevents.cover(relation oid, related boolean)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
-- The command that called this has locked its own table. Of others it must not wait for long.
set lock_timeout = '200ms'
as $function$
declare
    _steps text[];
    _step text;
    _oids oid[];
    _names text[];
    _has_triggers boolean := false;
    _was_by_row boolean;
    _event_triggers text;
begin
    if not related then
        _steps := pgevents.new_triggers(relation);
    end if;
    if _steps is null then
        select s.steps, s.oids, s.names, c.relhastriggers
        into _steps, _oids, _names, _has_triggers
        from pgevents.steps_to_cover(relation, related) s
        left join pg_class c on c.oid = relation
        limit 1;
    end if;
    if _steps is null then
        return;
    end if;
    if _has_triggers then
        -- One of ours under another name, which its table's owner can give it, would record everything twice.
        _steps := _steps || array(
            select format('drop trigger %I on %I.%I', t.tgname, n.nspname, c.relname)
            from pg_trigger t
            join pg_proc f on f.oid = t.tgfoid
            join pg_class c on c.oid = t.tgrelid
            join pg_namespace n on n.oid = c.relnamespace
            where t.tgrelid = relation
              and not t.tgisinternal
              and f.pronamespace = 'pgevents'::regnamespace
              and t.tgname <> all (
                  '{00_pgevents_insert,00_pgevents_update,00_pgevents_delete,00_pgevents_truncate,00_pgevents_replicated}'
              )
        );
        _was_by_row := exists (
            select from pg_trigger t where t.tgrelid = relation and t.tgname = '00_pgevents_insert' and t.tgtype & 1 = 1
        );
    end if;

    -- Event triggers, ours and yours, need not know: a superuser can say so from PostgreSQL 17 on. Else ours are told.
    if current_setting('server_version_num')::integer >= 170000 and has_parameter_privilege('event_triggers', 'set') then
        _event_triggers := current_setting('event_triggers');
        perform set_config('event_triggers', 'off', true);
    else
        perform set_config('pgevents.covering', pgevents.seal('covering'), true);
    end if;
    foreach _step in array _steps loop
        execute _step;
    end loop;
    -- The tables that these names led to are locked now.
    if _oids is not null then
        perform from unnest(_oids, _names) w (oid, name) where to_regclass(w.name) is distinct from w.oid::regclass;
        if found then
            raise object_not_in_prerequisite_state using message = 'a table was given another name meanwhile';
        end if;
    end if;
    if _event_triggers is not null then
        perform set_config('event_triggers', _event_triggers, true);
    else
        perform set_config('pgevents.covering', '', true);
    end if;

    if _was_by_row and related then
        perform from pg_trigger t where t.tgrelid = relation and t.tgname = '00_pgevents_insert' and t.tgtype & 1 = 0;
        if found then
            -- Maybe it inherits no more: what it inherited from has no reason either then.
            perform pgevents.cover(t.relation, true) from pgevents.perhaps_by_statement() t (relation);
        end if;
    end if;
end
$function$;
revoke execute on function pgevents.cover(oid, boolean) from public;
