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
    _include text[];
    _exclude text[];
    _choices jsonb;
    _table record;
    _root constant oid := coalesce(pg_partition_root(relation), relation);
    _relations oid[] := array[relation];
    _near oid[];
    _is_partitioned boolean := false;
    _is_by_row boolean := false;
    _is_root_changed boolean;
    _is_whole boolean;
    _steps text[];
    _step text;
    _oids oid[];
    _names text[];
    _is_superuser constant boolean := (select r.rolsuper from pg_roles r where r.rolname = current_user);
    _was_by_row boolean;
    _event_triggers text;
    _is_told boolean;
begin
    select
        count(*) filter (where s.name = 'choices') > 0,
        coalesce(max(s.value) filter (where s.name = 'choices'), '{}')::jsonb,
        array(select json_array_elements_text((max(s.value) filter (where s.name = 'include'))::json)),
        array(select json_array_elements_text((max(s.value) filter (where s.name = 'exclude'))::json))
    into _is_told, _choices, _include, _exclude
    from pgevents.setting s;
    if not _is_told then
        -- What was chosen is not known: a new table would be captured whole, and one that has triggers could lose its choice.
        raise object_not_in_prerequisite_state using message = 'the schema pgevents was restored without its data';
    end if;
    select c.relkind, c.relispartition, c.relhassubclass into _table from pg_class c where c.oid = relation;

    if _table.relkind = 'p' or _table.relispartition then
        _is_partitioned := true;
        -- All partitions have the same columns and are captured in the same way: what is as it should be on the root is so
        -- below it. Where they are captured row by row, only all of them together tell whether that has to stay.
        _is_by_row := exists (
            select from pg_trigger t where t.tgrelid = _root and t.tgname = '00_pgevents_truncate'
        ) and not exists (
            select from pg_trigger t where t.tgrelid = _root and t.tgname = '00_pgevents_insert'
        );
        if related then
            _relations := _relations || _root || array(
                -- A partition that was attached just now.
                select p.relid::oid
                from (
                    select i.inhrelid
                    from pg_inherits i
                    where i.inhparent = relation
                      and age(i.xmin) <= 0 -- by this transaction, or since it began
                    order by age(i.xmin), i.cmin::text::bigint desc
                    fetch first row with ties
                ) i
                cross join lateral pg_partition_tree(i.inhrelid) p
            );
            if _is_by_row or _choices <> '{}' or _include <> '{}' or _exclude <> '{}' then
                _relations := _relations || array(
                    -- One that was detached, and is captured in its own way from now on.
                    select t.oid
                    from pg_class c
                    cross join lateral (
                        select c.oid
                        union
                        select p.relid::oid from pg_partition_tree(c.oid) p
                    ) t
                    where age(c.xmin) <= 0
                      and c.relkind in ('r', 'p')
                      and c.relpersistence <> 't'
                      and not c.relispartition
                );
            end if;
        end if;
        _near := _relations || _root;
    elsif _table.relhassubclass or exists (select from pg_inherits i where i.inhrelid = relation) then
        _relations := _relations || array(
            with recursive ancestor (oid) as (
                select i.inhparent from pg_inherits i where i.inhrelid = relation
                union
                select i.inhparent from ancestor a join pg_inherits i on i.inhrelid = a.oid
            )
            select a.oid from ancestor a
        );
        if related then
            _relations := _relations || array(select pgevents.children(relation));
        end if;
        _near := _relations;
    elsif related and _choices = '{}' and _include = '{}' and _exclude = '{}' and pgevents.is_covered(relation) then
        return;
    else
        _near := _relations;
        perform from pg_namespace n
        where _is_superuser and n.oid = any (array(select c.relnamespace from pg_class c where c.oid = relation))
        for key share;
        if not related and _choices = '{}' and _include = '{}' and _exclude = '{}' then
            _steps := pgevents.new_triggers(relation);
        end if;
    end if;

    if _is_by_row then
        _near := _near || array(select p.relid::oid from pg_partition_tree(_root) p);
    end if;
    for _is_whole in select w.is_whole from (values (false), (true)) w (is_whole) where _steps is null loop
        if _is_whole then
            _relations := _relations || array(select p.relid::oid from pg_partition_tree(_root) p);
            _near := _near || _relations;
        end if;
        -- Triggers are made and dropped by their tables' names. Who owns a schema could give its name to another one meanwhile,
        -- with a table of somebody else's in it. The lock keeps the schemas' names; where a snapshot is from before a schema was
        -- renamed it fails. Only a superuser can have it.
        perform from pg_namespace n
        where _is_superuser and n.oid = any (array(select c.relnamespace from pg_class c where c.oid = any (_relations)))
        for key share;
        select
            array_agg(
                case
                    when c.wanted is null
                        then format('drop trigger %I on %I.%I', c.trigger_name, c.table_schema, c.table_name)
                    else regexp_replace(c.wanted, '^CREATE TRIGGER', 'create or replace trigger')
                end
            ),
            coalesce(bool_or(c.oid = _root), false),
            array_agg(c.oid),
            array_agg(format('%I.%I', c.table_schema, c.table_name))
        into _steps, _is_root_changed, _oids, _names
        from pgevents.coverage(_include, _exclude, _relations, _choices, _near) c
        where c.wanted is distinct from c.installed;
        exit when not (_is_partitioned and related and _is_root_changed);
    end loop;
    if _steps is null then
        return;
    end if;
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

    -- Event triggers, ours and yours, need not know: a superuser can say so from PostgreSQL 17 on. Else ours are told.
    if current_setting('server_version_num')::integer >= 170000 and _is_superuser then
        _event_triggers := current_setting('event_triggers');
        perform set_config('event_triggers', 'off', true);
    else
        perform set_config('pgevents.covering', pgevents.seal('covering'), true);
    end if;
    foreach _step in array _steps loop
        execute _step;
    end loop;
    -- The tables that these names led to are locked now.
    if exists (
        select from unnest(_oids, _names) w (oid, name) where to_regclass(w.name) is distinct from w.oid::regclass
    ) then
        raise object_not_in_prerequisite_state using message = 'a table was given another name meanwhile';
    end if;
    if _event_triggers is not null then
        perform set_config('event_triggers', _event_triggers, true);
    else
        perform set_config('pgevents.covering', '', true);
    end if;

    if _was_by_row and related and exists (
        select from pg_trigger t where t.tgrelid = relation and t.tgname = '00_pgevents_insert' and t.tgtype & 1 = 0
    ) then
        -- Maybe it inherits no more: what it inherited from has no reason either then.
        perform pgevents.cover(t.relation, true) from pgevents.perhaps_by_statement() t (relation);
    end if;
end
$function$;
revoke execute on function pgevents.cover(oid, boolean) from public;
