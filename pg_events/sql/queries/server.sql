-- What this server is and what this role may do: asked before anything is planned.
with who as (
    select
        r.rolsuper,
        r.rolname = current_user as asks,
        r.rolsuper or exists (
            select from pg_catalog.pg_roles m
            -- Those whom managed services let create event triggers.
            where m.rolname in ('rds_superuser', 'neon_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'supabase_admin')
              and pg_catalog.pg_has_role(r.oid, m.oid, 'member')
        ) as may_create_event_triggers
    from pg_catalog.pg_roles r
    where r.rolname = current_user
       or r.oid = (select n.nspowner from pg_catalog.pg_namespace n where n.nspname = 'pgevents')
)
select
    current_setting('server_version') as version,
    current_setting('server_version_num')::integer as version_number,
    current_database()::text as database,
    current_user::text as role,
    (select w.rolsuper from who w where w.asks) as is_superuser,
    (select w.may_create_event_triggers from who w where w.asks) as may_create_event_triggers,
    pg_catalog.has_database_privilege(current_database(), 'create') as may_create_schema,
    pg_catalog.pg_is_in_recovery() as is_standby,
    (select system_identifier::text from pg_catalog.pg_control_system()) as system_identifier,
    exists (
        select from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'pgevents' and c.relname = 'migration'
    ) as is_installed,
    coalesce(
        (select pg_catalog.pg_has_role(n.nspowner, 'usage') from pg_catalog.pg_namespace n where n.nspname = 'pgevents'), false
    ) as owns_schema,
    -- It asks, or owns what is installed: who may only read can build nothing, but its owner can.
    (select bool_or(w.may_create_event_triggers) from who w) as event_triggers_permitted,
    (select d.oid::text from pg_catalog.pg_database d where d.datname = current_database()) as database_oid,
    coalesce((select pg_catalog.pg_get_userbyid(n.nspowner)::text from pg_catalog.pg_namespace n where n.nspname = 'pgevents'), '') as owner,
    -- Who is a member of the owner builds as the owner, so that it does not matter which member does. A first build is the
    -- database's owner's in the same way, unless the role has an attribute that this one lacks.
    coalesce(
        (
            select pg_catalog.pg_get_userbyid(o.oid)::text
            from pg_catalog.pg_roles o
            join pg_catalog.pg_roles r on r.rolname = session_user and not r.rolsuper
            where o.oid = coalesce(
                    (select n.nspowner from pg_catalog.pg_namespace n where n.nspname = 'pgevents'),
                    (select d.datdba from pg_catalog.pg_database d where d.datname = current_database())
                )
              and not o.rolsuper
              and pg_catalog.pg_has_role(
                    session_user, o.oid,
                    case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end
                )
              and r.rolcreaterole <= o.rolcreaterole
              and r.rolcreatedb <= o.rolcreatedb
              and r.rolreplication <= o.rolreplication
              and r.rolbypassrls <= o.rolbypassrls
        ),
        current_user
    )::text as builds_as,
    (
        select coalesce(bool_and(
            case w.relkind
                when 'n' then pg_catalog.has_schema_privilege(w.oid, w.privilege)
                when 'S' then pg_catalog.has_sequence_privilege(w.oid, w.privilege)
                else pg_catalog.has_table_privilege(w.oid, w.privilege)
            end
        ), false)
        from (
            {rights_wanted}
        ) w
        where w.capability = 'reader'
    ) as may_read,
    (
        select coalesce(bool_and(
            case w.relkind
                when 'n' then pg_catalog.has_schema_privilege(w.oid, w.privilege)
                when 'S' then pg_catalog.has_sequence_privilege(w.oid, w.privilege)
                else pg_catalog.has_table_privilege(w.oid, w.privilege)
            end
        ), false)
        from (
            {rights_wanted}
        ) w
        where w.capability <> 'emitter'
    ) as may_deliver
