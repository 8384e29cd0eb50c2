-- Delete one batch of the log, in the order of the ids: of its rows above id {after}, at most {rows}, those that are over:
-- older than {before}, or the first of the batch as long as those before them take less than {excess} bytes. What a consumer
-- has not been given stays, unless {unread}: of a row that holds several events all, as long as one of them is. What is
-- deleted no longer holds its statement's text; see prune_statements.sql.
-- One row: the last id of the batch (null when there was none), events deleted, in how many rows, what they took, their
-- statements, events kept because a consumer has not been given them, and for each such consumer how many of those that are
-- over it has not been given, deleted ones too, the first of them and the last.
with looked as materialized (
    select
        e.ctid as place, e.id, e.xid, e.statement_id, coalesce(e.folded, 1) as events,
        coalesce(e.at < {before}, false) as is_old,
        case when {excess} is null then 0 else {bytes} end as bytes
    from pgevents.event e
    where e.id > {after}
    order by e.id
    limit {rows}
),
-- Snapshots of one server lie one behind the other, but what is visible in the end of a window was given up to a position.
not_given as (
    select n.id, n.consumer, min(n.first_id) as first_id, n.last_id
    from (
        select
            l.id,
            s.consumer,
            case
                when pg_catalog.pg_visible_in_snapshot(l.xid, s.window_end) then greatest(l.id, s.position + 1)
                else l.id
            end as first_id,
            l.id + l.events - 1 as last_id
        from looked l
        cross join pgevents.share s
        where (l.is_old or {excess} is not null)
          and not pg_catalog.pg_visible_in_snapshot(l.xid, s.snapshot)
    ) n
    where n.first_id <= n.last_id
    group by n.id, n.consumer, n.last_id
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
    coalesce(sum(j.events) filter (where j.is_over and ({unread} or j.is_given)), 0)::bigint,
    count(*) filter (where j.is_over and ({unread} or j.is_given)),
    coalesce(sum(j.bytes) filter (where j.is_over and ({unread} or j.is_given)), 0)::bigint,
    coalesce(array_agg(distinct j.statement_id) filter (
        where j.is_over and ({unread} or j.is_given) and j.statement_id is not null
    ), '{{}}'),
    coalesce(sum(j.events) filter (where j.is_over and not ({unread} or j.is_given)), 0)::bigint,
    (
        select coalesce(json_object_agg(c.consumer, json_build_array(c.events, c.first_id, c.last_id)), '{{}}')::text
        from (
            select
                n.consumer, sum(n.last_id - n.first_id + 1) as events, min(n.first_id) as first_id, max(n.last_id) as last_id
            from not_given n
            join judged o using (id)
            where o.is_over
            group by n.consumer
        ) c
    )
from judged j
