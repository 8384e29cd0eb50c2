-- Writes the rows of one INSERT to the log: for tables whose columns are spelt the same whatever the writer's settings,
-- as coverage.sql sees to. capture() does the same for all others.
--
-- What a call costs, in thousands of instructions: an expression of PL/pgSQL 1, each function or operator in it 2 (half
-- of that to ask whether the confined role may call it), an SQL statement 14, each column of the log 1, each index 7.
-- So: a function for each operation, one condition, one insert. The text is taken into a variable because
-- current_query() is volatile: in the select list it would keep the planner from merging the two levels of the insert.
create or replace function pgevents.capture_insert()
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
        {capture_quickly_insert}
    end if;

    {capture_carefully}
    return null;
end
$function$;
revoke execute on function pgevents.capture_insert() from public;
