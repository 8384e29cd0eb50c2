-- Gives a table the triggers it should have, and takes away those it should not. With `related` also those to which
-- its own triggers matter: how one of them is captured can depend on all.
create or replace function pgevents.cover(relation oid, related boolean)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
-- To compile the question takes a hundred times as long as to answer it.
set jit = off
-- The command that called this has locked its own table. Of others it must not wait for long.
set lock_timeout = '200ms'
as $function$
declare
    _relations oid[];
    _step record;
begin
    select array_agg(distinct r.relid) into _relations
    from (
        select relation as relid
        union all
        select t.relid from pg_partition_tree(case when related then pg_partition_root(relation) else relation end) t
        union all
        select case when i.inhrelid = relation then i.inhparent else i.inhrelid end
        from pg_inherits i
        where relation in (i.inhrelid, i.inhparent)
    ) r;
    for _step in
        select c.*
        from pgevents.coverage(
            (select array(select json_array_elements_text(s.value::json)) from pgevents.setting s where s.name = 'include'),
            (select array(select json_array_elements_text(s.value::json)) from pgevents.setting s where s.name = 'exclude'),
            _relations,
            coalesce((select s.value::jsonb from pgevents.setting s where s.name = 'choices'), '{}')
        ) c
        where c.wanted is distinct from c.installed
    loop
        if _step.wanted is null then
            execute format('drop trigger %I on %I.%I', _step.trigger_name, _step.table_schema, _step.table_name);
        else
            execute regexp_replace(_step.wanted, '^CREATE TRIGGER', 'create or replace trigger');
        end if;
    end loop;
end
$function$;
revoke execute on function pgevents.cover(oid, boolean) from public;
