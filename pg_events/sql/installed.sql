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
    )::text as event_triggers
