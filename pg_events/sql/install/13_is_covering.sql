-- Is this DDL what cover() does? It says so in a setting, under our seal.
create or replace function pgevents.is_covering()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(current_setting('pgevents.covering', true), '') <> ''
       and current_setting('pgevents.covering', true) = pgevents.seal('covering');
end
$function$;
revoke execute on function pgevents.is_covering() from public;
