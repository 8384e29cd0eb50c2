-- Gives the partition tree of one table the triggers it should have, and takes away those it should not.
create or replace function pgevents.cover(relation oid)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    _step record;
begin
    for _step in
        select c.*
        from pgevents.coverage(
            (select array(select json_array_elements_text(s.value::json)) from pgevents.setting s where s.name = 'include'),
            (select array(select json_array_elements_text(s.value::json)) from pgevents.setting s where s.name = 'exclude'),
            relation
        ) c
        where c.wanted is distinct from c.installed
    loop
        if _step.wanted is null then
            execute format('drop trigger %I on %I.%I', _step.trigger_name, _step.table_schema, _step.table_name);
        else
            execute replace(_step.wanted, 'CREATE TRIGGER', 'create or replace trigger');
        end if;
    end loop;
end
$function$;
revoke execute on function pgevents.cover(oid) from public;
