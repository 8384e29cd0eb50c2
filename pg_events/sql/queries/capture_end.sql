-- The events that became visible since a snapshot, and those of the transaction that asks, which it sees before they are
-- committed, above an id. In the order of their ids, every column as text, for whatever driver reads it. Each parameter
-- stands here once, and there is no percent sign: drivers spell parameters in their own way.
-- It runs on a connection of the user's, along his search_path: every function, type and operator is qualified.
with start as (
    select $1::pg_catalog.pg_snapshot as snapshot, $2::bigint as own_id
)
select
    e.id::pg_catalog.text,
    e.xid::pg_catalog.text,
    pg_catalog.to_json(e.at)::pg_catalog.text,
    e.kind::pg_catalog.text,
    e.table_schema,
    e.table_name,
    e.session_user_name,
    e.application_name,
    coalesce(e.query, s.query),
    e.old_data::pg_catalog.text,
    e.new_data::pg_catalog.text,
    case when e.ddl is not null then pgevents.described(e.id, e.ddl)::pg_catalog.text end,
    e.context
from start
cross join pgevents.event l
cross join {unpacked}
left join pgevents.statement s on s.id operator(pg_catalog.=) e.statement_id
where case
    when l.xid operator(pg_catalog.=) pg_catalog.pg_current_xact_id_if_assigned()
    then l.id operator(pg_catalog.>) start.own_id
    else not pg_catalog.pg_visible_in_snapshot(l.xid, start.snapshot)
end
order by e.id
