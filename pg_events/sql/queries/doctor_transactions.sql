-- Transactions of clients that have been open for more than $1 seconds, in any database of the cluster, oldest first.
-- Of other roles' sessions a role without pg_read_all_stats is shown nothing; `hidden` counts them.
select
    a.pid,
    a.datname::text as database,
    a.usename::text as role,
    a.application_name as application,
    a.state,
    extract(epoch from clock_timestamp() - a.xact_start)::double precision as age_seconds,
    a.backend_xid::text as xid,
    (
        select count(*) from pg_catalog.pg_stat_activity h
        where h.usename is not null and h.usename <> current_user
          and not (pg_catalog.pg_has_role('pg_read_all_stats', 'usage') or pg_catalog.pg_has_role(h.usesysid, 'usage'))
    ) as hidden
from (select 1) one
left join pg_catalog.pg_stat_activity a
    on a.pid <> pg_catalog.pg_backend_pid()
    and a.backend_type = 'client backend'
    and a.xact_start < clock_timestamp() - make_interval(secs => $1)
order by a.xact_start
