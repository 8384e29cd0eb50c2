-- Can the rows of the table that the trigger has named in a setting be given to row_to_json() as they are? See
-- capture_foreign.sql.
--
-- To ask at each statement would cost a tenth of the capture. The answer can change only when the table is altered, and then
-- the plan of each statement that reads the table's rows is made again. So this function claims to be immutable: it is
-- called while such a statement is planned, and its answer is a constant of the plan. The plans of one table are nobody
-- else's, as a trigger function is compiled for each trigger. Only for statements that read a transition table.
create or replace function pgevents.can_be_written()
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
    tg_relid constant oid := current_setting('pgevents.relation', true);
begin
    return not {capture_foreign};
end
$function$;
revoke execute on function pgevents.can_be_written() from public;
