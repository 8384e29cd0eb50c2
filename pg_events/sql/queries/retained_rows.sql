-- The next rows of the log, each with all its events: as retained.sql, for rows that hold what the server cannot take apart.
select
    e.id,
    e.xid::text::bigint,
    to_json(e.at)::text,
    e.kind::text,
    e.table_schema,
    e.table_name,
    e.session_user_name,
    e.application_name,
    e.query,
    coalesce(e.old_rows, e.old_data::text),
    coalesce(e.new_rows, e.new_data::text),
    e.ddl,
    e.statement_id,
    e.folded,
    e.context,
    (select m.version from pgevents.migration m order by m.version desc limit 1)
from pgevents.event e
where e.id > {after} - {max_packed}
  and e.id <= {last}
  and pg_catalog.pg_visible_in_snapshot(e.xid, {snapshot}::pg_snapshot)
  and e.id + coalesce(e.folded, 1) - 1 > {after}
  and {wanted}
order by e.id
limit {rows}
