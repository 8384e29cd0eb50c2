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
    (select bool_or(w.may_create_event_triggers) from who w) as event_triggers_permitted
