-- Delete one batch of the oldest events: those that are older than $1 and that every consumer has been given.
-- $2 the last id of the batch before, $3 events a batch, $4 true to delete what a consumer has not been given, too.
-- One row: the last id of the batch (null when there was none), events deleted, events kept because a consumer has not
-- been given them, and whether the batch held any that is old enough: ids and times rise together, but not strictly.
with batch as (
    select e.id, e.at < $1 as is_old, e.at < $1 and ($4 or coalesce(given.by_all, true)) as goes
    from (
        select e.id, e.xid, e.at
        from pgevents.event e
        where e.id > $2
        order by e.id
        limit $3
    ) e
    cross join lateral (
        select bool_and(pg_catalog.pg_visible_in_snapshot(e.xid, s.snapshot)) as by_all
        from pgevents.share s
    ) given
),
deleted as (
    delete from pgevents.event e
    using batch b
    where b.goes
      and e.id = b.id
)
select
    max(b.id),
    count(*) filter (where b.goes),
    count(*) filter (where b.is_old and not b.goes),
    coalesce(bool_or(b.is_old), false)
from batch b
