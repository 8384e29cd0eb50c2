-- DDL is recorded by two event triggers. They need a superuser, or a managed service's administrator.
do $do$
begin
    if not exists (select from pg_catalog.pg_event_trigger where evtname = 'pgevents_schema_changed') then
        create event trigger pgevents_schema_changed on ddl_command_end execute function pgevents.schema_changed();
    end if;
    if not exists (select from pg_catalog.pg_event_trigger where evtname = 'pgevents_schema_dropped') then
        create event trigger pgevents_schema_dropped on sql_drop execute function pgevents.schema_dropped();
    end if;
    alter event trigger pgevents_schema_changed enable;
    alter event trigger pgevents_schema_dropped enable;
end
$do$;
