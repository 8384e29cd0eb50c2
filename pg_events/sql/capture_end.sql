-- The events that became visible since a snapshot, and those of the transaction that asks, which it sees before they are
-- committed, above an id. In the order of their ids, every column as text, for whatever driver reads it. Each parameter
-- stands here once, and there is no percent sign: drivers spell parameters in their own way.
with start as (
    select $1::pg_snapshot as snapshot, $2::bigint as own_id
)
select
    e.id::text,
    e.xid::text,
    to_json(e.at)::text,
    e.kind::text,
    e.table_schema,
    e.table_name,
    e.session_user_name,
    e.application_name,
    coalesce(e.query, s.query),
    e.old_data::text,
    e.new_data::text,
    case when e.ddl is not null then pgevents.described(e.id, e.ddl)::text end
from start
cross join pgevents.event l
cross join {unfolded}
left join pgevents.statement s on s.id = e.statement_id
where case
    when l.xid = pg_catalog.pg_current_xact_id_if_assigned() then l.id > start.own_id
    else not pg_catalog.pg_visible_in_snapshot(l.xid, start.snapshot)
end
order by e.id
