-- The log on disk, and its rows that are dead. The counts are the statistics': nothing is read.
select
    (
        pg_catalog.pg_total_relation_size('pgevents.event'::regclass)
        + pg_catalog.pg_total_relation_size('pgevents.statement'::regclass)
    ) as bytes,
    coalesce(s.n_live_tup, 0) as live,
    coalesce(s.n_dead_tup, 0) as dead,
    extract(epoch from clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::double precision as vacuum_seconds
from (select 1) one
left join pg_catalog.pg_stat_user_tables s on s.relid = 'pgevents.event'::regclass
