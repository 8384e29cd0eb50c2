-- How many events are kept, and what they take on disk with their indexes.
select
    (select count(*) + coalesce(sum(e.folded - 1), 0) from pgevents.event e) as events,
    pg_catalog.pg_total_relation_size('pgevents.event'::regclass)
        + pg_catalog.pg_total_relation_size('pgevents.statement'::regclass) as bytes
