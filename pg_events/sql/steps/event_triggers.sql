-- DDL is recorded by two event triggers. They need a superuser, or a managed service's administrator.
do $do$
declare
    _name name;
begin
    -- Made by another role than their function belongs to: that role could change what runs in the maker's DDL.
    for _name in
        select e.evtname
        from pg_catalog.pg_event_trigger e
        join pg_catalog.pg_proc p on p.oid = e.evtfoid
        where e.evtname in ('pgevents_schema_changed', 'pgevents_schema_dropped')
          and p.proowner <> e.evtowner
    loop
        execute format('drop event trigger %I', _name);
    end loop;
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
