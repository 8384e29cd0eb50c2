-- Who holds the lock that the session $1 waits for, or is before it in the queue. The number 0 is a prepared transaction.
-- When a transaction began is shown for a role's own sessions, and to members of pg_read_all_stats.
select distinct
    b.pid,
    a.usename::text,
    a.application_name,
    a.xact_start
from pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) as b (pid)
left join pg_catalog.pg_stat_activity a on a.pid = b.pid
order by b.pid
