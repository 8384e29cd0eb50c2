-- What a build left behind: settings, migrations, functions and event triggers with their digests, then and now.
select
    (select coalesce(max(m.version), 0) from pgevents.migration m) as version,
    (select coalesce(json_object_agg(s.name, s.value), '{}') from pgevents.setting s)::text as settings,
    (
        select coalesce(json_object_agg(i.name, json_build_array(i.source, i.definition)), '{}') from pgevents.installed i
    )::text as recorded,
    (
        select coalesce(json_object_agg(f.name, f.definition), '{}')
        from (
            select
                p.proname::text as name,
                -- As record_function.sql writes it down.
                pg_catalog.md5(pg_catalog.pg_get_functiondef(p.oid) || coalesce((
                    select string_agg(a.grantee::text, ' ' order by a.grantee)
                    from pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                    where a.grantee <> p.proowner
                      and p.proname <> 'emit'
                ), '')) as definition
            from pg_catalog.pg_proc p
            join pg_catalog.pg_namespace n on n.oid = p.pronamespace
            where n.nspname = 'pgevents'
        ) f
    )::text as functions,
    (
        select coalesce(json_object_agg(e.evtname, e.evtenabled::text), '{}')
        from pg_catalog.pg_event_trigger e
        where e.evtname in ('pgevents_schema_changed', 'pgevents_schema_dropped')
    )::text as event_triggers,
    -- Tables came whose columns were never noted, as by a restore: the first change of each would tell of all its columns.
    exists (
        select from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p')
          and c.relpersistence <> 't'
          and n.nspname not in ('pgevents', 'information_schema')
          and n.nspname not like 'pg\_%'
          and exists (
              select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          )
          and not exists (select from pgevents.shape s where s.relation = c.oid)
    ) as has_unnoted,
    -- What belongs to another role than the schema does.
    (
        select coalesce(json_agg(json_build_array(o.kind, o.name, o.owner) order by o.kind desc, o.name), '[]')
        from (
            select
                case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end as kind,
                c.oid::regclass::text as name,
                pg_catalog.pg_get_userbyid(c.relowner)::text as owner
            from pg_catalog.pg_namespace n
            join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relowner <> n.nspowner
            where n.nspname = 'pgevents'
              and c.relkind in ('r', 'v', 'S')
              -- One that a column owns goes with its table.
              and not exists (
                  select from pg_catalog.pg_depend d
                  where c.relkind = 'S' and d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid
                    and d.refclassid = 'pg_catalog.pg_class'::regclass and d.deptype in ('a', 'i')
              )
            union all
            select 'type', t.oid::regtype::text, pg_catalog.pg_get_userbyid(t.typowner)::text
            from pg_catalog.pg_namespace n
            join pg_catalog.pg_type t on t.typnamespace = n.oid and t.typowner <> n.nspowner
            where n.nspname = 'pgevents'
              and t.typtype = 'e'
            union all
            select 'function', p.oid::regprocedure::text, pg_catalog.pg_get_userbyid(p.proowner)::text
            from pg_catalog.pg_namespace n
            join pg_catalog.pg_proc p on p.pronamespace = n.oid and p.proowner <> n.nspowner
            where n.nspname = 'pgevents'
        ) o
    )::text as misowned,
    -- Event triggers run their function in everybody's DDL: it must belong to who made them.
    (
        select coalesce(json_object_agg(e.evtname, pg_catalog.pg_get_userbyid(e.evtowner)), '{}')
        from pg_catalog.pg_event_trigger e
        join pg_catalog.pg_proc p on p.oid = e.evtfoid
        where e.evtname in ('pgevents_schema_changed', 'pgevents_schema_dropped')
          and p.proowner <> e.evtowner
    )::text as lent_event_triggers,
    (
        select coalesce(json_agg(json_build_array(d.role, d.is_foreign, d.privilege, d.object)), '[]')
        from (
            {rights}
        ) d
    )::text as rights
