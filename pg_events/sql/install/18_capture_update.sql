-- Writes the row of one UPDATE to the log; as capture_insert.sql.
create or replace function pgevents.capture_update()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _text constant text := case when {query_characters} > 0 then current_query() end;
begin
    if {capture_quickly_when} then
        {capture_quickly_update}
    end if;

    {capture_carefully}
    return null;
end
$function$;
revoke execute on function pgevents.capture_update() from public;
