-- The last $1 events that are visible now, newest first, and the snapshot they are visible in.
select
    pg_catalog.pg_current_snapshot()::text,
    e.id,
    e.xid::text::bigint,
    to_json(e.at)::text,
    e.kind::text,
    e.table_schema,
    e.table_name,
    e.session_user_name,
    e.application_name,
    e.query,
    e.old_data,
    e.new_data,
    e.ddl,
    e.statement_id
from (values (1)) one
left join lateral (
    select * from pgevents.event order by id desc limit $1
) e on true
