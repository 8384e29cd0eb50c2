-- The rows of the log that became visible since the snapshot $1, at most $2 of them, in no useful order, each with the
-- snapshot of this look and the version of the schema that they are of. One row of nulls when there are none.
-- Two index ranges: transactions that had not begun at $1, and those that were running then. Both end at what this
-- statement's own snapshot sees, so a log restored from another cluster, with ids from its future, is left alone. Both
-- are ranges, in the index's own order: for `xid = x order by id` the index on ids looks as cheap while the log is small,
-- and a plan is kept while the log grows.
with look as materialized (
    select pg_catalog.pg_current_snapshot() as snapshot
),
found as (
    (
        select e.*
        from pgevents.event e
        where e.xid >= pg_catalog.pg_snapshot_xmax($1::pg_snapshot)
          and e.xid < (select pg_catalog.pg_snapshot_xmax(l.snapshot) from look l)
        order by e.xid, e.id
        limit $2
    )
    union all
    (
        select e.*
        from pg_catalog.pg_snapshot_xip($1::pg_snapshot) as running (xid)
        cross join lateral (
            select *
            from pgevents.event e
            where e.xid between running.xid and running.xid
            order by e.xid, e.id
            limit $2
        ) e
        limit $2
    )
)
select
    look.snapshot::text as snapshot,
    f.id,
    f.xid::text::bigint,
    to_json(f.at)::text,
    f.kind::text,
    f.table_schema,
    f.table_name,
    f.session_user_name,
    f.application_name,
    f.query,
    coalesce(f.old_rows, f.old_data::text),
    coalesce(f.new_rows, f.new_data::text),
    case when f.ddl is not null then pgevents.described(f.id, f.ddl) end,
    f.statement_id,
    f.folded,
    f.context,
    (select m.version from pgevents.migration m order by m.version desc limit 1)
from look
left join found f on true
