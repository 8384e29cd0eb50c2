-- How far one consumer is, of the question about all of them, and what the log takes. Nothing is counted that is kept
-- and not waiting: the number of events is the statistics' own, null before the first analyze.
select
    c.behind_events,
    c.behind_seconds,
    c.failed,
    c.held,
    pg_catalog.pg_total_relation_size('pgevents.event'::regclass)
        + pg_catalog.pg_total_relation_size('pgevents.statement'::regclass) as log_bytes,
    (select nullif(r.reltuples, -1)::bigint from pg_catalog.pg_class r where r.oid = 'pgevents.event'::regclass) as log_rows
from (
{consumers}
) c
where c.name = {name}
