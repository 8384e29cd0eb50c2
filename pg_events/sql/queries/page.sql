-- The next $5 rows of the log in a large window, in order: visible in the snapshot $2, not visible in $1, with ids above $3.
-- The last column is the version of the schema that they are of. $4 is the least id of the transactions that had not begun at $1.
-- Two ordered streams merged: the transactions that were running at $1 can hold ids far below all others, and must not
-- make each page read what lies between. The conditions on xid are functions, so that the order comes from the index.
select
    p.id,
    p.xid::text::bigint,
    to_json(p.at)::text,
    p.kind::text,
    p.table_schema,
    p.table_name,
    p.session_user_name,
    p.application_name,
    p.query,
    coalesce(p.old_rows, p.old_data::text),
    coalesce(p.new_rows, p.new_data::text),
    case when p.ddl is not null then pgevents.described(p.id, p.ddl) end,
    p.statement_id,
    p.folded,
    p.context,
    (select m.version from pgevents.migration m order by m.version desc limit 1)
from (
    (
        select e.*
        from pg_catalog.pg_snapshot_xip($1::pg_snapshot) as running (xid)
        cross join lateral (
            select *
            from pgevents.event e
            where e.xid = running.xid
              and e.id > $3
            order by e.id
            limit $5
        ) e
        where pg_catalog.pg_visible_in_snapshot(running.xid, $2::pg_snapshot)
    )
    union all
    (
        select e.*
        from pgevents.event e
        where e.id > greatest($3::bigint, $4::bigint - 1)
          and not pg_catalog.pg_visible_in_snapshot(e.xid, $1::pg_snapshot)
          and pg_catalog.pg_visible_in_snapshot(e.xid, $2::pg_snapshot)
          and e.xid <> all (array(select pg_catalog.pg_snapshot_xip($1::pg_snapshot)))
        order by e.id
        limit $5
    )
) p
order by p.id
limit $5
