-- Writes the rows of one statement to the log: INSERT, UPDATE and DELETE of every table that no user's row trigger
-- follows and that capture_insert() and its like are not for: those with columns that the writer's settings could spell
-- otherwise.
create or replace function pgevents.capture()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _text constant text := case when {query_characters} > 0 then current_query() end;
begin
    if {capture_quickly_when}
        -- How values are spelt must not depend on who writes them. SET clauses on this function would cost more than
        -- the rest of the condition, so the session's settings are looked at, and changed only when they differ.
        and current_setting('bytea_output') = 'hex'
        and current_setting('IntervalStyle') = 'postgres'
        and current_setting('DateStyle') like 'ISO%'
        and current_setting('extra_float_digits') collate "C" > '0'
        and current_setting('quote_all_identifiers') = 'off'
    then
        if tg_op = 'INSERT' then
            {capture_quickly_insert}
        elsif tg_op = 'DELETE' then
            {capture_quickly_delete}
        else
            {capture_quickly_update}
        end if;
    end if;

    {capture_carefully}
    return null;
end
$function$;
revoke execute on function pgevents.capture() from public;
