-- Who writes past the triggers here: roles and databases for which triggers are switched off, and this very session.
-- Two-phase commit: whether the server allows it, and whether a subscription applies transactions so.
select
    current_setting('session_replication_role') as session_replication_role,
    current_setting('max_prepared_transactions')::integer as max_prepared_transactions,
    exists (
        select from pg_catalog.pg_subscription s
        where s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
          and s.subtwophasestate <> 'd'
    ) as applies_prepared,
    (
        select coalesce(json_agg(coalesce(r.rolname::text, 'every role')), '[]')::text
        from pg_catalog.pg_db_role_setting s
        left join pg_catalog.pg_roles r on r.oid = s.setrole
        where s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
          and exists (select from unnest(s.setconfig) c where c ~* '^session_replication_role=replica$')
    ) as replica_roles
