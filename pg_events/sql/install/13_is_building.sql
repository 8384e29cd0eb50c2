-- Is this DDL a build of ours? Who may build may say so; from anybody else the setting is worth nothing.
create or replace function pgevents.is_building()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    return current_setting('pgevents.building', true) = 'on'
       and (select pg_has_role(session_user, n.nspowner, 'member') from pg_namespace n where n.nspname = 'pgevents');
end
$function$;
