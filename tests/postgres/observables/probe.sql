-- The state of a session that an application can see, as a row. Names stand for OIDs, which differ between databases.
select
    current_user::text as "current_user",
    session_user::text as "session_user",
    array(select regexp_replace(s::text, '^(pg_(toast_)?temp)_\d+$', '\1') from unnest(current_schemas(true)) s)
        as search_path,
    public.last_drawn() as lastval,
    (select jsonb_object_agg(s.sequencename, public.drawn(format('%I.%I', s.schemaname, s.sequencename)))
     from pg_sequences s where s.schemaname not in ('pgevents') and s.schemaname not like 'pg_temp%') as currval,
    (select jsonb_object_agg(s.sequencename, s.last_value)
     from pg_sequences s where s.schemaname not in ('pgevents') and s.schemaname not like 'pg_temp%') as sequences,
    current_setting('app.user', true) as custom_setting,
    array(select c.relname::text from pg_class c where c.relpersistence = 't' and c.relname not like 'pg_toast%' order by 1) as temporary,
    array(select p.name || ': ' || p.statement from pg_prepared_statements p order by 1) as prepared,
    array(select c.name || ': ' || c.statement from pg_cursors c where c.name <> '' order by 1) as cursors,
    array(select pg_listening_channels() order by 1) as channels,
    array(select l.classid || ' ' || l.objid || ' ' || l.mode from pg_locks l
          where l.pid = pg_backend_pid() and l.locktype = 'advisory' order by 1) as advisory_locks,
    -- The strongest on each relation. One that its transaction has created it holds anyway.
    (select jsonb_object_agg(n.nspname || '.' || c.relname, l.mode)
     from (
         select distinct on (l.relation) l.relation, l.mode
         from pg_locks l
         where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.mode <> 'SIReadLock'
         order by l.relation, array_position(array[
             'AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',
             'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'
         ], l.mode) desc
     ) l
     join pg_class c on c.oid = l.relation
     join pg_namespace n on n.oid = c.relnamespace
     where n.nspname not in ('pg_catalog', 'pgevents', 'information_schema', 'pg_toast')
        and n.nspname not like 'pg_temp%' and n.nspname not like 'pg_toast_temp%') as locks,
    pg_current_xact_id_if_assigned() is not null as has_xid,
    (select jsonb_build_array(a.application_name, a.state, a.backend_type, a.wait_event_type)
     from pg_stat_activity a where a.pid = pg_backend_pid()) as activity
