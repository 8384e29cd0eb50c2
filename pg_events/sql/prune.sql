-- Delete one batch of the log, in the order of the ids: the events above id {after}, at most {events}, that are over: older
-- than {before}, or the first of the batch as long as those before them take less than {excess} bytes. What a consumer has
-- not been given stays, unless {unread}. What is deleted no longer holds its statement's text; see prune_statements.sql.
-- One row: the last id of the batch (null when there was none), events deleted, what they took, their statements, events
-- kept because a consumer has not been given them, and for each such consumer how many of those that are over it has not
-- been given, deleted ones too, the first of them and the last.
with looked as materialized (
    select
        e.ctid as place, e.id, e.xid, e.statement_id,
        coalesce(e.at < {before}, false) as is_old,
        case when {excess} is null then 0 else {bytes} end as bytes
    from pgevents.event e
    where e.id > {after}
    order by e.id
    limit {events}
),
-- Snapshots of one server lie one behind the other, but what is visible in the end of a window was given up to a position.
not_given as (
    select l.id, s.consumer
    from looked l
    cross join pgevents.share s
    where (l.is_old or {excess} is not null)
      and not pg_catalog.pg_visible_in_snapshot(l.xid, s.snapshot)
      and not coalesce(l.id <= s.position and pg_catalog.pg_visible_in_snapshot(l.xid, s.window_end), false)
    group by l.id, s.consumer
),
weighed as (
    select
        l.*,
        held.id is null as is_given,
        coalesce(sum(l.bytes) filter (where {unread} or held.id is null) over before_it, 0) < {excess} as is_too_much
    from looked l
    left join (select distinct n.id from not_given n) held using (id)
    window before_it as (order by l.id rows between unbounded preceding and 1 preceding)
),
judged as materialized (
    select w.*, w.is_old or coalesce(w.is_too_much, false) as is_over
    from weighed w
),
deleted as (
    delete from pgevents.event e
    where e.ctid = any(array(select j.place from judged j where j.is_over and ({unread} or j.is_given)))
)
select
    (select max(l.id) from looked l),
    count(*) filter (where j.is_over and ({unread} or j.is_given)),
    coalesce(sum(j.bytes) filter (where j.is_over and ({unread} or j.is_given)), 0)::bigint,
    coalesce(array_agg(distinct j.statement_id) filter (
        where j.is_over and ({unread} or j.is_given) and j.statement_id is not null
    ), '{{}}'),
    count(*) filter (where j.is_over and not ({unread} or j.is_given)),
    (
        select coalesce(json_object_agg(c.consumer, json_build_array(c.events, c.first_id, c.last_id)), '{{}}')::text
        from (
            select n.consumer, count(*) as events, min(n.id) as first_id, max(n.id) as last_id
            from not_given n
            join judged o using (id)
            where o.is_over
            group by n.consumer
        ) c
    )
from judged j
