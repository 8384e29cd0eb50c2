-- The commands that give a table the triggers it should have, and take away those it should not; null where there is nothing to
-- do. `oids` and `names`: the tables that they are about. Triggers are made and dropped by their tables' names: who owns a schema
-- could give its name to another one meanwhile, with a table of somebody else's in it. A lock keeps the schemas' names; where a
-- snapshot is from before a schema was renamed it fails. Only a superuser can have it.
create or replace function pgevents.steps_to_cover(
    relation oid, related boolean, out steps text[], out oids oid[], out names text[]
)
language plpgsql
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
set enable_seqscan = off
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
    select
        c.relkind, c.relispartition,
        c.relhassubclass or exists (select from pg_inherits i where i.inhrelid = relation) as inherits
    into _table
    from pg_class c
    where c.oid = relation;

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
                    select a.relation from pgevents.altered_tables() a (relation)
                );
            end if;
        end if;
        _near := _relations || _root;
    elsif _table.inherits then
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
    end if;

    if _is_by_row then
        _near := _near || array(select p.relid::oid from pg_partition_tree(_root) p);
    end if;
    for _is_whole in select w.is_whole from (values (false), (true)) w (is_whole) loop
        if _is_whole then
            _relations := _relations || array(select p.relid::oid from pg_partition_tree(_root) p);
            _near := _near || _relations;
        end if;
        if has_table_privilege('pg_namespace', 'update') then
            perform from pg_namespace n
            where n.oid = any (array(select c.relnamespace from pg_class c where c.oid = any (_relations)))
            for key share;
        end if;
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
        into steps, _is_root_changed, oids, names
        from pgevents.coverage(_include, _exclude, _relations, _choices, _near) c
        where c.wanted is distinct from c.installed;
        exit when not (_is_partitioned and related and _is_root_changed);
    end loop;
end
$function$;
revoke execute on function pgevents.steps_to_cover(oid, boolean) from public;
