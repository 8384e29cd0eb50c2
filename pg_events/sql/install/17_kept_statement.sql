-- The text of the client's statement that is running, if it is kept apart from its events already: its id, else null.
-- One client statement can fire the triggers thousands of times (a DO block, a cascade): its text is kept once. The
-- setting says where; anybody can set it, so it is believed only of a text of this very transaction and statement.
create or replace function pgevents.kept_statement()
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    _marker constant text := current_setting('pgevents.statement', true);
begin
    if _marker ~ '^\d{1,18}$' then
        return (
            select s.id
            from pgevents.statement s
            where s.id = _marker::bigint
              and s.xid = pg_current_xact_id_if_assigned()
              and s.at = statement_timestamp()
        );
    end if;
    return null;
end
$function$;
revoke execute on function pgevents.kept_statement() from public;
