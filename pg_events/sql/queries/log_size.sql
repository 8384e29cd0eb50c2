-- How many events are kept, and what they take on disk with their indexes. A large log is not counted: what is in 32 MB of its
-- pages, drawn by chance, is taken for all.
with log as (
    select
        pg_catalog.pg_relation_size('pgevents.event'::regclass) > 134217728 as estimated,
        least(100, 100.0 * 33554432 / greatest(pg_catalog.pg_relation_size('pgevents.event'::regclass), 1))::real as percent
)
select
    case
        when l.estimated then (
            select round((count(*) + coalesce(sum(e.folded - 1), 0)) * 100 / l.percent)::bigint
            from pgevents.event e
            tablesample system ((select o.percent from log o))
        )
        else (select (count(*) + coalesce(sum(e.folded - 1), 0))::bigint from pgevents.event e)
    end as events,
    pg_catalog.pg_total_relation_size('pgevents.event'::regclass)
        + pg_catalog.pg_total_relation_size('pgevents.statement'::regclass) as bytes,
    l.estimated
from log l
