-- What the events and texts of the log take, about, apart from the room of what was deleted: files of PostgreSQL do not
-- become smaller, so their size does not tell. Of each table so many bytes of pages are read, drawn by chance.
with percent as (
    select
        least(100, 100.0 * {sampled} / greatest(pg_catalog.pg_relation_size('pgevents.event'), 1))::real as events,
        least(100, 100.0 * {sampled} / greatest(pg_catalog.pg_relation_size('pgevents.statement'), 1))::real as texts
)
select (
    (
        select coalesce(sum({bytes}), 0)
        from pgevents.event e
        tablesample system ((select p.events from percent p))
    ) * 100 / p.events
    + (
        select coalesce(sum(80 + pg_catalog.pg_column_size(s.query)), 0)
        from pgevents.statement s
        tablesample system ((select p.texts from percent p))
    ) * 100 / p.texts
)::bigint
from percent p
